"""The way to event loops: ``async for`` over a shared iterator pulls in a thread.

Per iterator and loop there is at most one pull on its way, in one thread of the loop's own executor,
however many tasks ask and however many of them give up. The drawn value stands first in front of the source
(an `Offer`) until a task takes it, on the loop, in a step that can't be cancelled half-way. So a value
whose task was cancelled is simply the next one out, for the next task or thread that asks.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import partial
from typing import Any, Generic, TypeVar

from .front import Front
from .shared import SharedSource

T = TypeVar("T")

GRACE = 0.05
"""Seconds for which a thread leaves a value to the task that it was drawn for.

Without it, threads that pull without a pause would snatch every value from the loop's tasks; without a
bound, a loop that stands still would stop the threads.
"""


class Offer(Generic[T]):
    """One value on its way to a loop. A thread that meets it waits a moment, and then takes the value."""

    def __init__(self, owner: SharedSource[T]) -> None:
        self.values: deque[T] = deque()
        self.settled = threading.Event()  # taken, or nobody on the loop asks any more
        leave = partial(_leave_to_loop, self.values, self.settled, threading.get_ident())
        self.front = Front(owner, self.values, leave)


def _leave_to_loop(values: deque[Any], settled: threading.Event, loop_thread: int) -> None:
    """Wait a moment where the loop that a value was drawn for may take it."""
    if values and threading.get_ident() != loop_thread:
        settled.wait(GRACE)


class Courier(Generic[T]):
    """Brings one iterator's values to one loop. Only that loop's thread may touch it."""

    def __init__(self, owner: SharedSource[T]) -> None:
        self._owner = owner
        self._turn = asyncio.Lock()
        self._asking = 0
        self._flight: asyncio.Future[bool | BaseException] | None = None
        self._offer = Offer(owner)

    async def fetch(self) -> T:
        """The next value; tasks are served in the order of their arrival."""
        self._asking += 1
        self._offer.settled.clear()
        try:
            async with self._turn:
                return await self._claim()
        finally:
            self._asking -= 1
            if not self._asking:
                self._offer.settled.set()

    async def _claim(self) -> T:
        while True:
            flight = self._flight
            if flight is None or flight.cancelled():
                flight = self._flight = self._launch()
            found = await asyncio.shield(flight)  # a flight outlives a task that gives up
            self._flight = None
            if self._offer.values:
                try:
                    value = self._offer.values.popleft()
                except IndexError:
                    continue  # a thread was quicker
                self._offer.settled.set()
                self._owner.count_claim()
                return value
            ending = self._owner.ending
            if ending and not found:
                found = ending.error()
            if isinstance(found, StopIteration):
                raise StopAsyncIteration
            if isinstance(found, BaseException):
                raise found

    def _launch(self) -> asyncio.Future[bool | BaseException]:
        self._offer = Offer(self._owner)
        return asyncio.get_running_loop().run_in_executor(None, _fly, self._owner, self._offer)


def _fly(owner: SharedSource[T], offer: Offer[T]) -> bool | BaseException:
    """In a thread: draw one value for `offer`. False: the source has ended; or why we were refused."""
    try:
        return owner.in_turn(owner.draw_for, offer.front)
    except BaseException as error:
        return error


def courier(owner: SharedSource[T]) -> Courier[T]:
    """The courier of this iterator for the running loop."""
    loop = asyncio.get_running_loop()
    with owner.turns.desk:
        couriers: dict[asyncio.AbstractEventLoop, Courier[T]] = owner.couriers
        if loop not in couriers:
            for known in [known for known in couriers if known.is_closed()]:
                del couriers[known]
            couriers[loop] = Courier(owner)
        return couriers[loop]
