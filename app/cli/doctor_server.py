"""``dibs doctor`` looks at the server, through the URL as clients use it: version, clock, streaming."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from ..client.errors import ClientError, ServerRefused, Unreachable
from ..client.flow import Request
from ..client.wire import Wire
from ..config import version
from .doctor_findings import Finding, mend, note, well
from .events import listen
from .http import TRUST, Api, in_words, is_untrusted
from .words import span

PATIENCE: Final = 5.0
APART: Final = 2.0
"""Seconds by which two clocks may be apart: a Date has whole seconds."""


def look_through(url: str, *, named: bool, transport: httpx.BaseTransport | None = None) -> Iterator[Finding]:
    """All findings about the server at a URL. ``named``: somebody said that it is there."""
    wire = Wire(url, PATIENCE)
    line = transport or wire.dial()
    try:
        there = yield from _asked(wire, line, url, named=named)
    finally:
        if transport is None:
            line.close()
    if there:
        yield from streaming(Api(url, transport=transport))


def _asked(wire: Wire, line: httpx.BaseTransport, url: str, *, named: bool) -> Generator[Finding, None, bool]:
    """The findings of two requests; it returns whether there is a server of ours."""
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
        return False
    if its is None or ready is None:
        told = f"{url} answers {answer.status_code}, and is no dibs"
        yield mend("server", told, "say where the server is with --url; look at the proxy before it")
        return False
    yield from _version(url, its)
    yield from _ready(ready)
    yield from _date(answer.headers.get("date", ""), sent, came)
    return True


def _read(wire: Wire, line: httpx.BaseTransport, path: str) -> httpx.Response:
    answer = line.handle_request(wire.write(Request("GET", path), {}))
    try:
        answer.read()
    finally:
        answer.close()
    return answer


def _ready(answer: httpx.Response) -> Iterator[Finding]:
    """Whether the server hands out: it may be there, and wait for its disk or for `dibs accept`."""
    if answer.status_code == httpx.codes.OK:
        yield well("ready", "it hands out")
        return
    try:
        why = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        why = f"it hands nothing out: /readyz answers {answer.status_code}"
    yield mend("ready", why, "see `Backups` and `When something fails` in the manual")


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


def streaming(api: Api, *, quiet: float = PATIENCE) -> Iterator[Finding]:
    """Whether live events come through at once, and not when a buffer is full."""
    try:
        began = time.monotonic()
        next(listen(api, "overview", quiet=quiet))
    except ServerRefused as error:
        yield note("streaming", f"not looked at: {error}", "say who you are (DIBS_TOKEN)")
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
