"""A job: a leased item, its lease, and its end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self

from . import tracing
from .affinity import Affinity, no_copy
from .errors import JobSettled, ValueNotJson
from .flow import log
from .records import Result
from .text import Default, encode, fit, told
from .verbs import ACK, ACKS, ENDED, NACKS, RELEASE, Verdict

if TYPE_CHECKING:
    from .otel import Work

_BEATS: Final = 3
"""Heartbeats in the time of a lease."""


class Stage(IntEnum):
    """The stage of a job.

    ::

        READY ──► BEGUN ──► DONE ──► SENT ──► OVER
          │                  ▲ │       │
          └──────────────────┘ └───────┘ the answer is lost for good, or a result was refused: DONE again
    """

    READY = 0  # fetched, not begun
    BEGUN = 1  # with the consumer
    DONE = 2  # its end is decided, and is to be sent
    SENT = 3  # on its way
    OVER = 4  # the server has answered


READY, BEGUN, DONE, SENT, OVER = Stage


_CLOSED: Final = "by release(), or as its lease iterator was closed; one that nobody holds closes at once"


class HeldLease:
    """One lease, or a part of it that is kept for another ``ttl``.

    ``jobs`` are those that the server has not settled. ``due`` is the time until which the lease is certainly
    ours, counted from before its request was sent. ``whole`` is the number of items that its token was given
    for; 0 for a part. ``arrived`` is when the lease was given.
    """

    __slots__ = ("arrived", "beat_at", "due", "jobs", "token", "ttl", "whole")

    def __init__(self, token: str, ttl: float, arrived: float) -> None:
        self.token = token
        self.ttl = ttl
        self.arrived = arrived
        self.jobs: dict[int, Job] = {}
        self.whole = 0
        self.due = self.beat_at = 0.0

    def split(self, job: Job, ttl: float) -> HeldLease:
        """Take a job out, to be kept for ``ttl`` at a time under the same token. A heartbeat is due."""
        part = HeldLease(self.token, ttl, self.arrived)
        part.due, part.jobs = self.due, {job.seq: self.jobs.pop(job.seq)}
        self.whole, job.held = 0, part
        return part

    def kept(self, sent: float, seconds: float | None = None) -> None:
        """Note that a request sent at ``sent`` gave or extended the lease."""
        self.due = sent + (self.ttl if seconds is None else seconds)
        self.beat_at = sent + (self.due - sent) / _BEATS


class Holder(Protocol):
    """The jobs of a lease iterator, as one of them sees it."""

    queue: str
    clock: Callable[[], float]
    on_error: Literal["nack", "raise"]
    default: Default | None
    affinity: Affinity

    def settle(self, job: Job, verdict: Verdict) -> bool:
        """Decide how a job ends; False: that was decided before."""

    def extend(self, job: Job, ttl: float) -> None:
        """Keep a job for ``ttl`` at a time from now on."""


class Job:
    """A leased item, until it is settled or its lease is lost.

    ``with job:`` acks it at the end of the block (also after ``break``, ``continue`` and ``return``). An
    exception nacks it, with the traceback as its error, is logged, and is swallowed, so that the loop goes on
    with the next job; with ``on_error="raise"`` it is raised. ``KeyboardInterrupt``, ``SystemExit``,
    ``GeneratorExit`` and ``asyncio.CancelledError`` release it and are raised. What the block has settled
    itself stays so. ``async with job:`` is the same.

    Any thread may settle it. The calls return at once: what they say is sent soon, with other jobs' ends
    and the next lease; ``Leases.flush`` waits for that. Until then the lease is kept alive.

    Attributes:
        queue: The queue's name.
        seq, value: The item.
        attempt: Which attempt this is, counted from 1.
        lost: The lease has ended early, as the server said or by this process's own clock: others may have
            the item. By the clock alone, its end is still sent, as the server may have kept the lease.
        outcome: How it ended at the server: ``acked``, ``nacked``, ``dead``, ``released``, ``lost``; or None.
        traceparent: That with which the item was pushed (W3C Trace Context), or None. The block runs in
            a span that goes on with it, where OpenTelemetry is installed (``dibs[otel]``).
    """

    __slots__ = (
        *("attempt", "entered", "held", "holder", "outcome"),
        *("queue", "seq", "stage", "taken", "traceparent", "value", "verdict", "work"),
    )

    def __init__(self, holder: Holder, held: HeldLease, seq: int, value: Any, attempt: int) -> None:
        self.queue: str = holder.queue
        self.seq = seq
        self.value = value
        self.attempt = attempt
        self.taken = False
        self.outcome: str | None = None
        self.holder = holder
        self.held = held
        self.stage = READY
        self.entered = False
        self.verdict = ACK
        self.traceparent: str | None = None
        self.work: Work | tracing.Untraced | None = None  # its span, while it is entered and traced

    __reduce__ = no_copy

    def __repr__(self) -> str:
        stands = self.outcome or self.stage.name.lower()
        return f"<Job {self.seq} of {self.queue}, attempt {self.attempt}, {stands}>"

    @property
    def lost(self) -> bool:
        """Whether others may have the item. The clock tells also where no heartbeat could be sent."""
        return self.taken or (self.stage < OVER and self.holder.clock() >= self.held.due)

    @property
    def settled(self) -> bool:
        """Whether the end of the job is decided. The server may not know yet."""
        return self.stage >= DONE

    def ack(self, push: Iterable[Result] | Result = ()) -> None:
        """Settle the job as done.

        Args:
            push: Results for other queues, pushed in the same transaction as the ack. If the server can't
                carry one (a value over its limit, say), the job fails: it is nacked with the reason.
                A queue that does not take results ends the iterator.

        Raises:
            ValueNotJson: A result's value is not JSON; nothing is settled yet.
            JobSettled: The job was nacked or released before.
        """
        results = (push,) if isinstance(push, Result) else tuple(push)
        try:
            texts = tuple(encode(result.to_json(), self.holder.default) for result in results)
        except ValueNotJson:
            self.entered = True  # if nothing else is said of it, it has failed, and that counts
            raise
        parent = (tracing.current() or self.traceparent) if texts else None
        self.end(Verdict(ACKS, texts, traceparent=parent) if texts else ACK)

    def nack(
        self, error: str | BaseException = "", *, delay: float | None = None, dead: bool = False
    ) -> None:
        """Settle the job as failed: it is handed out again, or dead if this was its last attempt.

        Args:
            error: Why it failed; an exception is sent with its traceback. The last 8 KiB are kept.
            delay: Seconds until the item is handed out again. None: the queue's back-off.
            dead: Make the item dead at once, as no further attempt would help.

        Raises:
            JobSettled: The job was acked or released before.
        """
        self.end(Verdict(NACKS, error=told(error), delay=delay, dead=dead))
        if self.work is not None:
            tracing.safely(self.work.failed, error)

    def release(self) -> None:
        """Give the job back as not begun: it waits again at once, and no attempt is counted.

        Raises:
            JobSettled: The job was acked or nacked before.
        """
        self.end(RELEASE)

    def extend(self, ttl: float) -> None:
        """Keep the lease for ``ttl`` seconds at a time from now on, renewed every third of that.

        Heartbeats keep the lease as long as this process lives and lets other threads run, so this is for
        a process that may be suspended, for work that holds the GIL, or to let others have the item sooner.
        """
        self.holder.extend(self, ttl)

    def end(self, verdict: Verdict) -> None:
        """Decide how the job ends; JobSettled if it has ended in another way before."""
        if self.holder.settle(self, verdict) or self.taken:
            return
        if self.verdict != verdict._replace(traceparent=self.verdict.traceparent):
            why = f" ({_CLOSED})" if self.verdict is RELEASE else ""
            raise JobSettled(f"job {self.seq} of {self.queue} was {ENDED[self.verdict.kind]} before{why}")

    def __enter__(self) -> Self:
        self.holder.affinity.check_job()
        if self.stage >= DONE and self.verdict is RELEASE and not self.taken:
            log.warning(
                "job %d of %s was given back before its work began: %s", self.seq, self.queue, _CLOSED
            )
        self.entered = True
        if self.work is None:
            self.work = tracing.begin(self.queue, self.seq, self.attempt, self.traceparent)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        work, self.work = self.work, None
        if work is None:
            return self._leave(error)
        try:
            if isinstance(error, Exception):
                tracing.safely(work.failed, error)
            return self._leave(error)
        finally:
            if not self.holder.affinity.forked:  # it is the parent's, too
                tracing.safely(work.end)

    def _leave(self, error: BaseException | None) -> bool:
        """Settle the job as its block has ended; whether the exception is swallowed."""
        if error is None:
            if self.stage < DONE:
                self.holder.settle(self, ACK)
            return False
        if self.holder.affinity.forked:  # the job is the parent's, and the child is on its way out
            return False
        if not isinstance(error, Exception):
            if not self.settled:
                self.release()
            return False
        log.warning("job %d of %s failed, attempt %d", self.seq, self.queue, self.attempt, exc_info=error)
        if not self.settled:
            self.nack(fit(told(error)))
        return self.holder.on_error == "nack"

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return self.__exit__(kind, error, trace)
