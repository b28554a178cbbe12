"""A bounded pool of threads for each queue: a source that sleeps holds up its own queue and no other.

Threads start when there is work and end when there has been none for a while, so a thousand quiet queues
cost no thread. (``concurrent.futures`` keeps every thread that it ever started until it is shut down.)
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from ..errors import SourceBusy

log = logging.getLogger("dibs.queue")

IDLE = 10.0
"""Seconds that a thread waits for more work before it ends."""


class Pool:
    """Runs jobs on at most ``most`` threads (which may be changed), begun in the order in which they came.

    It owns the jobs that no thread has begun, and counts its threads and those that are idle; its condition
    guards all of it.
    """

    def __init__(self, name: str, most: int, *, idle: float = IDLE) -> None:
        self._name = name
        self.most = most
        self._idle_seconds = idle
        self._jobs: deque[Callable[[], None]] = deque()
        self._work = threading.Condition()
        self._idle = 0
        self.threads = 0

    def submit(self, job: Callable[[], None]) -> None:
        """Run ``job`` as soon as a thread is free. An exception of the job is logged, and goes no further.

        Raises:
            SourceBusy: the pool has no thread, and the system has none to give; the job is not run.
        """
        with self._work:
            self._jobs.append(job)
            if len(self._jobs) <= self._idle or self.threads >= self.most:
                self._work.notify()
                return
            self.threads += 1
        try:
            threading.Thread(target=self._run, name=f"dibs-{self._name}", daemon=True).start()
        except RuntimeError:
            self._not_started(job)

    def _not_started(self, job: Callable[[], None]) -> None:
        with self._work:
            self.threads -= 1
            if self.threads or job not in self._jobs:
                return  # a thread that is busy now takes it, or has taken it
            self._jobs.remove(job)
        raise SourceBusy("the system gives no more threads; ask again", retry_after=1.0)

    @property
    def backlog(self) -> int:
        """Jobs that no thread has begun."""
        return len(self._jobs)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            except BaseException:  # a user's generator may raise SystemExit, too
                log.exception("a job of %s failed", self._name)
            del job  # or an idle thread would keep the last request's values alive

    def _next(self) -> Callable[[], None] | None:
        with self._work:
            while not self._jobs:
                self._idle += 1
                called = self._work.wait(self._idle_seconds)
                self._idle -= 1
                if not called and not self._jobs:
                    self.threads -= 1
                    return None
            return self._jobs.popleft()
