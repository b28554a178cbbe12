"""One connection for work: it pushes, settles and leases, and reports exactly what is known afterwards."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from ..records import identity
from ..wire import Fate, Reply, exchange, refusal
from .history import ranges
from .records import Do, Entry, Lease

_LISTS = {Do.ACK: "acks", Do.NACK: "nacks", Do.EXTEND: "extends", Do.RELEASE: "releases"}


class WorkReply(NamedTuple):
    """A fate with what belongs to it; ``answer`` is what a history keeps of it.

    ``lease`` is what was handed out; ``settled`` counts items by what came of them. ``pause`` is what the
    server asked for, in seconds. ``maybe``: of a fault, whether something may have happened all the same.
    """

    fate: Fate
    answer: Mapping[str, Any] = {}
    lease: Lease | None = None
    settled: Mapping[str, int] = {}
    known: int = 0
    error: str = ""
    pause: float = 0.0
    maybe: bool = False


class Ask(NamedTuple):
    """The next lease that is asked for. ``wait`` and ``ttl`` are seconds."""

    most: int
    ttl: float
    wait: float
    worker: str


class WorkConnection:
    """One keep-alive connection to one queue; for one thread.

    Args:
        url: The server.
        queue: The queue of the test.
        timeout: Seconds for each of connecting, sending and receiving.
        tls: The TLS context for https, shared by all connections.
    """

    def __init__(self, url: str, queue: str, *, timeout: float, tls: ssl.SSLContext) -> None:
        self._transport = httpx.HTTPTransport(verify=tls, trust_env=False)
        self._queue = queue
        self._url = f"{url}/queues/{quote(queue, safe='')}"
        self._extensions = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), timeout)}

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def push(self, items: Sequence[Mapping[str, Any]], key: str) -> WorkReply:
        """Push the items of a body. A failure of the network or the server is a `Fate`, not an exception."""
        answered = self._post("items", {"items": items}, key)
        if isinstance(answered, WorkReply):
            return answered
        response, body = answered
        try:
            pushed = json.loads(body)["items"]
            seqs = [item["seq"] for item in pushed]
            known = [at for at, item in enumerate(pushed) if item.get("duplicate")]
        except (ValueError, KeyError, TypeError, AttributeError):
            return _fault(f"{response.status_code} without seqs: {body[:200]!r}")
        if len(seqs) != len(items) or not all(type(seq) is int and seq >= 1 for seq in seqs):
            return _fault(f"{len(items)} items pushed, answered with {body[:200]!r}")
        answer = {"seqs": ranges(seqs), "known": known, "replay": _is_replay(response)}
        return WorkReply(Fate.ITEMS, answer, known=len(known))

    def work(self, entries: Sequence[Entry], ask: Ask | None, key: str) -> WorkReply:
        """Settle ``entries`` and lease the next items, in one request; either may be absent."""
        if not entries and ask is not None:
            answered = self._post("lease", ask._asdict() | {"max": ask.most}, key, drop=("most",))
        else:
            answered = self._post("settle", _settle_body(entries, ask), key)
        if isinstance(answered, WorkReply):
            return answered
        response, body = answered
        if response.status_code == HTTPStatus.NO_CONTENT:
            return WorkReply(Fate.ITEMS, _worked([], None, _is_replay(response)))
        try:
            told = json.loads(body)
            outcomes = _outcomes(entries, told) if entries else []
            lease = told.get("lease") if entries else told
            raw = None if lease is None else _lease(lease)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return _fault(f"{response.status_code} without outcomes: {body[:200]!r}")
        settled: dict[str, int] = {}
        for first, last, verdict, *_ in (came for entry in outcomes for came in entry):
            settled[verdict] = settled.get(verdict, 0) + (1 if first is None else last - first + 1)
        answer = _worked(outcomes, raw, _is_replay(response))
        return WorkReply(Fate.ITEMS, answer, None if raw is None else lease_of(raw), settled)

    def _post(
        self, path: str, body: Mapping[str, Any], key: str, drop: Sequence[str] = ()
    ) -> tuple[httpx.Response, bytes] | WorkReply:
        """The 2xx answer; or what is known without one."""
        content = json.dumps({name: value for name, value in body.items() if name not in drop}).encode()
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        request = httpx.Request(
            "POST", f"{self._url}/{path}", content=content, headers=headers, extensions=self._extensions
        )
        answered = exchange(self._transport, request)
        if isinstance(answered, Reply):
            return _of(answered)
        response, answer = answered
        return answered if response.is_success else _of(refusal(response, answer))


def lease_of(raw: Mapping[str, Any]) -> Lease:
    """A lease as the history keeps it, as the checker reads it."""
    return Lease(
        token=raw["token"],
        expires_in=round(raw["expires_in"] * 1e9),
        seqs=tuple(seq for first, last in raw["seqs"] for seq in range(first, last + 1)),
        values=tuple(identity(value) for value in raw["values"]),
        attempts=tuple(raw["attempts"]),
    )


def entry_body(entry: Entry) -> dict[str, Any]:
    """An entry as a history keeps it."""
    body: dict[str, Any] = {"do": entry.do.value, "token": entry.token}
    if entry.seqs is not None:
        body["seqs"] = entry.seqs
    return body | ({"ttl": entry.ttl / 1e9} if entry.do is Do.EXTEND else {})


def _settle_body(entries: Sequence[Entry], ask: Ask | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for entry in entries:
        told = entry_body(entry)
        if entry.do is Do.NACK:
            told |= {"error": "told to fail by the load test"}
        body.setdefault(_LISTS[told.pop("do")], []).append(told)
    if ask is not None:
        body["lease"] = {"max": ask.most, "ttl": ask.ttl, "wait": ask.wait, "worker": ask.worker}
    return body


def _outcomes(entries: Sequence[Entry], told: Mapping[str, Any]) -> list[list[list[Any]]]:
    """The outcomes of each entry, in the order of ``entries``; the answer has them by action."""
    left = {do: iter(told.get(name) or ()) for do, name in _LISTS.items()}
    outcomes = []
    for entry in entries:
        came = next(left[entry.do], None)
        if came is None:
            raise KeyError(entry.do)
        outcomes.append([_came(one) for one in came])
    return outcomes


def _came(one: Mapping[str, Any]) -> list[Any]:
    first, last = one["seqs"] or (None, None)
    expires = [one["expires_in"]] if one.get("expires_in") is not None else []
    return [first, last, one["outcome"], *expires]


def _lease(told: Mapping[str, Any]) -> dict[str, Any]:
    items = told["items"]
    return {
        "token": told["token"],
        "expires_in": float(told["expires_in"]),
        "seqs": ranges([item["seq"] for item in items]),
        "values": [item["value"] for item in items],
        "attempts": [item["attempt"] for item in items],
    }


def _worked(outcomes: Sequence[Any], lease: Mapping[str, Any] | None, replay: bool) -> dict[str, Any]:
    return {"outcomes": outcomes, "lease": lease, "replay": replay}


def _is_replay(response: httpx.Response) -> bool:
    return bool(response.headers.get("idempotent-replayed") == "true")


def _of(reply: Reply) -> WorkReply:
    return WorkReply(reply.fate, error=reply.error, pause=reply.pause, maybe=reply.maybe)


def _fault(error: str) -> WorkReply:
    return WorkReply(Fate.FAULT, error=error, maybe=True)
