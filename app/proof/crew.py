"""Threads that send requests until they are done, are told to stop, or can't go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5
_STOPPING_PAUSE = 0.1

Clock = Callable[[], int]


class Crew:
    """The threads of a crowd, and the signals that end them.

    Args:
        clock: Monotonic nanoseconds.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.fault: str | None = None
        self.lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._deadline = 0

    def employ(self, lives: Mapping[str, Callable[[], None]]) -> None:
        """Set the functions that the threads, by name, will run."""
        self._threads += [threading.Thread(target=run, name=name, daemon=True) for name, run in lives.items()]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float) -> bool:
        """Wait for up to ``timeout`` seconds; return whether every thread is done."""
        until = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self, grace: float) -> None:
        """Let no thread begin a new request. Those with a lost reply are sent again for ``grace`` seconds."""
        with self.lock:
            if not self._stopping.is_set():
                self._deadline = self.clock() + int(grace * 1e9)
                self._stopping.set()

    def fail(self, problem: str) -> None:
        """Stop because the test can't go on; the first problem is kept."""
        with self.lock:
            self.fault = self.fault or problem
        self.stop(LONGEST_PAUSE)

    @property
    def stopping(self) -> bool:
        """Whether no new request may begin."""
        return self._stopping.is_set()

    @property
    def given_up(self) -> bool:
        """Whether requests with a lost reply are no longer sent again either."""
        return self._stopping.is_set() and self.clock() > self._deadline

    def pause(self, seconds: float) -> None:
        """Wait for so many seconds; when stopping, only briefly."""
        if self._stopping.wait(seconds):
            time.sleep(min(seconds, _STOPPING_PAUSE))
