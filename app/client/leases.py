"""The iterator of jobs, for threads: a consumer in front, two background threads behind."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from .consume import Consumer
from .errors import ClientError, ForkedClient
from .flow import Flow
from .hand import OnRefused
from .held import Counts, no_copy
from .job import Job, log
from .threads import Line, PollLine, run

_SLACK: Final = 0.5
"""Seconds beyond the grace for threads to notice the end."""


class Crew:
    """The background threads of one lease iterator, which know nothing of the iterator itself."""

    def __init__(self, consumer: Consumer, line: Line, poll: PollLine) -> None:
        self.consumer = consumer
        self.line = line
        self._poll = poll
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] | None = None

    def start(self) -> None:
        """Start the threads at the first call."""
        self.consumer.hand.refuse_child()
        if self._threads is not None:
            return
        with self._lock:
            if self._threads is None and not self.consumer.hand.stopping:
                flows = {"fetch": self.consumer.fetch(), "keep": self.consumer.keep()}
                self._threads = [
                    threading.Thread(target=self._run, args=(flow,), name=f"dibs {name}", daemon=True)
                    for name, flow in flows.items()
                ]
                for thread in self._threads:
                    thread.start()

    def _run(self, flow: Flow[None]) -> None:
        """Run a thread; tell the consumer of any exception that ends it."""
        try:
            run(flow, self.line, poll=self._poll)
        except ForkedClient:  # a callback forked, and the child came back from it
            return
        except Exception as error:
            log.exception("the client broke")
            broken = error if isinstance(error, ClientError) else ClientError(f"the client broke: {error!r}")
            self.consumer.hand.fail(broken, at_once=True)

    def stop(self) -> None:
        """Begin no further job."""
        if self.consumer.hand.forked:
            return
        self.consumer.hand.stop()
        self._poll.abort()

    def end(self) -> None:
        """Begin to close."""
        hand = self.consumer.hand
        if hand.forked:
            return
        hand.stop(hand.clock() + self.consumer.grace)
        self._poll.abort()

    def close(self) -> None:
        """Stop, settle and give back, within ``grace`` seconds. In a child process it does nothing."""
        hand, until = self.consumer.hand, time.monotonic() + self.consumer.grace + _SLACK
        if hand.forked:
            return
        self.end()
        for thread in self._threads or ():
            if thread is not threading.current_thread():  # a finalizer may run anywhere
                thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads or ()):
            log.warning(
                "%s: the server did not answer in time while closing; the leases that are left run out",
                hand.queue,
            )
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
        self._hand = crew.consumer.hand
        self._close = weakref.finalize(self, crew.close)

    @property
    def counts(self) -> Counts:
        """How many of its jobs have ended in each way so far, as the server confirmed."""
        return self._hand.counts

    def __iter__(self) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        no_copy("a lease iterator")

    def __next__(self) -> Job:
        self._crew.start()
        job = self._hand.enter() or self._do(self._consumer.next_job())
        if job is None:
            if not self._hand.begun:  # other threads may still be at work on theirs
                self.close()
            raise StopIteration
        return job

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until the server has confirmed every job that ended so far; False if it has not in time."""
        self._hand.refuse_child()
        flushed: bool = self._do(self._consumer.flush(timeout))
        return flushed

    def on_refused(self, tell: OnRefused) -> None:
        """Call ``tell``, from any thread, with each job whose result the server refuses, and the reason.

        Such a job is nacked; ``tell`` may return keyword arguments for that, ``delay`` and ``dead``. A queue
        that takes no results at all ends the iterator besides.
        """
        self._hand.on_refused = tell

    def stop(self) -> None:
        """Begin no further job: ``next`` ends in every thread, and jobs that were not begun are given back.

        Jobs in hand can be finished: their leases are kept, and they are settled, until `close`.
        """
        self._crew.stop()

    def end(self) -> None:
        """Begin to close the iterator, without waiting for the end."""
        self._crew.end()

    def broke(self) -> None:
        """Note that an exception ends the loop: its jobs may be the cause, so they count as attempts."""
        self._hand.broken = True

    def close(self) -> None:
        """Settle the jobs that are done and give back the rest, within ``grace`` seconds.

        A second call does nothing.
        """
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.broke()
        self.close()

    def _do(self, flow: Flow[Any]) -> Any:
        return run(flow, self._crew.line)
