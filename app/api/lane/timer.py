"""The timers of all connections: one for each, none for a request. Those of one moment ring together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from math import inf
from typing import Final

STEP: Final = 0.1
"""Seconds of a moment: a timer rings so much later at the most."""

Look = Callable[[float], float]

log = logging.getLogger("dibs.api")


class Timers:
    """The timers by the moments at which they ring, with one timer of the loop for the next of these.

    Lives on the event loop, which alone touches it. (A timer of the loop for each would cost twice as much.)
    """

    def __init__(self) -> None:
        self._moments: dict[int, set[Timer]] = {}
        self._handle: asyncio.TimerHandle | None = None
        self._next: float = inf

    def put(self, timer: Timer, at: float) -> int:
        """Let a timer ring at this time of the loop, or soon after; the number of that moment."""
        moment = int(at / STEP) + 1
        self._moments.setdefault(moment, set()).add(timer)
        if moment < self._next:
            self._arm(moment)
        return moment

    def take(self, timer: Timer, moment: int) -> None:
        """Let a timer not ring at that moment."""
        ringing = self._moments.get(moment)
        if ringing is not None:
            ringing.discard(timer)

    def _arm(self, moment: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._next = moment
        self._handle = asyncio.get_running_loop().call_at(moment * STEP, self._ring)

    def _ring(self) -> None:
        self._handle, self._next = None, inf
        now = asyncio.get_running_loop().time()
        for moment in sorted([moment for moment in self._moments if moment * STEP <= now]):
            for timer in self._moments.pop(moment):
                try:
                    timer.ring(moment, now)
                except Exception:  # the others ring all the same
                    log.exception("the timer of a connection")
        if self._moments and (first := min(self._moments)) < self._next:
            self._arm(first)


class Timer:
    """Calls ``look`` with the time of the loop; it gives the time at which to call it again."""

    __slots__ = ("_look", "_moment", "_timers")

    def __init__(self, timers: Timers, look: Look, first: float) -> None:
        self._timers = timers
        self._look: Look | None = look
        self._moment = timers.put(self, first)

    def ring(self, moment: int, now: float) -> None:
        """Look, unless it was stopped or set to another moment meanwhile."""
        if self._look is None or moment != self._moment:
            return
        again = self._look(now)
        if self._look is not None:
            self._moment = self._timers.put(self, again)

    def by(self, at: float) -> None:
        """Ring at that time at the latest."""
        if int(at / STEP) + 1 < self._moment:
            self._timers.take(self, self._moment)
            self._moment = self._timers.put(self, at)

    def stop(self) -> None:
        """Ring no more."""
        self._look = None
        self._timers.take(self, self._moment)
