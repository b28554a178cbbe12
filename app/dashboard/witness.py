"""Who got each seq: noted while somebody watches the proof, and at no other time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ..queue import Queue
    from ..queue.answers import Answer
    from ..queue.waiting import Waiting

STRIP: Final = 600
"""Seqs that are shown side by side."""
KEPT: Final = 4 * STRIP
"""Seqs that are remembered: answers of one commit are told in the order of their callers, not of seqs."""
CLIENTS_MOST: Final = 512


class Witness:
    """Notes who was handed which fresh item of one queue. Lives on the event loop, which alone touches it.

    A client is a worker, where a lease names one, else a connection. Items that are leased again are not
    fresh, and have been counted. ``twice`` would count seqs that were handed out fresh to two.
    """

    def __init__(self, queue: Queue, now: int) -> None:
        self.since = now
        self.line = queue.line
        self.twice = 0
        self._got: OrderedDict[int, tuple[int, bool]] = OrderedDict()
        self._clients: dict[object, int] = {}
        self._names: list[str] = []
        self._first: int | None = None
        self._last = 0
        self._stop: Callable[[], None] = queue.line.replies.watch(self._note)

    def close(self) -> None:
        """Note nothing more."""
        self._stop()

    def _note(self, waiting: Waiting, answer: Answer) -> None:
        served = answer.served
        handed = served.handed
        if handed is None or served.replayed or not handed.fresh:
            return
        client = self._client(waiting)
        got = self._got
        for span in handed.spans:
            first, last = span.first, span.last
            if self._first is None or first < self._first:
                self._first = first
            self._last = max(self._last, last)
            for seq in range(max(first, last - KEPT + 1), last + 1):
                twice = seq in got
                self.twice += twice
                got[seq] = client, twice
        while len(got) > KEPT:
            got.popitem(last=False)

    def _client(self, waiting: Waiting) -> int:
        holder = waiting.ask.handout.holder if waiting.ask.handout else None
        named = holder.worker if holder is not None and holder.worker else None
        identity: object = named or getattr(waiting.caller, "peer", None) or waiting.caller
        client = self._clients.get(identity)
        if client is None:
            if len(self._names) >= CLIENTS_MOST:
                return CLIENTS_MOST - 1
            client = self._clients[identity] = len(self._names)
            self._names.append(named or f"client-{client + 1}")
        return client

    def shown(self) -> dict[str, Any]:
        """The strip: each of the last seqs with who got it, the newest at the end."""
        if self._first is None:
            return {"seqs": [], "clients": [], "seen": 0, "twice": 0, "missing": 0, "changes": 0}
        begin = max(self._first, self._last - STRIP + 1)
        got = self._got
        line = [(seq, got.get(seq)) for seq in range(begin, self._last + 1)]
        ranks = self._ranks([found[0] for _, found in line if found is not None])
        seqs: list[tuple[int, int | None, bool]] = [
            (seq, None, False) if found is None else (seq, ranks[found[0]], found[1]) for seq, found in line
        ]
        owners = [client for _, client, _ in seqs]
        return {
            "seqs": seqs,
            "clients": _clients(seqs, [self._names[client] for client in ranks]),
            "seen": sum(1 for owner in owners if owner is not None),
            "twice": self.twice,
            "missing": sum(1 for owner in owners if owner is None),
            "changes": sum(1 for one, other in pairwise(owners) if one != other),
        }

    @staticmethod
    def _ranks(clients: list[int]) -> dict[int, int]:
        """The clients of the strip, numbered in the order in which they were seen first."""
        return {client: rank for rank, client in enumerate(sorted(set(clients)))}


def _clients(seqs: list[tuple[int, int | None, bool]], names: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"name": name, "count": 0, "first": 0, "last": 0} for name in names]
    for seq, client, _ in seqs:
        if client is not None:
            row = found[client]
            row["count"] += 1
            row["first"] = row["first"] or seq
            row["last"] = seq
    return found
