"""A job: an item in hand, and its end."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from .calls import ACKS, NACKS, RELEASES, Kind
from .errors import JobSettled, ValueNotJson
from .held import no_copy
from .records import Result
from .text import encode, fit, told

if TYPE_CHECKING:
    from .hand import Hand
    from .held import Held

log: Final = logging.getLogger("dibs.client")


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


READY: Final = Stage.READY
BEGUN: Final = Stage.BEGUN
DONE: Final = Stage.DONE
SENT: Final = Stage.SENT
OVER: Final = Stage.OVER


class Verdict(NamedTuple):
    """How a job ends, as the client tells the server.

    ``push`` has the JSON texts of results. ``fallback`` is told instead if the server refuses this verdict.
    """

    kind: Kind
    push: tuple[str, ...] = ()
    error: str = ""
    delay: float | None = None
    dead: bool = False
    fallback: bool = False

    @property
    def size(self) -> int:
        """About how many bytes of a request the verdict takes."""
        return sum(map(len, self.push)) + len(self.error)


ACK: Final = Verdict(ACKS)
RELEASE: Final = Verdict(RELEASES)
VERBS: Final = {ACKS: "acked", NACKS: "nacked", RELEASES: "released"}


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
    """

    __slots__ = (
        *("attempt", "entered", "hand", "held", "outcome"),
        *("queue", "seq", "stage", "taken", "value", "verdict"),
    )

    def __init__(self, hand: Hand, held: Held, seq: int, value: Any, attempt: int) -> None:
        self.queue: str = hand.queue
        self.seq = seq
        self.value = value
        self.attempt = attempt
        self.taken = False
        self.outcome: str | None = None
        self.hand = hand
        self.held = held
        self.stage = READY
        self.entered = False
        self.verdict = ACK

    def __reduce__(self) -> NoReturn:
        no_copy("a job")

    def __repr__(self) -> str:
        stands = self.outcome or self.stage.name.lower()
        return f"<Job {self.seq} of {self.queue}, attempt {self.attempt}, {stands}>"

    @property
    def lost(self) -> bool:
        """Whether others may have the item. The clock tells also where no heartbeat could be sent."""
        return self.taken or (self.stage < OVER and self.hand.clock() >= self.held.due)

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
            texts = tuple(encode(result.to_json(), self.hand.default) for result in results)
        except ValueNotJson:
            self.entered = True  # if nothing else is said of it, it has failed, and that counts
            raise
        self.end(Verdict(ACKS, texts) if texts else ACK)

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
        self.hand.extend(self, ttl)

    def end(self, verdict: Verdict) -> None:
        """Decide how the job ends; JobSettled if it has ended in another way before."""
        if not self.hand.settle(self, verdict) and self.verdict != verdict and not self.taken:
            raise JobSettled(f"job {self.seq} of {self.queue} was {VERBS[self.verdict.kind]} before")

    def __enter__(self) -> Self:
        self.hand.check_place()
        self.entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            if self.stage < DONE:
                self.hand.settle(self, ACK)
            return False
        if self.hand.forked:  # the job is the parent's, and the child is on its way out
            return False
        if not isinstance(error, Exception):
            if not self.settled:
                self.release()
            return False
        log.warning("job %d of %s failed, attempt %d", self.seq, self.queue, self.attempt, exc_info=error)
        if not self.settled:
            self.nack(fit(told(error)))
        return self.hand.on_error == "nack"

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return self.__exit__(kind, error, trace)
