"""One client's connection: it sends a request and reports exactly what is known afterwards.

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

PROBLEM = "urn:dibs:problem:"


def tls_for(url: str) -> ssl.SSLContext:
    """The TLS context for https. For plain http it is empty, as loading authorities takes long."""
    return (
        ssl.create_default_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    )


class Fate(Enum):
    """The fate of one request."""

    ITEMS = auto()  # answered with items
    REFUSED = auto()  # nothing was handed out; asking again may help
    EXHAUSTED = auto()  # nothing was handed out, and nothing will be
    LOST = auto()  # no reply, or one that says maybe: only the same key can tell
    UNSENT = auto()  # no connection: the server never saw it
    FAULT = auto()  # an answer that a correct server would not give to this request


class Reply(NamedTuple):
    """A fate with what belongs to it. ``pause`` is what the server asked for, in seconds.

    ``maybe``: of a fault, whether something may have been handed out all the same.
    """

    fate: Fate
    seqs: Sequence[Sequence[int]] = ()
    values: Sequence[Any] = ()
    replay: bool = False
    error: str = ""
    pause: float = 0.0
    maybe: bool = False


class Connection:
    """One keep-alive connection to one queue; for one thread.

    Args:
        url: The server.
        queue: The queue to take from.
        timeout: Seconds for each of connecting, sending and receiving.
        tls: The TLS context for https, shared by all connections.
    """

    def __init__(self, url: str, queue: str, *, timeout: float, tls: ssl.SSLContext) -> None:
        self._transport = httpx.HTTPTransport(verify=tls, trust_env=False)
        self._queue = queue
        self._url = f"{url}/queues/{quote(queue, safe='')}/next"
        self._urls: dict[int, httpx.URL] = {}
        self._extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)}

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def next(self, count: int, key: str | None) -> Reply:
        """Take up to ``count`` items. A failure of the network or the server is a `Fate`, no exception."""
        request = httpx.Request(
            "POST",
            self._urls.get(count) or self._url_for(count),
            headers={} if key is None else {"Idempotency-Key": key},
            extensions=self._extensions,
        )
        answered = exchange(self._transport, request)
        if isinstance(answered, Reply):
            return answered
        response, body = answered
        if response.status_code == HTTPStatus.OK:
            return self._items(body, response.headers.get("idempotent-replayed") == "true")
        return refusal(response, body)

    def _url_for(self, count: int) -> httpx.URL:
        url = self._urls[count] = httpx.URL(self._url if count == 1 else f"{self._url}?count={count}")
        return url

    def _items(self, body: bytes, replay: bool) -> Reply:
        try:
            answer = json.loads(body)
            items = answer.get("items", [answer])
            seqs = [item["seq"] for item in items]
            values = [item["value"] for item in items]
            queue = answer["queue"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return _fault(f"200 without items: {body[:200]!r}")
        if queue != self._queue or not all(type(seq) is int and seq >= 1 for seq in seqs):
            return _fault(f"200 with items that are not of this queue: {body[:200]!r}")
        return Reply(Fate.ITEMS, _ranges(seqs), values, replay)


def exchange(transport: httpx.BaseTransport, request: httpx.Request) -> tuple[httpx.Response, bytes] | Reply:
    """One request and its whole answer; or what is known without one."""
    try:
        response = transport.handle_request(request)
        return response, response.read()
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
        return Reply(Fate.UNSENT, error=_named(error))
    except httpx.TransportError as error:
        return Reply(Fate.LOST, error=_named(error))


def refusal(response: httpx.Response, body: bytes) -> Reply:
    """The fate of a request that was not answered with 200.

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
        return Reply(Fate.LOST, error=answered) if lost else _fault(answered, maybe=False)
    name = str(problem["type"]).removeprefix(PROBLEM)
    error = f"{status} {name}: {problem.get('detail', '')}"
    if problem.get("handed_out") != "no":
        return Reply(Fate.LOST, error=error, pause=_pause(response))
    if status == HTTPStatus.GONE:
        return Reply(Fate.EXHAUSTED, error=error)
    if problem.get("retryable") is True:
        return Reply(Fate.REFUSED, error=error, pause=_pause(response))
    return _fault(error, maybe=False)


def _fault(error: str, *, maybe: bool = True) -> Reply:
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


def _ranges(seqs: list[int]) -> list[list[int]]:
    """The fewest ranges that have the seqs in their order; one range, for a correct server."""
    if seqs and seqs == list(range(seqs[0], seqs[0] + len(seqs))):
        return [[seqs[0], seqs[-1]]]
    return [[seq, seq] for seq in seqs]
