"""Who takes too long: one timer for all that have the same patience; nearly all are done long before."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Watched(Protocol):
    """What may take too long. ``until`` is in the loop's time; ``over``: it has come to its end."""

    until: float
    over: bool

    def late(self) -> None:
        """Its time is up."""


class Watch:
    """Watches over some on one event loop, each for ``seconds`` from when it is added."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._seconds = seconds
        self._watched: deque[Watched] = deque()
        self._armed = False

    def add(self, one: Watched) -> None:
        """Begin to watch it."""
        one.until = self._loop.time() + self._seconds
        self._watched.append(one)
        if not self._armed:
            self._armed = True
            self._loop.call_later(self._seconds, self._look)
        elif len(self._watched) > 1 and self._watched[0].over:
            self._watched.popleft()

    def _look(self) -> None:
        now = self._loop.time()
        while self._watched and (self._watched[0].over or self._watched[0].until <= now):
            one = self._watched.popleft()
            if not one.over:
                one.late()
        self._armed = bool(self._watched)
        if self._armed:
            self._loop.call_later(self._watched[0].until - now, self._look)
