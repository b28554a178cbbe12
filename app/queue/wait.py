"""Waiting without a thread: a request with ``wait`` is parked on the event loop until an item can be had."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from contextvars import ContextVar
from itertools import count


class Wait:
    """The wait of one request. Its caller may end it early: the queue is then looked at once more.

    ``over``: the wait has ended.
    """

    __slots__ = ("_turn", "over")

    def __init__(self) -> None:
        self.over = False
        self._turn: asyncio.Future[None] | None = None

    def begin(self, turn: asyncio.Future[None]) -> None:
        """The request is parked until ``turn`` is done."""
        self._turn = turn

    def end(self) -> None:
        """End the wait, since the caller sends nothing more and may be gone."""
        self.over = True
        if self._turn is not None:
            self._turn.get_loop().call_soon_threadsafe(_settle, self._turn)


WAIT: ContextVar[Wait | None] = ContextVar("WAIT", default=None)
"""The wait of the request that a task works for."""


class Waiters:
    """Parked requests of one queue. Lives on the event loop.

    A place is a request's turn among all that wait: a request that was woken and got nothing parks again with
    the place that it had, before all that came later.
    """

    def __init__(self) -> None:
        self._places = count()
        self._parked: dict[int, asyncio.Future[None]] = {}
        self.woken = 0
        """Those that were woken and have not looked yet."""

    def __len__(self) -> int:
        return len(self._parked)

    def place(self) -> int:
        """A new place, behind all others."""
        return next(self._places)

    async def park(
        self, seconds: float, place: int | None = None, parked: Callable[[], None] = lambda: None
    ) -> None:
        """Return when woken, or after ``seconds``: the caller looks at the queue again either way.

        ``parked`` is called when the request stands in its place. A request that is cancelled just when it
        was woken wakes the next one, which can have the item.
        """
        place = self.place() if place is None else place
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._parked[place] = turn
        wait = WAIT.get()
        if wait is not None:
            wait.begin(turn)
        late = loop.call_later(seconds, _settle, turn)
        parked()
        try:
            await turn
        except asyncio.CancelledError:
            if place not in self._parked:
                self.wake(1)
            raise
        finally:
            late.cancel()
            if self._parked.pop(place, None) is None:
                self.woken -= 1

    def wake(self, most: int | None = None) -> None:
        """Wake the requests that came first, at most so many; all of them by default."""
        if most is None or most >= len(self._parked):
            places = sorted(self._parked)
        else:
            places = heapq.nsmallest(most, self._parked)
        for place in places:
            self.woken += 1
            _settle(self._parked.pop(place))


def _settle(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
