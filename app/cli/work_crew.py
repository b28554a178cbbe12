"""The hands: threads that take jobs and perform them until there are none, or until told to stop.

The iterator hands out a job at a time to whoever asks, and heartbeats for those that are in hand.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..client import Job, Leases
    from .work_perform import Performer
    from .work_run import Stops

_OVER: Final = None


class Crew:
    """``size`` hands on one iterator of jobs.

    The first fault of a hand stops all: what is in hand is finished, nothing new is begun.
    """

    def __init__(
        self, leases: Leases, performer: Performer, size: int, *, stops: Stops, most: int | None = None
    ) -> None:
        self._leases = leases
        self._performer = performer
        self._stops = stops
        self._lock = threading.Lock()
        self._left = most
        self._stopping = False
        self._faults: list[Exception] = []
        self._at_work = size
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._hands = [threading.Thread(target=self._hand, name=f"hand-{n}") for n in range(1, size + 1)]

    @property
    def fault(self) -> Exception | None:
        """Why it stopped by itself, if it did not just run out of jobs."""
        return self._faults[0] if self._faults else None

    def start(self) -> None:
        """Let the hands begin."""
        for started, hand in enumerate(self._hands):
            try:
                hand.start()
            except RuntimeError:  # no room for another thread: those that there are do the work
                if not started:
                    raise
                self._at_work = started
                return

    def over(self, timeout: float) -> bool:
        """Whether every hand has ended; waits up to ``timeout`` seconds for the next one. For one thread."""
        with suppress(Empty):
            self._ended.get(timeout=timeout)
            self._at_work -= 1
        return not self._at_work

    def drain(self) -> None:
        """Begin nothing new. May be called from any thread, and more than once."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self._leases.stop()

    def give_back(self) -> None:
        """Begin nothing new, and end what is in hand; its jobs go back to the queue."""
        self.drain()
        self._performer.give_back()

    def _hand(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._performer.perform(job)
                if self._stops.asked:  # before the main thread has acted on it
                    self.drain()
        except Exception as error:
            self._faults.append(error)
            self.drain()
        finally:
            self._ended.put(_OVER)

    def _next(self) -> Job | None:
        job = next(self._leases, None)
        if job is None or self._left is None:
            return job
        with self._lock:
            self._left -= 1
            over, last = self._left < 0, self._left <= 0
        if last:
            self.drain()
        if over:
            job.release()
        return None if over else job
