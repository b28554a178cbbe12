"""The deadlines of the asks of a queue that wait, with one timer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Final

from .waiting import Waiting

SPARE: Final = 64
"""Deadlines of asks that are parked no longer, above as many as there are asks, that are kept."""

_entries = count()


class Deadlines:
    """Tells when the deadline of a parked ask has come. Lives on the event loop, which alone touches it.

    Most asks are served long before, so a deadline is only put down at first; the timer puts those in order
    whose asks are still parked when it rings. It owns both lists and the timer. ``over`` is called with each
    ask whose deadline has come while it is parked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, over: Callable[[Waiting], None]) -> None:
        self._loop = loop
        self._over = over
        self._new: list[Waiting] = []
        self._ordered: list[tuple[float, int, Waiting]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rings = inf  # when the timer rings

    def note(self, waiting: Waiting, parked: int) -> None:
        """Note the deadline of an ask, one of so many that are parked."""
        if len(self._new) + len(self._ordered) > 2 * parked + SPARE:
            self._forget()
        waiting.noted = waiting.deadline
        self._new.append(waiting)
        if waiting.deadline < self._rings:
            self._arm(waiting.deadline)

    def _forget(self) -> None:
        """Forget the deadlines of asks that are parked no longer, before they are most of the lists."""
        for waiting in self._new:
            if not waiting.parked:
                waiting.noted = 0.0  # it may be being tried, and come back
        self._new[:] = [waiting for waiting in self._new if waiting.parked]
        for noted, _, waiting in self._ordered:
            if not waiting.parked and waiting.noted == noted:
                waiting.noted = 0.0
        self._ordered[:] = [entry for entry in self._ordered if _stands(entry)]
        heapify(self._ordered)

    def _arm(self, at: float) -> None:
        self.close()
        self._rings = at
        self._timer = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        """End the waits that are over; an ask that was served meanwhile has left its deadline behind."""
        now, ordered = self._loop.time(), self._ordered
        self._timer, self._rings = None, inf
        new, self._new = self._new, []
        for waiting in new:
            if waiting.parked:
                heappush(ordered, (waiting.noted, next(_entries), waiting))
            else:
                waiting.noted = 0.0
        while ordered and (ordered[0][0] <= now or not _stands(ordered[0])):
            entry = heappop(ordered)
            due, _, waiting = entry
            stands = _stands(entry)
            if waiting.noted == due:
                waiting.noted = 0.0
            if stands:
                self._over(waiting)
        if ordered and ordered[0][0] < self._rings:
            self._arm(ordered[0][0])

    def close(self) -> None:
        """Cancel the timer."""
        self._rings = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _stands(entry: tuple[float, int, Waiting]) -> bool:
    """Whether this deadline is still that of a parked ask."""
    deadline, _, waiting = entry
    return waiting.parked and waiting.noted == deadline
