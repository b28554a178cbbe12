"""Clears what deleted and replaced rows have left, a slice at a time, so that nobody waits for it."""

from __future__ import annotations

import asyncio
from typing import Final

from ..errors import DibsError
from ..ledger.work import Sweep
from .rounds import Rounds

AGAIN: Final = 1.0
"""Seconds until a slice that the disk did not take is tried again."""


class Sweeper:
    """Sweeps a slice of each row in turn while the server works.

    It owns the rows that are left, and the task that sweeps them. Lives on the event loop.
    """

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._left: dict[int, None] = {}  # in the order of their turns
        self._task: asyncio.Task[None] | None = None

    def add(self, queue: int) -> None:
        """Sweep this row, too."""
        self._left[queue] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """Begin no further slice; what is left is swept after the next start."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._left:
                queue = next(iter(self._left))
                del self._left[queue]  # before the slice: if it is added again meanwhile, it is swept again
                try:
                    moved = await self._rounds.commit(Sweep(queue))
                except DibsError:
                    self._left[queue] = None
                    await asyncio.sleep(AGAIN)
                    continue
                if moved.rest is not None:
                    self._left[queue] = None
        finally:
            self._task = None
