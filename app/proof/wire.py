"""One client's connection: it sends a call and reports exactly what is known afterwards.

httpx's transport is used without its client: redirects, cookies and proxies have no place in a proof,
and they cost as much as everything else together, in a process whose threads share one interpreter lock.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from .calls import Call

PROBLEM = "urn:dibs:problem:"
_HOME_AFTER = 100
"""Answers of another server after which a connection tries its own again."""


def tls_for(url: str) -> ssl.SSLContext:
    """The TLS context for https. For plain http it is empty, as loading authorities takes long."""
    return (
        ssl.create_default_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )


def shown(token: str | None) -> dict[str, str]:
    """The header that shows a token."""
    return {} if token is None else {"Authorization": f"Bearer {token}"}


class Fate(Enum):
    """The fate of one request."""

    ANSWERED = auto()
    REFUSED = auto()  # nothing happened; asking again may help
    EXHAUSTED = auto()  # nothing was handed out, and nothing will be
    LOST = auto()  # no reply, or one that says maybe: only the same key can tell
    UNSENT = auto()  # no connection: the server never saw it
    FAULT = auto()  # an answer that a correct server would not give to this request


class Reply(NamedTuple):
    """A fate with what belongs to it; ``answer`` is what a history keeps of the answer.

    ``pause`` is what the server asked for, in seconds. ``maybe``: of a fault, whether something may have
    happened all the same. ``elsewhere``: another server may answer, where there are several.
    """

    fate: Fate
    answer: Mapping[str, Any] = {}
    error: str = ""
    pause: float = 0.0
    maybe: bool = False
    elsewhere: bool = False


class Connection:
    """One keep-alive connection to one queue; for one thread.

    With several servers it goes to the next one where a request was not answered, and after a while back to
    the first, as behind a balancer; so clients stay spread, however often servers are killed.

    Args:
        urls: The servers, in the order in which they are tried.
        queue: The queue of the test.
        timeout: Seconds for each of connecting, sending and receiving.
        tls: The TLS context for https, shared by all connections.
        token: The token to show.
    """

    def __init__(
        self,
        urls: Sequence[str],
        queue: str,
        *,
        timeout: float,
        tls: ssl.SSLContext,
        token: str | None = None,
    ) -> None:
        self._shown = shown(token)
        self._transport = httpx.HTTPTransport(verify=tls, trust_env=False)
        self._queue = queue
        self._bases = [f"{url}/queues/{quote(queue, safe='')}" for url in urls]
        self._at = self._away = 0
        self._urls: dict[tuple[int, str], httpx.URL] = {}
        self._extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)}

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def send(self, call: Call, key: str | None) -> Reply:
        """Send a call. A failure of the network or the server is a `Fate`, not an exception."""
        reply = self._send(call, key)
        if reply.elsewhere:
            self._at, self._away = (self._at + 1) % len(self._bases), 0
        elif self._at:
            self._away += 1
            if self._away >= _HOME_AFTER:
                self._at = self._away = 0
        return reply

    def _send(self, call: Call, key: str | None) -> Reply:
        headers = dict(self._shown) if key is None else {**self._shown, "Idempotency-Key": key}
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body).encode()
        request = httpx.Request(
            "POST", self._url(call.path), content=content, headers=headers, extensions=self._extensions
        )
        try:
            response = self._transport.handle_request(request)
            body = response.read()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Reply(Fate.UNSENT, error=_named(error), elsewhere=True)
        except httpx.TransportError as error:
            return Reply(Fate.LOST, error=_named(error), elsewhere=True)
        if response.is_success and (body or call.may_be_empty):
            return self._answered(call, response, body)
        down = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        return _refused(response, body)._replace(elsewhere=down)

    def _url(self, path: str) -> httpx.URL:
        where = self._at, path
        if where not in self._urls:
            self._urls[where] = httpx.URL(f"{self._bases[self._at]}/{path}")
        return self._urls[where]

    def _answered(self, call: Call, response: httpx.Response, body: bytes) -> Reply:
        try:
            told = json.loads(body) if body else {"queue": self._queue}
            answer = call.read(told if body else None) if told["queue"] == self._queue else None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            answer = None
        if answer is None:
            return _fault(f"{response.status_code} without {call.wants}: {body[:200]!r}", maybe=True)
        replay = response.headers.get("idempotent-replayed") == "true"
        return Reply(Fate.ANSWERED, {**answer, "replay": replay})


def _refused(response: httpx.Response, body: bytes) -> Reply:
    """The fate of a request that was not answered with what it asked for.

    A refusal is believed only in the server's own words: a 503 of a proxy says nothing about what the
    server did, so the request counts as lost.
    """
    status = response.status_code
    if status == HTTPStatus.NO_CONTENT:
        return Reply(Fate.REFUSED, error="204 empty", pause=0.05)
    problem = _problem(body)
    if problem is None:
        answered = f"{status} {response.reason_phrase}".strip()
        lost = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return Reply(Fate.LOST, error=answered) if lost else _fault(answered)
    name = str(problem["type"]).removeprefix(PROBLEM)
    error = f"{status} {name}: {problem.get('detail', '')}"
    if problem.get("handed_out") != "no":
        return Reply(Fate.LOST, error=error, pause=_pause(response))
    if status == HTTPStatus.GONE:
        return Reply(Fate.EXHAUSTED, error=error)
    if problem.get("retryable") is True:
        return Reply(Fate.REFUSED, error=error, pause=_pause(response))
    return _fault(error)


def _fault(error: str, *, maybe: bool = False) -> Reply:
    return Reply(Fate.FAULT, error=error, maybe=maybe)


def _problem(body: bytes) -> Mapping[str, Any] | None:
    try:
        problem = json.loads(body)
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and isinstance(problem.get("type"), str) else None


def _pause(response: httpx.Response) -> float:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
