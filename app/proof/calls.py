"""The calls of a load test: what is sent, what a history keeps of it, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic import TypeAdapter

from .records import Do, Entry, Lease
from .values import ranges

_LISTS = {Do.ACK: "acks", Do.NACK: "nacks", Do.EXTEND: "extends", Do.RELEASE: "releases"}

Told = Mapping[str, Any]

lease_of: Final[Callable[[Any], Lease | None]] = TypeAdapter(Lease | None).validate_python
"""The lease of an answer as a history keeps it, as the checker reads it."""


class Call(NamedTuple):
    """One request to a queue.

    ``asked`` is what a history keeps of it. ``read`` makes of an answer's JSON what a history keeps of that
    (None: the answer is empty); it raises KeyError, ValueError or the like where that has not what this call
    ``wants``. ``patient``: a refusal is an answer, too, so the client goes on asking as long as the server
    speaks.
    """

    path: str
    body: Mapping[str, Any] | None
    asked: Told
    read: Callable[[Any], Told]
    wants: str
    may_be_empty: bool = False
    patient: bool = False


def take(count: int) -> Call:
    """Take up to ``count`` items."""
    path = "next" if count == 1 else f"next?count={count}"
    return Call(path, None, {"op": "take", "count": count}, _taken, "items of this queue")


def push(items: Sequence[Told]) -> Call:
    """Push the items of a body."""
    asked = {
        "op": "push",
        "values": [item["value"] for item in items],
        "names": [item.get("key") for item in items],
    }
    return Call(
        "items", {"items": items}, asked, partial(_pushed, len(items)), "seqs of all items", patient=True
    )


def exchange(entries: Sequence[Entry], lease: Told | None) -> Call:
    """Settle ``entries`` and lease the next items, by the body of a lease; either may be absent."""
    terms = {"max": lease["max"], "ttl": lease["ttl"]} if lease else {"max": 0, "ttl": 0}
    asked = {"op": "work", "entries": [kept(entry) for entry in entries], **terms}
    if lease and not entries:
        return Call("lease", lease, asked, partial(exchanged, ()), "a lease", may_be_empty=True)
    body = settle_body(entries) | ({"lease": lease} if lease else {})
    return Call("settle", body, asked, partial(exchanged, entries), "outcomes")


def kept(entry: Entry) -> dict[str, Any]:
    """An entry as a history keeps it."""
    body: dict[str, Any] = {"do": entry.do.value, "token": entry.token}
    if entry.seqs is not None:
        body["seqs"] = entry.seqs
    return body | ({"ttl": entry.ttl / 1e9} if entry.do is Do.EXTEND else {})


def settle_body(entries: Sequence[Entry]) -> dict[str, Any]:
    """The entries as the server takes them."""
    body: dict[str, Any] = {}
    for entry in entries:
        told = kept(entry)
        if entry.do is Do.NACK:
            told["error"] = "told to fail by the load test"
        body.setdefault(_LISTS[told.pop("do")], []).append(told)
    return body


def _taken(told: Told) -> Told:
    items = told.get("items", [told])
    seqs = [item["seq"] for item in items]
    _check_seqs(seqs)
    return {"seqs": ranges(seqs), "values": [item["value"] for item in items]}


def _pushed(count: int, told: Told) -> Told:
    items = told["items"]
    seqs = [item["seq"] for item in items]
    _check_seqs(seqs)
    if len(seqs) != count:
        raise ValueError(seqs)
    return {"seqs": ranges(seqs), "known": [at for at, item in enumerate(items) if item.get("duplicate")]}


def _check_seqs(seqs: Sequence[Any]) -> None:
    if not all(type(seq) is int and seq >= 1 for seq in seqs):
        raise ValueError(seqs)


def exchanged(entries: Sequence[Entry], told: Told | None) -> Told:
    """What a history keeps of the answer to a settle or a lease; the answer has its outcomes by action."""
    if told is None:
        return {"outcomes": [], "lease": None}
    left = {do: iter(told.get(name) or ()) for do, name in _LISTS.items()}
    outcomes = []
    for entry in entries:
        came = next(left[entry.do], None)
        if came is None:
            raise KeyError(entry.do)
        outcomes.append([_came(one) for one in came])
    lease = told.get("lease") if entries else told
    return {"outcomes": outcomes, "lease": None if lease is None else _leased(lease)}


def _came(one: Told) -> list[Any]:
    first, last = one["seqs"] or (None, None)
    expires = [one["expires_in"]] if one.get("expires_in") is not None else []
    return [first, last, one["outcome"], *expires]


def _leased(told: Told) -> dict[str, Any]:
    items = told["items"]
    return {
        "token": told["token"],
        "expires_in": float(told["expires_in"]),
        "seqs": ranges([item["seq"] for item in items]),
        "values": [item["value"] for item in items],
        "attempts": [item["attempt"] for item in items],
    }
