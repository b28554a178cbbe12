"""Rounds: all requests that come in one round, of all queues, share one commit.

A commit costs as much as many answers, so many requests should share it. Requests that come while one batch
is on its way to the disk could not get there before it; they gather, and are the next round. It begins when
the callers of the round before have been told: those that ask again at once join it. No request waits for
others that are not there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ..errors import DibsError, LedgerError, LedgerFull, OutcomeUnknown
from ..ledger.ops import QueueRow
from ..ledger.serve import After, Keyed, Replay, Serve
from ..ledger.writer import Batch
from .meters import Commits

if TYPE_CHECKING:
    from ..ledger.writer import Report

log = logging.getLogger("dibs.queue")

ASKS_MOST: Final = 1_024
"""Asks of one batch."""
ITEMS_MOST: Final = 10_000
"""Items, and ranges of settlings, of one batch: others wait while its answers are made."""
BYTES_MOST: Final = 16 * 1024 * 1024
"""Bytes of values of one batch."""
GRACE: Final = 2.0
"""Seconds that the callers of a failed commit wait for certainty before they hear that nobody knows."""


class Room:
    """What a batch still takes: asks, items, ranges and bytes."""

    __slots__ = ("asks", "bytes", "items", "ranges")

    def __init__(self) -> None:
        self.asks = ASKS_MOST
        self.items = self.ranges = ITEMS_MOST
        self.bytes = BYTES_MOST


class Round(Protocol):
    """The asks of one queue that went into a batch."""

    op: Serve

    def settle(self, outcome: Any, now: int) -> None:
        """Take what came of each ask (or the one error of all): park those that wait, keep the others."""

    def tell(self) -> None:
        """Send the answers."""

    def give_up(self, error: DibsError) -> None:
        """Tell all callers that nobody knows; what comes of the asks is learned later."""


class Participant(Protocol):
    """A queue that has asks for the next round."""

    def begin(self, room: Room) -> Round | None:
        """Begin a round with as many asks as there is room for; the others join the next one."""

    def learn(self, after: After) -> None:
        """Follow what the batch made of the queue."""

    def resume(self) -> None:
        """Try the asks that have waited for the disk, which is back."""

    def refuse_waiting(self, error: LedgerError) -> None:
        """Refuse the asks that have not begun and don't wait, as the ledger can't be written."""


class _Op(NamedTuple):
    """An op of one caller, and the future that it waits for."""

    op: Any
    future: asyncio.Future[Any]


class _Sent(NamedTuple):
    """What went to the disk together."""

    others: list[_Op]
    rounds: list[Round]


class Rounds:
    """The way of all ops to the ledger: one batch at a time. Lives on the event loop, which alone touches it.

    ``submit`` hands a batch to the writer. ``by_id`` finds the queue of a row. ``changed`` follows the rows
    that ops on queues tell, before anybody hears of them. ``patience`` (seconds) is how long the disk may
    take.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        submit: Callable[[Batch], None],
        by_id: Mapping[int, Participant],
        changed: Callable[[QueueRow], None],
        patience: float,
    ) -> None:
        self.loop = loop
        self.down: LedgerError | None = None
        self.commits = Commits()
        self._submit = submit
        self._by_id = by_id
        self._changed = changed
        self._patience = patience
        self._ready: dict[Participant, None] = {}
        self._others: deque[_Op] = deque()
        self._under_way: _Sent | None = None
        self._called = False
        self._silent: asyncio.TimerHandle | None = None
        self._until = 0.0

    # -- who takes part

    def join(self, queue: Participant) -> None:
        """Add a queue to the next round."""
        self._ready[queue] = None
        if not self._called and self._under_way is None:
            self._call()

    def commit(self, op: Any) -> asyncio.Future[Any]:
        """Put an op into the next batch. The future has its outcome, or the error for which it was not done.

        While the ledger can't be written it is in no batch; then, too, the caller hears of it a turn later.
        """
        future: asyncio.Future[Any] = self.loop.create_future()
        if self.down is not None:
            self.loop.call_soon(_resolve, future, again(self.down))
            return future
        self._others.append(_Op(op, future))
        if not self._called and self._under_way is None:
            self._call()
        return future

    def _call(self) -> None:
        self._called = True
        self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._called = False
        if self.down is not None or self._under_way is not None:
            return
        room = Room()
        others = self._take_others(room)
        rounds: list[Round] = []
        ready, self._ready = self._ready, {}
        waiting = iter(list(ready))
        for queue in waiting:
            if room.asks <= 0 or room.items <= 0 or room.bytes <= 0 or room.ranges <= 0:
                self._ready = {queue: None, **dict.fromkeys(waiting), **self._ready}
                break
            begun = _begun(queue, room)
            if begun is not None:
                rounds.append(begun)
        if others or rounds:
            self._send(_Sent(others, rounds))
        elif self._ready:
            self._call()

    def _take_others(self, room: Room) -> list[_Op]:
        taken: list[_Op] = []
        while self._others and len(taken) < ASKS_MOST and room.bytes > 0:
            other = self._others.popleft()
            room.bytes -= weight(other.op)
            taken.append(other)
        return taken

    def _send(self, sent: _Sent) -> None:
        self._under_way = sent
        self._until = self.loop.time() + self._patience
        if self._silent is None:
            self._silent = self.loop.call_later(self._patience, self._look)
        ops = [*[other.op for other in sent.others], *[each.op for each in sent.rounds]]
        try:
            self._submit(Batch(tuple(ops), sent))
        except LedgerError as error:  # the writer has ended
            self._under_way = None
            self._fail(sent, error)

    def _fail(self, sent: _Sent, error: LedgerError) -> None:
        for begun in sent.rounds:
            guarded(begun.give_up, again(error))
        for other in sent.others:
            _resolve(other.future, again(error))

    # -- what came of a batch

    def report(self, report: Report) -> None:
        """Tell of a batch; on the writer's thread."""
        try:
            self.loop.call_soon_threadsafe(self._reported, report)
        except RuntimeError:
            return  # the loop is closed: nobody waits there any more

    def _reported(self, report: Report) -> None:
        """Settle all, follow what the queues have become, look at what waits, and only then tell the callers.

        So no wake-up falls between looking and waiting, and the gate is never older than an answer.
        """
        sent: _Sent = report.batch.owner
        self._under_way = None
        self.commits.add(len(report.outcomes), report.seconds)
        others = report.outcomes[: len(sent.others)]
        for outcome in others:
            self._follow(outcome)
        for begun, outcome in zip(sent.rounds, report.outcomes[len(sent.others) :], strict=True):
            _settle(begun, outcome, report.now)
        for queue, after in report.after.items():
            participant = self._by_id.get(queue)
            if participant is not None:
                guarded(participant.learn, after)
        for begun in sent.rounds:
            guarded(begun.tell)
        for other, outcome in zip(sent.others, others, strict=True):
            _resolve(other.future, outcome)
        if (self._ready or self._others) and not self._called:
            self._called = True
            # Callers that ask again at once join: their requests are read in the next turn of the loop.
            self.loop.call_soon(self._call)

    def _follow(self, outcome: Any) -> None:
        row = outcome.outcome if isinstance(outcome, Replay) else outcome
        if isinstance(row, QueueRow) and not isinstance(outcome, Replay):
            guarded(self._changed, row)

    # -- a disk that fails, or is silent

    def troubled(self, error: LedgerError | None) -> None:
        """Tell that the ledger can't be written, or that it can again; on the writer's thread."""
        try:
            self.loop.call_soon_threadsafe(self._troubled, error)
        except RuntimeError:
            return

    def _troubled(self, error: LedgerError | None) -> None:
        self.down = error
        if error is None:
            for queue in list(self._by_id.values()):
                guarded(queue.resume)
            if (self._ready or self._others) and not self._called and self._under_way is None:
                self._call()
            return
        if self._under_way is not None:
            self.loop.call_later(GRACE, self._unsure, self._under_way)
        others, self._others = self._others, deque()
        for other in others:
            _resolve(other.future, again(error))
        for queue in list(self._ready):
            guarded(queue.refuse_waiting, error)

    def _unsure(self, sent: _Sent) -> None:
        """Tell the callers of a batch that nobody knows, if the disk is silent still."""
        if self._under_way is not sent:
            return
        self._fail(sent, self.down if isinstance(self.down, LedgerFull) else unsure())

    def _look(self) -> None:
        """One timer for all batches, since nearly all are over long before."""
        self._silent = None
        if self._under_way is None:
            return
        left = self._until - self.loop.time()
        if left <= 0:
            self._unsure(self._under_way)
            return
        self._silent = self.loop.call_later(left, self._look)

    def close(self) -> None:
        """Cancel the timer."""
        if self._silent is not None:
            self._silent.cancel()


