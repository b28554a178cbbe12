"""What becomes of leased items, as a request says it: acks, nacks, extends, releases, and the next lease."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from ..errors import LimitExceeded
from ..ledger.work import Ack, Entry, Extend, Nack, Release, Result, Seqs
from ..queue.answers import LeaseAsk
from ..queue.limits import Limits, check_name
from .params import refuse
from .parcels import ItemReader
from .read import (
    Members,
    check_known,
    flag,
    items_of,
    members_of,
    milliseconds,
    name,
    number,
    over,
    ranges,
    required,
    text,
    whole,
)

KINDS: Final = ("acks", "nacks", "extends", "releases")
"""The lists of a settle, in the order in which they are applied."""
MIN_TTL: Final = 0.001
TOKEN_BYTES: Final = 255

_SETTLE: Final = frozenset({*KINDS, "lease"})
_LEASE: Final = frozenset({"max", "ttl", "wait", "worker"})
_ACK: Final = frozenset({"token", "seqs", "push"})
_NACK: Final = frozenset({"token", "seqs", "delay", "error", "dead"})
_EXTEND: Final = frozenset({"token", "seqs", "ttl"})
_RELEASE: Final = frozenset({"token", "seqs"})
_RESULT: Final = frozenset({"queue", "value", "key", "delay", "priority"})


@dataclass(frozen=True, slots=True)
class SettleBody:
    """A settle, read: its entries in their order, how many there are of each kind, the lease it asks for."""

    entries: tuple[Entry, ...]
    counts: tuple[int, ...]
    lease: LeaseAsk | None

    @property
    def waits(self) -> bool:
        """Whether its answer may take as long as somebody waits for it."""
        return self.lease is not None and self.lease.wait > 0


class EntryReader:
    """Reads the bodies of lease, settle and the four short calls, by the limits of the settings."""

    def __init__(self, limits: Limits, items: ItemReader) -> None:
        self._limits = limits
        self._items = items
        self.readers: dict[str, Callable[[Members, str], Entry]] = {
            "acks": self.ack,
            "nacks": self.nack,
            "extends": self.extend,
            "releases": self.release,
        }

    def settle(self, body: Members) -> SettleBody:
        """The body of a settle."""
        check_known(body, _SETTLE, "")
        entries: list[Entry] = []
        counts: list[int] = []
        for kind in KINDS:
            found = items_of(body.get(kind, []), kind)
            counts.append(len(found))
            if len(entries) + len(found) > self._limits.entries:
                over(kind, f"a settle has at most {self._limits.entries} entries", self._limits.entries)
            read = self.readers[kind]
            entries += [
                read(members_of(entry, f"{kind}.{at}"), f"{kind}.{at}.") for at, entry in enumerate(found)
            ]
        self._check_size(entries)
        if len(entries) > 1:
            _check_once(entries, counts)
        lease = self.lease(members_of(body["lease"], "lease"), "lease.") if "lease" in body else None
        return SettleBody(tuple(entries), tuple(counts), lease)

    def one(self, kind: str, body: Members) -> Entry:
        """The body of a short call: one entry."""
        entry = self.readers[kind](body, "")
        self._check_size([entry])
        return entry

    def lease(self, members: Members, where: str = "") -> LeaseAsk:
        """What a lease is asked for."""
        limits = self._limits
        check_known(members, _LEASE, where)
        most, ttl, wait, worker = 1, 30.0, 0.0, ""
        if "max" in members:
            most = whole(members["max"], f"{where}max", 1, limits.count)
        if "ttl" in members:
            ttl = number(members["ttl"], f"{where}ttl", MIN_TTL, limits.ttl)
        if "wait" in members:
            wait = number(members["wait"], f"{where}wait", 0, limits.wait)
        if "worker" in members:
            worker = name(members["worker"], f"{where}worker", limits.worker_bytes)
        return LeaseAsk(most, ttl, wait, worker)

    def ack(self, members: Members, where: str) -> Ack:
        """Done, with the results to push."""
        check_known(members, _ACK, where)
        token, seqs = _holding(members, where)
        if "push" not in members:
            return Ack(token, seqs)
        results = items_of(members["push"], f"{where}push", self._limits.count)
        return Ack(
            token, seqs, tuple(self._result(each, f"{where}push.{at}") for at, each in enumerate(results))
        )

    def nack(self, members: Members, where: str) -> Nack:
        """Failed, with a delay of its own or the queue's back-off."""
        check_known(members, _NACK, where)
        token, seqs = _holding(members, where)
        delay, error = None, ""
        if "delay" in members:
            delay = milliseconds(number(members["delay"], f"{where}delay", 0, self._limits.delay))
        if "error" in members:
            error = text(members["error"], f"{where}error", self._limits.error_bytes)
        return Nack(token, seqs, delay, error, "dead" in members and flag(members["dead"], f"{where}dead"))

    def extend(self, members: Members, where: str) -> Extend:
        """Still worked on."""
        check_known(members, _EXTEND, where)
        token, seqs = _holding(members, where)
        ttl = number(required(members, "ttl", where), f"{where}ttl", MIN_TTL, self._limits.ttl)
        return Extend(token, milliseconds(ttl), seqs)

    def release(self, members: Members, where: str) -> Release:
        """Not begun."""
        check_known(members, _RELEASE, where)
        return Release(*_holding(members, where))

    def _result(self, value: object, field: str) -> Result:
        members, where = members_of(value, field), f"{field}."
        check_known(members, _RESULT, where)
        name = required(members, "queue", where)
        if type(name) is not str:
            refuse(f"{where}queue", "it must be a string")
        try:
            check_name(name)
        except LimitExceeded as error:
            raise LimitExceeded(f"{where}queue: {error}", field=f"{where}queue", limit=error.limit) from None
        value_text = self._items.encode(required(members, "value", where), f"{where}value")
        key, delay, priority = self._items.terms(members, where)
        return Result(name, value_text, delay, priority, key)

    def _check_size(self, entries: list[Entry]) -> None:
        limits = self._limits
        if sum(len(entry.seqs) for entry in entries if entry.seqs) > limits.ranges:
            over("seqs", f"a request names at most {limits.ranges} ranges", limits.ranges)
        if sum(len(entry.push) for entry in entries if isinstance(entry, Ack)) > limits.count:
            over("push", f"a request pushes at most {limits.count} results", limits.count)


