"""The queue under test: made or looked at before the load, audited and cleared away after it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx

from .errors import HarnessFault
from .records import Audited, Header
from .wire import tls_for

_PAUSE = 0.1
_MAX_SAFE = 2**53 - 1
_DISTINCT = frozenset({"count", "range", "snowflake", "uuid7"})


class Endpoint:
    """Asks the server about one queue; not for hand-outs.

    Args:
        url: The server.
        queue: An existing queue; None makes one.
        patience: The seconds for which a request is repeated if the server can't answer it.
    """

    def __init__(self, url: str, queue: str | None, *, timeout: float, patience: float) -> None:
        self.url = url
        self.own = queue is None
        self.queue = queue or f"loadtest-{uuid.uuid4().hex[:12]}"
        self.path = f"/queues/{quote(self.queue, safe='')}"
        self._patience = patience
        self._client = httpx.Client(base_url=url, timeout=timeout, trust_env=False, verify=tls_for(url))

    def delete(self) -> None:
        """Delete the queue if it is the test's own. A queue that is gone already is no error."""
        if self.own:
            self.send("DELETE", f"{self.path}?confirm={quote(self.queue, safe='')}")

    def close(self) -> None:
        """Close the connection; the queue stays."""
        self._client.close()

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, first: bool = False
    ) -> httpx.Response:
        """One request, repeated while that may help: all of them may be. The very first is not.

        Raises:
            HarnessFault: there was no answer, or one of a server in trouble, until patience was over.
        """
        until = time.monotonic() + (0 if first else self._patience)
        while True:
            answered: httpx.Response | None = None
            try:
                answered = self._client.request(method, path, json=body)
                problem = ""
            except httpx.TransportError as error:
                problem = f"no server at {self.url} ({str(error) or type(error).__name__})"
            except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
                raise HarnessFault(f"{self.url}: {error}") from None
            if answered is not None and answered.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                return answered
            if time.monotonic() >= until:
                raise HarnessFault(problem or _told(answered))
            time.sleep(_PAUSE)

    def stats(self) -> Mapping[str, Any] | None:
        """The server's statistics; None where it does not tell them."""
        try:
            return self.json(self.send("GET", "/stats?limit=1", first=True))
        except HarnessFault:
            return None

    def json(self, response: httpx.Response) -> Mapping[str, Any]:
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


class Target(Endpoint):
    """The queue that the test takes from: an existing one, or a new one that counts from 1."""

    def open(self) -> Header:
        """Make the queue, or look at it.

        Raises:
            HarnessFault: there is no server or no queue, or the answer can't be understood.
        """
        if self.own:
            response = self.send("PUT", self.path, {"source": "count", "args": {}}, first=True)
        else:
            response = self.send("GET", self.path, first=True)
        state = self.json(response)
        start, step = _arithmetic(state)
        return Header(
            queue=self.queue,
            url=self.url,
            source=_source(state),
            instance=response.headers.get("dibs-instance"),
            server=response.headers.get("dibs-version"),
            started_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            cursor=counter(state, "cursor"),
            taken=counter(state, "taken"),
            jumped=counter(state, "jumped"),
            exclusive=self.own,
            distinct=state.get("source") in _DISTINCT,
            start=start,
            step=step,
        )

    def audit(self) -> Audited:
        """The server's own counters."""
        body = self.json(self.send("GET", f"{self.path}/audit"))
        cursor, taken, jumped = (counter(body, name) for name in ("cursor", "taken", "jumped"))
        return Audited(cursor, taken, jumped, body.get("balanced") is True)


def ready(url: str, *, timeout: float) -> bool:
    """Whether the server takes requests."""
    try:
        return httpx.get(f"{url}/readyz", timeout=timeout, trust_env=False, verify=tls_for(url)).is_success
    except httpx.TransportError:
        return False


_Arithmetic = tuple[int | None, int | None]


def _arithmetic(state: Mapping[str, Any]) -> _Arithmetic:
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
    args = state.get("args")
    inside = ", ".join(f"{name}={value!r}" for name, value in args.items()) if isinstance(args, dict) else ""
    return f"{state.get('source')}({inside})"


def counter(body: Mapping[str, Any], name: str) -> int:
    """A counter that must be there; else HarnessFault."""
    value = body.get(name)
    if type(value) is not int:
        raise HarnessFault(f'the server\'s answer has no counter "{name}"')
    return value


def _told(response: httpx.Response | None) -> str:
    if response is None:
        return "no answer"
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = response.reason_phrase
    return f"{response.request.method} {response.url}: {response.status_code} {detail}"
