"""A job: an item in hand, and its end."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import IntEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from .errors import JobSettled, ValueNotJson
from .held import no_copy
from .records import Result
from .text import encode, fit, told
from .work import ACKS, NACKS, RELEASES, Kind

if TYPE_CHECKING:
    from .hand import Hand
    from .held import Held

log: Final = logging.getLogger("dibs.client")


class Stage(IntEnum):
    """Where a job stands.

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
    """What is to be told to the server about a job.

    ``push``: JSON texts of results. ``fallback``: said in place of what the server did not take.
    """

    kind: Kind
    push: tuple[str, ...] = ()
    error: str = ""
    delay: float | None = None
    dead: bool = False
    fallback: bool = False

    @property
    def size(self) -> int:
        """About how many bytes of a request it takes."""
        return sum(map(len, self.push)) + len(self.error)


ACK: Final = Verdict(ACKS)
RELEASE: Final = Verdict(RELEASES)
VERBS: Final = {ACKS: "acked", NACKS: "nacked", RELEASES: "released"}


class Job:
    """An item in hand, until it is settled or its lease is lost.

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
        attempt: For the how many-th time it was handed out.
        lost: The lease has ended early, as the server said or by this process's own clock: others may have
            the item. By the clock alone, its end is still sent, as the server may have kept the lease.
        outcome: What the server made of it: ``acked``, ``nacked``, ``dead``, ``released``, ``lost``; or None.
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
        """Whether its end is decided. The server may not know yet."""
        return self.stage >= DONE

    def ack(self, push: Iterable[Result] | Result = ()) -> None:
        """Done.

        Args:
            push: Results for other queues: they are in exactly if the ack is (one transaction). Some that the
                server can't carry (a value over its limit, say) fail the job: it is nacked with the reason.
                A queue that does not take results ends the iterator.

        Raises:
            ValueNotJson: A result's value is not JSON; nothing is settled yet.
            JobSettled: It was nacked or released before.
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
        """Failed: it is handed out again, or dead if this was its last attempt.

        Args:
            error: Why; an exception goes with its traceback. The last 8 KiB are kept.
            delay: Seconds until it is handed out again. None: the queue's back-off.
            dead: No further attempt would help: it is dead at once.

        Raises:
            JobSettled: It was acked or released before.
        """
        self.end(Verdict(NACKS, error=told(error), delay=delay, dead=dead))

    def release(self) -> None:
        """Not begun after all: it waits again at once, and this hand-out does not count as an attempt.

        Raises:
            JobSettled: It was acked or nacked before.
        """
        self.end(RELEASE)

    def extend(self, ttl: float) -> None:
        """Keep it for ``ttl`` seconds at a time from now on, renewed every third of that.

        Heartbeats keep the lease as long as this process lives and lets other threads run, so this is for
        a process that may be suspended, for work that holds the GIL, or to let others have the item sooner.
        """
        self.hand.extend(self, ttl)

    def end(self, verdict: Verdict) -> None:
        """Decide how it ends."""
        if not self.hand.settle(self, verdict) and self.verdict != verdict and not self.taken:
            raise JobSettled(f"job {self.seq} of {self.queue} was {VERBS[self.verdict.kind]} before")

    def __enter__(self) -> Self:
        self.hand.refuse_child()
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
