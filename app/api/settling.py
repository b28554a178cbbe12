"""What the model of a settle can't say: its limits over all entries, and that no item is named twice."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from ..ledger.work import Ack, Entry
from ..queue.answers import LeaseAsk
from ..queue.limits import Limits
from .problems import invalid, over
from .verbs import VERBS

KINDS: Final[dict[type, str]] = {verb.word: verb.kind for verb in VERBS}
"""The words of entries, in the order in which they are applied, and their lists."""


class Settling(NamedTuple):
    """The entries of a settle in their order, and the lease that it asks for."""

    entries: tuple[Entry, ...]
    lease: LeaseAsk | None = None


def settling(limits: Limits, body: dict[str, Any]) -> Settling:
    """The settle that a body asks for, as its model gives it."""
    entries: list[Entry] = []
    for kind in KINDS.values():
        entries += body.get(kind, ())
        if len(entries) > limits.entries:
            raise over(kind, f"a settle has at most {limits.entries} entries", limits.entries)
    _check_sizes(limits, entries)
    if len(entries) > 1:
        _check_once(entries)
    return Settling(tuple(entries), body.get("lease"))


def alone(limits: Limits, entry: Entry) -> Settling:
    """The settle of one entry."""
    _check_sizes(limits, (entry,))
    return Settling((entry,))


def _check_sizes(limits: Limits, entries: Iterable[Entry]) -> None:
    ranges = results = 0
    for entry in entries:
        ranges += len(entry.seqs or ())
        results += len(entry.push) if type(entry) is Ack else 0
    if ranges > limits.ranges:
        raise over("seqs", f"a request names at most {limits.ranges} ranges", limits.ranges)
    if results > limits.count:
        raise over("push", f"a request pushes at most {limits.count} results", limits.count)


def _check_once(entries: list[Entry]) -> None:
    """Refuse what is said twice of one item under one token: which of both would hold?

    The same seq under two tokens is none of that: at most one of them is live, and a late worker that settles
    both does right.
    """
    named: dict[str, list[tuple[int, int, int]]] = {}
    whole_leases: set[str] = set()
    for at, entry in enumerate(entries):
        if entry.token in whole_leases or (entry.seqs is None and entry.token in named):
            why = "an entry before it names this lease already, and one of them all of it"
            raise invalid(f"{_place(entries, at)}.token", why)
        if entry.seqs is None:
            whole_leases.add(entry.token)
        else:
            named.setdefault(entry.token, []).extend([(*span, at) for span in entry.seqs])
    for found in named.values():
        found.sort()
        for (_, last, one), (first, _, other) in pairwise(found):
            if first <= last:
                raise invalid(f"{_place(entries, max(one, other))}.seqs", f"seq {first} is named twice")


def _place(entries: list[Entry], at: int) -> str:
    """The entry's place in the body: ``acks.1``."""
    word = type(entries[at])
    return f"{KINDS[word]}.{sum(type(entry) is word for entry in entries[:at])}"
