"""Who got each seq: noted while somebody watches the proof, and at no other time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
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
        self._shown: dict[str, Any] | None = None  # as it is, until something is noted
        self._stop: Callable[[], None] = queue.line.replies.watch(self._note)

    def close(self) -> None:
        """Note nothing more."""
        self._stop()

    def _note(self, waiting: Waiting, answer: Answer) -> None:
        served = answer.served
        handed = served.handed
        if handed is None or served.replayed or not handed.fresh:
            return
        self._shown = None
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
        if self._shown is None:
            self._shown = self._strip()
        return self._shown

    def _strip(self) -> dict[str, Any]:
        if self._first is None:
            return {"seqs": [], "clients": [], "seen": 0, "twice": 0, "missing": 0, "changes": 0}
        line = range(max(self._first, self._last - STRIP + 1), self._last + 1)
        got = list(map(self._got.get, line))
        # The clients of the strip are numbered in the order in which they were seen first.
        clients = sorted({found[0] for found in got if found is not None})
        ranks: dict[int | None, int] = {client: rank for rank, client in enumerate(clients)}
        rows: list[dict[str, Any]] = [
            {"name": self._names[client], "count": 0, "first": 0, "last": 0} for client in clients
        ]
        seqs: list[tuple[int, int | None, bool]] = []
        missing = changes = 0
        before = got[0][0] if got[0] is not None else None
        for seq, found in zip(line, got, strict=True):
            client, twice = found or (None, False)
            changes += client != before
            before = client
            if client is None:
                missing += 1
                seqs.append((seq, None, False))
                continue
            rank = ranks[client]
            seqs.append((seq, rank, twice))
            row = rows[rank]
            row["count"] += 1
            row["first"] = row["first"] or seq
            row["last"] = seq
        return {
            "seqs": seqs,
            "clients": rows,
            "seen": len(seqs) - missing,
            "twice": self.twice,
            "missing": missing,
            "changes": changes,
        }