def _holding(members: dict[str, Any], where: str) -> tuple[str, Seqs | None]:
    """The token, and the seqs that are meant; None: all that it holds."""
    token = text(required(members, "token", where), f"{where}token", TOKEN_BYTES, least=1)
    return token, ranges(members["seqs"], f"{where}seqs") if "seqs" in members else None


def _check_once(entries: list[Entry], counts: list[int]) -> None:
    """Refuse what is said twice of one item under one token: which of both would hold?

    The same seq under two tokens is none of that: at most one of them is live, and a late worker that settles
    both does right.
    """
    named: dict[str, list[tuple[int, int, int]]] = {}
    whole_leases: set[str] = set()
    for at, entry in enumerate(entries):
        if entry.token in whole_leases or (entry.seqs is None and entry.token in named):
            where = _where(at, counts)
            refuse(f"{where}.token", "an entry before it names this lease already, and one of them all of it")
        if entry.seqs is None:
            whole_leases.add(entry.token)
        else:
            named.setdefault(entry.token, []).extend([(*span, at) for span in entry.seqs])
    for found in named.values():
        found.sort()
        for (_, last, one), (first, _, other) in pairwise(found):
            if first <= last:
                refuse(f"{_where(max(one, other), counts)}.seqs", f"seq {first} is named twice")


def _where(at: int, counts: list[int]) -> str:
    """The entry's place in the body: ``acks.1``."""
    for kind, count in zip(KINDS, counts, strict=True):
        if at < count:
            return f"{kind}.{at}"
        at -= count
    raise IndexError(at)