def _begun(queue: Participant, room: Room) -> Round | None:
    try:
        return queue.begin(room)
    except Exception:  # the other queues go on
        log.exception("beginning a round")
        return None


def _settle(begun: Round, outcome: Any, now: int) -> None:
    try:
        begun.settle(outcome, now)
    except Exception:  # what is on disk stands, whatever becomes of its answers
        log.exception("the answers to a round")
        begun.give_up(OutcomeUnknown("the request is done and on disk, but its answer can't be made"))


def _resolve(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
        future.exception()  # its caller may have gone: then nobody asks for it
    else:
        future.set_result(outcome)


def guarded(callback: Callable[..., None], *args: object) -> None:
    """Tell one of many; if that fails, the others must hear of theirs all the same."""
    try:
        callback(*args)
    except Exception:
        log.exception("after a batch")


def again(error: LedgerError) -> LedgerError:
    """An error of its own for each caller: tracebacks pile up on a shared one."""
    return type(error)(*error.args)


def unsure() -> OutcomeUnknown:
    """The error for a disk that does not answer in time; the op may still reach it."""
    return OutcomeUnknown(
        "the disk did not answer in time; send the request again with its key to learn what became of it"
    )


def weight(op: Any) -> int:
    """About how many bytes of values an op brings along."""
    pushed = op.op if isinstance(op, Keyed) else op
    parcels: Sequence[Any] = getattr(pushed, "parcels", ())
    return sum([len(text) for parcel in parcels for text in parcel.texts])
