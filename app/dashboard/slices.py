"""Long work on the event loop, in slices: so that whoever waits for an item does not wait for the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final

SLICE: Final = 0.001
"""Seconds of work after which others have their turn."""


class Slices:
    """The slices of one work, the first of which begins now.

    Whoever is ``over`` takes a :meth:`turn`, in which anything may change but what nobody else touches.
    """

    __slots__ = ("_clock", "_until")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._until = clock() + SLICE

    @property
    def over(self) -> bool:
        """Whether the slice is over."""
        return self._clock() >= self._until

    async def turn(self) -> None:
        """Let others have their turn, and begin a slice."""
        await asyncio.sleep(0)
        self._until = self._clock() + SLICE
