"""The queue under test: made or looked at before the load, audited and cleared away after it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from .errors import HarnessFault
from .fields import first_problem
from .kinds import Kind
from .plan import Plan
from .records import Audit, Header, Inside
from .wire import shown, tls_for

_PAUSE = 0.1
_PAGE = 1_000
_MAX_SAFE = 2**53 - 1
_DISTINCT = frozenset({"count", "range", "snowflake", "uuid7"})
_BEFORE = ("cursor", "taken", "jumped", "acked")
_COUNTED = [field.name for field in fields(Audit)]
_HEADER = TypeAdapter(Header)
_AUDIT = TypeAdapter(Audit)
T = TypeVar("T")


class Target:
    """Asks the server about one queue; not for hand-outs. The plan says which server and queue."""

    def __init__(self, plan: Plan) -> None:
        self.url = plan.url
        self._urls = plan.urls()
        self._at = 0
        self.own = plan.queue is None
        self.queue = plan.queue or f"loadtest-{uuid.uuid4().hex[:12]}"
        self._jobs = plan.jobs
        self._several = plan.several
        self._path = f"/queues/{quote(self.queue, safe='')}"
        self._patience = plan.patience
        self._opened = 0.0
        self._client = httpx.Client(
            timeout=plan.timeout,
            trust_env=False,
            verify=tls_for(plan.url),
            headers=shown(plan.token),
        )

    def open(self) -> Header:
        """Make the queue, or look at it.

        Raises:
            HarnessFault: there is no server or no queue, or the answer can't be understood.
        """
        jobs = self._jobs
        body = {"source": None, "settings": jobs.settings} if jobs else {"source": "count", "args": {}}
        method, sent = ("PUT", body) if self.own else ("GET", None)
        response = self._send(method, self._path, sent, first=True)
        state = _json(response)
        self._opened = time.monotonic()
        start, step = _arithmetic(state)
        known = {
            "queue": self.queue,
            "kind": Kind.WORK if jobs else Kind.TAKES,
            "url": self.url,
            "source": _source(state),
            "instance": response.headers.get("dibs-instance"),
            "server": response.headers.get("dibs-version"),
            "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "exclusive": self.own,
            "distinct": state.get("source") in _DISTINCT,
            "start": start,
            "step": step,
            "max_attempts": jobs.max_attempts if jobs else None,
            "several": self._several,
        }
        return _read(_HEADER, {name: state.get(name) for name in _BEFORE} | known)

    def audit(self) -> Audit:
        """The server's own counters."""
        body = _json(self._send("GET", f"{self._path}/audit"))
        # A server of 0.3 tells no base; all else has to be there.
        return _read(_AUDIT, {**dict.fromkeys(_COUNTED), "base": 0, **body})

    def left(self) -> int:
        """How many items wait or are leased."""
        audit = self.audit()
        return audit.waiting + audit.leased

    def inside(self) -> Iterator[Inside]:
        """Every item that is still in the queue, page by page."""
        after: int | None = 0
        while after is not None:
            page = _json(self._send("GET", f"{self._path}/items?after={after}&limit={_PAGE}"))
            try:
                yield from (Inside(one["seq"], one["state"], one["attempt"]) for one in page["items"])
                before, after = after, page["next"]
            except (KeyError, TypeError) as error:
                raise HarnessFault(f"a page of items can't be read: {error!r}") from None
            if after is not None and (type(after) is not int or after <= before):
                raise HarnessFault(f"a page of items after {before} says that the next is {after!r}")

    def is_steady(self) -> bool:
        """Whether the server has been up since the queue was made; of several nobody can tell."""
        if self._several:
            return False
        uptime = _json(self._send("GET", "/stats?limit=1")).get("uptime")
        return isinstance(uptime, (int, float)) and uptime >= time.monotonic() - self._opened

    def stats(self) -> Mapping[str, Any] | None:
        """The server's statistics; None where it does not tell them."""
        try:
            return _json(self._send("GET", "/stats?limit=1", first=True))
        except HarnessFault:
            return None

    def delete(self) -> None:
        """Delete the queue, which must be the test's own. One that is gone already is no error."""
        self._send("DELETE", f"{self._path}?confirm={quote(self.queue, safe='')}")

    def close(self) -> None:
        """Close the connection; the queue stays."""
        self._client.close()

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, first: bool = False
    ) -> httpx.Response:
        """One request, repeated while that may help: all of them may be. The very first is not.

        Where there are several servers, the next one is asked when one does not answer.

        Raises:
            HarnessFault: there was no answer, or one of a server in trouble, until patience was over.
        """
        until = time.monotonic() + (0 if first else self._patience)
        while True:
            url = self._urls[self._at]
            try:
                answered = self._client.request(method, url + path, json=body)
                if answered.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answered
                problem = _told(answered)
            except httpx.TransportError as error:
                problem = f"no server at {url} ({str(error) or type(error).__name__})"
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise HarnessFault(f"{url}: {error}") from None
            self._at = (self._at + 1) % len(self._urls)
            if time.monotonic() >= until:
                raise HarnessFault(problem)
            time.sleep(_PAUSE)


def ready(url: str, *, timeout: float) -> bool:
    """Whether the server takes requests."""
    try:
        return httpx.get(f"{url}/readyz", timeout=timeout, trust_env=False, verify=tls_for(url)).is_success
    except httpx.TransportError:
        return False


def _json(response: httpx.Response) -> Mapping[str, Any]:
    """The JSON object of the answer. Raises HarnessFault for a refusal, or any other answer."""
    if not response.is_success:
        raise HarnessFault(_told(response))
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HarnessFault(f"{response.request.method} {response.url} did not answer with JSON")
    return body


def _arithmetic(state: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The start and step of a source whose value at each seq is known; numbers only, no text."""
    args = state.get("args")
    if state.get("source") not in {"count", "range"} or not isinstance(args, dict):
        return None, None
    numbers = {"start": int(state["source"] == "count"), "step": 1} | {
        name: value for name, value in args.items() if name != "format" or value is not None
    }
    if any(type(value) is not int or abs(value) > _MAX_SAFE for value in numbers.values()):
        return None, None
    return numbers["start"], numbers["step"]


def _source(state: Mapping[str, Any]) -> str:
    """The source as it is called; nothing where producers push."""
    args, source = state.get("args"), state.get("source")
    inside = ", ".join(f"{name}={value!r}" for name, value in args.items()) if isinstance(args, dict) else ""
    return "" if source is None else f"{source}({inside})"


def _read(adapter: TypeAdapter[T], told: Any) -> T:
    """What the server told, as a history has it. Raises HarnessFault for what is missing or wrong."""
    try:
        return adapter.validate_python(told)
    except ValidationError as error:
        raise HarnessFault(f"the server's answer can't be read: {first_problem(error)}") from None


def _told(response: httpx.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.reason_phrase
    return f"{response.request.method} {response.url}: {response.status_code} {detail}"
