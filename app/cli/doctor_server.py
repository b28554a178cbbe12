"""``dibs doctor`` looks at the server, through the URL as clients use it: version, clock, streaming."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

import httpx

from ..client.errors import TYPE, ClientError, ServerRefused, Unreachable
from ..client.flow import Request
from ..client.wire import Wire
from ..config import version
from .doctor_findings import Finding, mend, note, troubled, unfit, well
from .events import listen
from .http import TRUST, Api, in_words, is_untrusted
from .words import failure, span

PATIENCE: Final = 5.0
_NAMED: Final = 10
_FAILS: Final = "see `When something fails` in the manual"
_WHO: Final = "say who you are (DIBS_TOKEN)"
_SERVERS: Final = "see `Several servers on one database` in the manual"
_WAYS: Final = {
    "unauthenticated": _WHO,
    "forbidden": _WHO,
    "restored": "see `Backups` in the manual",
    "no-owner": f"look into the servers' logs for why none owns, or can't be reached; {_SERVERS}",
    "not-owner": f"ask again; {_SERVERS}",
    "ledger-lost": f"run `dibs recover`; {_SERVERS}",
    "stopping": "wait until it is there again, or start it",
}
"""What helps where the server refuses, by the name of the problem."""
_SILENT: Final = frozenset({"no-owner", "not-owner"})
"""Problems with which no request is answered that needs the ledger."""
APART: Final = 2.0
"""Seconds by which two clocks may be apart: a Date has whole seconds."""


def look_through(url: str, *, named: bool, transport: httpx.BaseTransport | None = None) -> Iterator[Finding]:
    """All findings about the server at a URL. ``named``: somebody said that it is there."""
    wire = Wire(url, PATIENCE)
    line = transport or wire.dial()
    try:
        ready = yield from _asked(wire, line, url, named=named)
    finally:
        if transport is None:
            line.close()
    if (
        ready is not None and ready.problem in _SILENT
    ):  # each request would wait for an owner before it says so
        for about in ("queues", "streaming"):
            yield note(about, f"not looked at: {ready.why}", _WAYS[ready.problem])
    elif ready is not None:
        with Api(url, patience=0.0, transport=transport) as api:
            yield from failed(api)
            yield from servers(api)
            yield from streaming(api)


class _Ready(NamedTuple):
    """Why a server hands nothing out, and the name of that problem; both are empty where it does."""

    why: str = ""
    problem: str = ""


def _asked(
    wire: Wire, line: httpx.BaseTransport, url: str, *, named: bool
) -> Generator[Finding, None, _Ready | None]:
    """The findings of two requests; it returns whether the server is ready; None: there is none of ours."""
    try:
        sent = time.time()
        answer = _read(wire, line, "/healthz")
        came = time.time()
        its = answer.headers.get("dibs-version")
        ready = None if its is None else _read(wire, line, "/readyz")
    except httpx.TransportError as error:
        told = f"none at {url} ({in_words(f'{type(error).__name__}: {error}')})"
        mending = TRUST if is_untrusted(told) else "start it, or say where it is with --url"
        yield mend("server", told, mending) if named else note("server", told)
        return None
    if its is None or ready is None:
        told = f"{url} answers {answer.status_code}, and is no dibs"
        yield mend("server", told, "say where the server is with --url; look at the proxy before it")
        return None
    yield from _version(url, its)
    found = _read_ready(ready)
    if found.why:
        yield mend("ready", found.why, _WAYS.get(found.problem, _FAILS))
    else:
        yield well("ready", "it hands out")
    yield from _date(answer.headers.get("date", ""), sent, came)
    return found


def _read(wire: Wire, line: httpx.BaseTransport, path: str) -> httpx.Response:
    answer = line.handle_request(wire.write(Request("GET", path), {}))
    try:
        answer.read()
    finally:
        answer.close()
    return answer


def _read_ready(answer: httpx.Response) -> _Ready:
    """Whether the server hands out: it may be there, and wait for its disk or for `dibs accept`."""
    if answer.status_code == httpx.codes.OK:
        return _Ready()
    why, name = f"it hands nothing out: /readyz answers {answer.status_code}", ""
    try:
        told = answer.json()
        why, name = str(told["detail"]), str(told.get("type", "")).removeprefix(TYPE)
    except (ValueError, KeyError, TypeError):
        pass
    return _Ready(why, name)


def _unseen(about: str, error: ServerRefused) -> Finding:
    """What the server does not let the doctor see, with what helps: that depends on why."""
    return note(about, f"not looked at: {error}", _WAYS.get(error.problem.name, _FAILS))


def _version(url: str, its: str) -> Iterator[Finding]:
    if its == version():
        yield well("server", f"dibs {its} at {url}")
    else:
        told = f"dibs {its} at {url}, and this is {version()}"
        yield mend("server", told, "use one version on both ends; the server first")


def _date(text: str, sent: float, came: float) -> Iterator[Finding]:
    try:
        its = parsedate_to_datetime(text).timestamp()
    except ValueError:
        yield note("server's clock", "its answers have no Date")
        return
    apart = its - came if its > came else its + 1 - sent if its + 1 < sent else 0.0  # it may be within
    if abs(apart) > APART:
        way = "ahead of" if apart > 0 else "behind"
        yield mend("server's clock", f"{span(abs(apart))} {way} this machine's", "set both right (NTP)")
    else:
        yield well("server's clock", "the same as here")


def failed(api: Api) -> Iterator[Finding]:
    """The queues that have failed: they hand out nothing fresh until somebody mends their source."""
    try:
        every = [queue for page in api.pages("queues") for queue in page["queues"]]
    except ServerRefused as error:
        yield _unseen("queues", error)
        return
    except ClientError as error:
        yield mend("queues", str(error), "look at the proxy before the server")
        return
    found = [queue for queue in every if queue.get("failure")]
    for queue in found[:_NAMED]:
        name = queue["queue"]
        yield mend(f"queue {name}", failure(queue), f"mend its source, then `dibs retry {name}`")
    if len(found) > _NAMED:
        yield mend("queues", f"{len(found) - _NAMED:,} more have failed", "`dibs queues` shows them")
    if not found:
        yield well("queues", "none has failed")


def servers(api: Api) -> Iterator[Finding]:
    """Who owns, where several servers share the ledger, and what is not well with their database."""
    try:
        found = api.get("stats", limit=1).get("cluster")
    except ClientError:
        return  # it is told with the queues
    if found is None:
        return
    owner = found["owner"] or "nobody"
    many = len(found["servers"])
    told = f"owner {owner} in term {found['term']:,}, for {span(found['lasts'])}"
    yield well(
        "cluster", f"{told}; {many} server{'' if many == 1 else 's'}, at transaction {found['position']:,}"
    )
    for warning in found["warnings"]:
        yield note("cluster", warning)
    for server in found["servers"]:
        if server["note"]:
            yield note("cluster", *unfit(server["url"], server["note"], owns=server["url"] == owner))
        for told in server.get("troubles", ()):
            yield mend("cluster", *troubled(server["url"], told))


def streaming(api: Api, *, quiet: float = PATIENCE) -> Iterator[Finding]:
    """Whether live events come through at once, and not when a buffer is full."""
    try:
        began = time.monotonic()
        with closing(listen(api, "overview", quiet=quiet)) as events:
            next(events)
    except ServerRefused as error:
        yield _unseen("streaming", error)
    except Unreachable:
        yield mend(
            "streaming",
            "no event came in time: something between here and the server keeps answers back",
            "turn buffering off in the proxy (nginx: proxy_buffering off)",
        )
    except ClientError as error:
        yield mend("streaming", str(error), "look at the proxy before the server")
    else:
        yield well("streaming", f"an event came in {span(time.monotonic() - began)}")
