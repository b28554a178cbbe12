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
"""Seconds beyond the grace for threads to see that it is over."""


class Crew:
    """The background threads of one lease iterator, which know nothing of the iterator itself."""

    def __init__(self, consumer: Consumer, line: Line, poll: PollLine, grace: float) -> None:
        self.consumer = consumer
        self.line = line
        self._poll = poll
        self._grace = grace
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] | None = None

    def start(self) -> None:
        """Start them, the first time."""
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
        """A thread's last resort: whatever breaks, the consumer is told."""
        try:
            run(flow, self.line, poll=self._poll)
        except ForkedClient:  # a callback forked, and the child came back from it
            return
        except Exception as error:
            log.exception("the client broke")
            broken = error if isinstance(error, ClientError) else ClientError(f"the client broke: {error!r}")
            self.consumer.hand.fail(broken, at_once=True)

    def stop(self) -> None:
        """Begin nothing more."""
        if self.consumer.hand.forked:
            return
        self.consumer.hand.stop()
        self._poll.abort()

    def end(self) -> None:
        """Begin to close."""
        hand = self.consumer.hand
        if hand.forked:
            return
        hand.stop(hand.clock() + self._grace)
        self._poll.abort()

    def close(self) -> None:
        """Stop, settle, give back; at most ``grace`` seconds. In a child that is the parent's to do."""
        hand, until = self.consumer.hand, time.monotonic() + self._grace + _SLACK
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

    It ends when the queue is exhausted and everything of its own is settled; on a queue that may still get
    items it waits. Threads may share it. In the background the next batch is fetched, what is done is settled
    in batches, and every lease is kept alive until then, also that of a job that takes hours.

    Close it, or leave its ``with``; a loop that is left with ``break`` or an exception closes it when nobody
    refers to it any more. Closing settles what is done, gives back (release) what was not begun, also the job
    that a loop had in hand and never entered, and nacks what was entered (``with job``) and never settled,
    within ``grace`` seconds. Where an exception leaves its ``with``, all that was handed out counts as begun.

    It belongs to the process that made it. In a forked child ``next``, ``flush`` and its jobs raise
    ``ForkedClient``, and to stop or close it does nothing: the parent goes on with what it leased.

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
        """What became of its jobs so far, as the server confirmed it."""
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
        """Wait until the server has confirmed every end so far; False where it has not in time."""
        self._hand.refuse_child()
        flushed: bool = self._do(self._consumer.flush(timeout))
        return flushed

    def on_refused(self, tell: OnRefused) -> None:
        """Tell, from any thread, of each job whose result the server does not take, and why.

        Such a job is nacked; ``tell`` may return keyword arguments for that, ``delay`` and ``dead``. A queue
        that takes no results at all ends the iterator besides.
        """
        self._hand.on_refused = tell

    def stop(self) -> None:
        """Begin nothing more: ``next`` ends in every thread, what was not begun is given back.

        Jobs in hand can be finished: their leases are kept, and they are settled, until it is closed.
        """
        self._crew.stop()

    def end(self) -> None:
        """Begin to close, and do not wait for it."""
        self._crew.end()

    def broke(self) -> None:
        """An exception ends the loop: what was handed out may be why, so it counts as an attempt."""
        self._hand.broken = True

    def close(self) -> None:
        """Settle what is done, give back the rest; at most ``grace`` seconds. A second time does nothing."""
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
