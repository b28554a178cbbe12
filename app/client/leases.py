"""The iterator of jobs, for threads: a consumer in front, two background threads behind."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Self

from .affinity import no_copy
from .consumer import Consumer
from .errors import ForkedClient
from .flow import Flow
from .job import Job
from .settling import OnRefused
from .threads import Line, PollLine, run
from .verbs import Counts

_SLACK: Final = 0.5
"""Seconds beyond the grace for threads to notice the end."""


class Crew:
    """The background threads of one lease iterator, which know nothing of the iterator itself."""

    def __init__(self, consumer: Consumer, line: Line, poll: PollLine) -> None:
        self.consumer = consumer
        self.line = line
        self._poll = poll
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads at the first call."""
        self.consumer.jobs.affinity.refuse_child()
        if self._threads:
            return
        with self._lock:
            if not self._threads and not self.consumer.jobs.stop.begun:
                for name, flow in self.consumer.flows().items():
                    thread = threading.Thread(
                        target=self._run, args=(flow,), name=f"dibs {name}", daemon=True
                    )
                    self._threads.append(thread)
                    thread.start()

    def _run(self, flow: Flow[None]) -> None:
        with suppress(ForkedClient):  # a callback forked, and the child came back from it
            run(flow, self.line, poll=self._poll)

    def stop(self, *, closing: bool = False) -> None:
        """Begin no further job; or begin to close. In a child process it does nothing."""
        if not self.consumer.jobs.affinity.forked:
            self.consumer.stop(closing=closing)
            self._poll.abort()

    def close(self) -> None:
        """Stop, settle and give back, within ``grace`` seconds. In a child process it does nothing."""
        until = time.monotonic() + self.consumer.grace + _SLACK
        if self.consumer.jobs.affinity.forked:
            return
        self.stop(closing=True)
        for thread in self._threads:
            if thread is not threading.current_thread():  # a finalizer may run anywhere
                thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self.consumer.tell_late()
        self._poll.close()


class Leases(Iterator[Job]):
    """Jobs, one after the other: ``for job in queue.lease(): with job: work(job.value)``.

    The iterator ends when the queue is exhausted and all its own jobs are settled; it waits on a queue that
    may still get items. Threads may share it. In the background it fetches the next batch, settles jobs that
    are done in batches, and keeps every lease alive until then, also that of a job that takes hours.

    Close the iterator, or leave its ``with``; a loop that is left with ``break`` or an exception closes it
    when nobody refers to it any more. Closing takes at most ``grace`` seconds: it settles jobs that are done,
    gives back (releases) jobs that were not begun, also one that a loop had in hand and never entered, and
    nacks jobs that were entered (``with job``) and never settled. If an exception leaves its ``with``, all
    jobs that were handed out count as begun.

    The iterator belongs to the process that made it. In a forked child ``next``, ``flush`` and its jobs raise
    ``ForkedClient``, and stopping or closing it does nothing: the parent goes on with its leases.

    Raises (from ``next``):
        SourceFailed: The queue's source raised; what had come before was handed out first.
        ResultRefused: The queue of a result does not take it; the job is nacked with that.
        Unreachable: No answer for ``patience`` seconds.
        ServerRefused: Any other of its kinds.
    """

    def __init__(self, crew: Crew, client: object) -> None:
        self._crew = crew
        self._client = client  # it must not be closed as long as somebody iterates
        self._consumer = crew.consumer
        self._jobs = crew.consumer.jobs
        self._close = weakref.finalize(self, crew.close)

    @property
    def counts(self) -> Counts:
        """How many of its jobs have ended in each way so far, as the server confirmed."""
        return self._jobs.counts

    def __iter__(self) -> Self:
        return self

    __reduce__ = no_copy

    def __next__(self) -> Job:
        self._crew.start()
        job = self._jobs.enter() or run(self._consumer.next_job(), self._crew.line)
        if job is None:
            # After a stop others may be at work on theirs, or the server away: what is done waits for it.
            if not self._jobs.begun and not self._jobs.outbox.unsaid:
                self.close()
            raise StopIteration
        return job

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the server has confirmed every job that ended so far; False if it has not in time."""
        self._jobs.affinity.refuse_child()
        return run(self._consumer.flush(timeout), self._crew.line)

    def on_refused(self, tell: OnRefused) -> None:
        """Call ``tell``, from any thread, with each job whose result the server refuses, and the reason.

        Such a job is nacked; ``tell`` may return keyword arguments for that, ``delay`` and ``dead``. A queue
        that takes no results at all ends the iterator besides.
        """
        self._consumer.settling.on_refused = tell

    def stop(self) -> None:
        """Begin no further job: ``next`` ends in every thread, and jobs that were not begun are given back.

        Jobs in hand can be finished: their leases are kept, and they are settled, until `close`.
        """
        self._crew.stop()

    def end(self) -> None:
        """Begin to close the iterator, without waiting for the end."""
        self._crew.stop(closing=True)

    def broke(self) -> None:
        """Note that an exception ends the loop: its jobs may be the cause, so they count as attempts."""
        self._jobs.broken = True

    def close(self) -> None:
        """Settle the jobs that are done and give back the rest, within ``grace`` seconds.

        A second call does nothing.
        """
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            self.broke()
        self.close()
