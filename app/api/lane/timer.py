"""One timer for a connection, none for a request: when it rings it looks what is due, and what is next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timer:
    """Calls ``look`` with the time of the loop; it gives the time at which to call it again."""

    __slots__ = ("_handle", "_look", "_loop", "_stopped")

    def __init__(self, loop: asyncio.AbstractEventLoop, look: Callable[[float], float], first: float) -> None:
        self._loop = loop
        self._look = look
        self._stopped = False
        self._handle = loop.call_at(first, self._ring)

    def _ring(self) -> None:
        again = self._look(self._loop.time())
        if not self._stopped:
            self._handle = self._loop.call_at(again, self._ring)

    def by(self, at: float) -> None:
        """Ring at that time at the latest."""
        if self._handle.when() > at:
            self._handle.cancel()
            self._handle = self._loop.call_at(at, self._ring)

    def stop(self) -> None:
        """Ring no more."""
        self._stopped = True
        self._handle.cancel()
