"""How the server searches for garbage: what is young often and quickly, what is old when memory has grown.

Python's own rule searches everything again as soon as a quarter has been added. With ten thousand queues
that takes a quarter of a second, in which nothing is handed out, and nearly all that it looks at lives on.
"""

from __future__ import annotations

import gc
import sys
import sysconfig
from typing import Any, Final

THRESHOLDS: Final = (700, 6, 1)
"""When a generation is searched; the oldest one after two searches of the middle one: 11,000 objects."""
LEAST: Final = 250_000
"""Blocks of memory (20 MB, by and large) that a search of all that is old is worth at the least."""
QUEUE: Final = 100
"""Blocks that a queue at rest has, at the least."""
GENERATIONS: Final = sys.version_info < (3, 14) and not sysconfig.get_config_var("Py_GIL_DISABLED")
"""Whether this Python searches by generations. Others have collectors of their own, which are left alone."""


class Garbage:
    """Sees to it that a search takes milliseconds: whatever has lived through one is not searched again.

    So cycles of objects that live long are found only by :meth:`look`, once so much memory has been added
    that they might be what it is used for. What is in no cycle is freed at once, as ever. It owns the
    process's thresholds, and ``_base``: the blocks that were in use after the last search of everything, but
    for those of the queues.
    """

    def __init__(self, *, least: int = LEAST, generations: bool = GENERATIONS) -> None:
        self._least = least
        self._generations = generations
        self._base = 0

    def begin(self) -> None:
        """Search from now on. What was loaded until now is taken for old."""
        gc.freeze()
        gc.enable()
        if self._generations:
            gc.set_threshold(*THRESHOLDS)
            gc.callbacks.append(self._searched)
            gc.collect()  # of nothing: Python waits for a quarter of what was left by the search before
            self._base = sys.getallocatedblocks()

    def end(self) -> None:
        """Search no more, as the server ends."""
        if self._searched in gc.callbacks:
            gc.callbacks.remove(self._searched)

    @staticmethod
    def _searched(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2:  # noqa: PLR2004  # the oldest: all that is not frozen
            gc.freeze()

    def look(self, *, quiet: bool, queues: int) -> None:
        """Search everything if memory has grown by half; by as much again where it is not ``quiet``.

        ``queues``: how many there are. What those have added since the last time is no garbage.
        """
        if not self._generations:
            return
        blocks = sys.getallocatedblocks() - QUEUE * queues
        self._base = min(self._base, blocks)
        worth = max((self._base + QUEUE * queues) // 2, self._least)
        if blocks - self._base > (worth if quiet else 2 * worth):
            gc.unfreeze()
            gc.collect()
            gc.collect()  # of nothing, see begin
            self._base = sys.getallocatedblocks() - QUEUE * queues
