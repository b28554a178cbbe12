"""The counts of jobs: running, done, failed, given back."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ..client import Counts

_WINDOW: Final = 10.0
"""Seconds over which the rate is taken."""


class JobCounts:
    """The counts of jobs, for any thread.

    ``counts`` are how the server settled them. Beside these: how many commands run, how many were ended so
    that their items could be given back, and which items failed when they were last tried here.
    """

    def __init__(self, counts: Counts | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = counts or Counts()
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self.running = 0
        self._last: float | None = None
        self.returned = 0
        self.row = 0
        self._unmended: set[int] = set()
        self._samples: deque[tuple[float, int]] = deque([(self._began, 0)])

    @property
    def failed(self) -> int:
        """The number of attempts that failed, whatever became of their items."""
        return self.counts.nacked + self.counts.dead

    @property
    def unmended(self) -> int:
        """The number of items that failed when they were last tried here."""
        return len(self._unmended)

    @property
    def left(self) -> int:
        """The number of items that failed when they were last tried here, and are not dead."""
        return max(0, self.unmended - self.counts.dead)

    @property
    def worked(self) -> float:
        """Seconds from the beginning until the last command ended; waiting for more is no work."""
        return self.seconds if self._last is None else self._last - self._began

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    @property
    def idle(self) -> float:
        """Seconds for which nothing has run; 0 while something does."""
        if self.running:
            return 0.0
        return self._clock() - (self._began if self._last is None else self._last)

    @property
    def rate(self) -> float:
        """Items that were done, or are dead, in a second of what was worked."""
        return (self.counts.acked + self.counts.dead) / max(self.worked, 1e-3)

    def lately(self) -> float:
        """Jobs that end in a second, over the last ten. To be called every now and then, by one thread."""
        now, ended = self._clock(), self.counts.acked + self.failed
        self._samples.append((now, ended))
        while len(self._samples) > 1 and self._samples[1][0] <= now - _WINDOW:
            self._samples.popleft()
        then, before = self._samples[0]
        return (ended - before) / (now - then) if now > then else 0.0

    def begun(self) -> None:
        """Count a command that begins."""
        with self._lock:
            self.running += 1

    def ended(self) -> None:
        """Count a command that has ended, well or not."""
        with self._lock:
            self.running -= 1
            self._last = self._clock()

    def gave_back(self) -> None:
        """Count an item that was begun and given back."""
        with self._lock:
            self.returned += 1

    def good(self, seq: int) -> None:
        """Count an item that is done."""
        with self._lock:
            self.row = 0
            self._unmended.discard(seq)

    def bad(self, seq: int) -> None:
        """Count an item that failed."""
        with self._lock:
            self.row += 1
            self._unmended.add(seq)
