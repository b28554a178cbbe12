"""The threads of ``dibs work``: each takes a job and runs it, until there are no more or it is told to stop.

The iterator of jobs hands out one at a time, and keeps alive the leases of those that run.
"""

from __future__ import annotations

import threading

from ..client import Job, Leases
from .work_job import JobRunner
from .work_signals import Stops


class JobThreads:
    """``size`` threads on one iterator of jobs.

    The first fault of a thread stops all of them: jobs that run are finished, nothing new is begun.
    """

    def __init__(
        self, leases: Leases, runner: JobRunner, size: int, *, stops: Stops, most: int | None = None
    ) -> None:
        self._leases = leases
        self._runner = runner
        self._stops = stops
        self._lock = threading.Lock()
        self._left = most
        self._stopping = False
        self._faults: list[Exception] = []
        self._threads = [threading.Thread(target=self._work, name=f"job-{n}") for n in range(1, size + 1)]

    @property
    def fault(self) -> Exception | None:
        """The first error of a thread, which stopped all of them."""
        return self._faults[0] if self._faults else None

    def start(self) -> None:
        """Start the threads. Where the system has no room for all, those that there are do the work."""
        for started, thread in enumerate(self._threads):
            try:
                thread.start()
            except RuntimeError:
                if not started:
                    raise
                self._threads = self._threads[:started]
                return

    def over(self, timeout: float) -> bool:
        """Whether all threads have ended; wait up to ``timeout`` seconds for one that has not."""
        at_work = [thread for thread in self._threads if thread.is_alive()]
        if at_work:
            at_work[0].join(timeout)
        return not any(thread.is_alive() for thread in at_work)

    def drain(self) -> None:
        """Begin nothing new. May be called from any thread, and more than once."""
        with self._lock:
            if self._stopping:
                return
            self._stopping = True
        self._leases.stop()

    def give_back(self) -> None:
        """Begin nothing new, and end the commands that run; their jobs go back to the queue."""
        self.drain()
        self._runner.give_back()

    def _work(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._runner.run_job(job)
                if self._stops.asked:  # before the main thread has acted on it
                    self.drain()
        except Exception as error:
            self._faults.append(error)
            self.drain()

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
