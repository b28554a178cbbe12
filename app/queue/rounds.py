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
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import LedgerError, LedgerFull, LedgerUnavailable, OutcomeUnknown
from ..ledger.engine import Engine
from ..ledger.ops import QueueRow
from ..ledger.writer import Writer
from .batch import Batch, Op
from .meters import Commits
from .round import Round, guarded, unmade

if TYPE_CHECKING:
    from ..ledger.serve import After, Applied
    from .limits import Limits

log = logging.getLogger("dibs.queue")

_op = attrgetter("op")

GRACE: Final = 2.0
"""Seconds that the callers of a failed commit wait for certainty before they hear that nobody knows.

A ledger that returns by itself is waited for as long as a commit may take.
"""


class Participant(Protocol):
    """A queue that has asks for the next round."""

    def begin(self, batch: Batch) -> Round | None:
        """Begin a round with as many asks as the batch has room for; the others join the next one."""

    def learn(self, after: After) -> None:
        """Follow what the batch made of the queue."""

    def resume(self) -> None:
        """Try the asks that have waited for the disk, which is back."""

    def refuse_waiting(self, error: LedgerError) -> None:
        """Refuse the asks that have not begun and don't wait, as the ledger can't be written."""


class Rounds:
    """The way of all ops to the ledger: one batch at a time. Lives on the event loop, which alone touches it.

    It owns the ``writer``, the batch that is under way, what is ready for the next one, and what is known of
    the disk: ``down`` is why the ledger can't be written now, ``shut`` why no ask may join a round: that, or
    the ledger is held. ``by_id`` finds the queue of a row. ``changed`` follows the rows that ops on queues
    tell, before anybody hears of them; ``touched`` are sets to which the rows of each
    batch are added. ``commit_patience`` of the ``limits`` is how long the disk may take.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        *,
        by_id: Mapping[int, Participant],
        changed: Callable[[QueueRow], None],
        limits: Limits,
    ) -> None:
        self.loop = loop
        self.engine = engine
        self.down: LedgerError | None = None
        self.shut: LedgerError | None = None
        self._held: LedgerError | None = None
        self.commits = Commits()
        self._by_id = by_id
        self._changed = changed
        self.touched: list[set[int]] = []
        self._limits = limits
        self._ready: dict[Participant, None] = {}
        self._others: deque[Op] = deque()
        self._under_way: Batch | None = None
        self._called = False
        self._passed_over = False  # queues found the last batch full of other ops
        self._mute: LedgerError | None = None  # told while the disk is silent
        self._silent: asyncio.TimerHandle | None = None
        self._until = 0.0  # the loop's time until which the disk may be silent
        self.writer: Writer[Batch] = Writer(engine, report=self._report, troubled=self._trouble)

    # -- who takes part

    def join(self, queue: Participant) -> None:
        """Add a queue to the next round."""
        self._ready[queue] = None
        if not self._called and self._under_way is None:
            self._called = True
            self.loop.call_soon(self._begin)

    def commit(self, op: Any) -> asyncio.Future[Any]:
        """Put an op into the next batch. The future has its outcome, or the error for which it was not done.

        While the ledger can't be written it is in no batch; then, too, the caller hears of it a turn later.
        """
        future: asyncio.Future[Any] = self.loop.create_future()
        if self.down is not None:
            self.loop.call_soon(_resolve, future, again(self.down))
            return future
        self._others.append(Op(op, future))
        self._call()
        return future

    def _call(self) -> None:
        """Begin a batch in the next turn of the loop, if none is under way and something is ready."""
        if (self._ready or self._others) and not self._called and self._under_way is None:
            self._called = True
            self.loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._called = False
        if self.down is not None or self._under_way is not None:
            return
        batch = Batch()
        rounds_first = self._passed_over
        if self._others and not rounds_first:
            self._add_others(batch)
        self._add_rounds(batch)
        if self._others and rounds_first:
            self._add_others(batch)
        batch.ops = [*map(_op, batch.others), *map(_op, batch.rounds)]
        if not batch.ops:
            self._call()
            return
        self._under_way = batch
        self._until = self.loop.time() + self._limits.commit_patience
        if self._silent is None:
            self._silent = self.loop.call_later(self._limits.commit_patience, self._look)
        try:
            self.writer.submit(batch)
        except LedgerError as error:  # the writer has ended
            self._under_way = None
            self._fail(batch, error)
            self._call()  # what had no room in it is to hear of that, too

    def _add_others(self, batch: Batch) -> None:
        while self._others and len(batch.others) < batch.asks and batch.bytes > 0:
            batch.add(self._others.popleft())

    def _add_rounds(self, batch: Batch) -> None:
        """Begin rounds; where other ops have left no room for a queue, the next batch begins with these."""
        self._passed_over = False
        ready, self._ready = self._ready, {}
        waiting = iter(list(ready))
        for queue in waiting:
            if (batch.others or batch.rounds) and batch.full:
                self._ready = {queue: None, **dict.fromkeys(waiting), **self._ready}
                self._passed_over = bool(batch.others)
                return
            try:
                begun = queue.begin(batch)
            except Exception:  # the other queues go on
                log.exception("beginning a round")
                continue
            if begun is not None:
                batch.rounds.append(begun)

    def _fail(self, batch: Batch, error: LedgerError) -> None:
        for begun in batch.rounds:
            guarded(begun.give_up, again(error))
        for other in batch.others:
            _resolve(other.future, again(error))

    # -- what came of a batch

    def _report(self, batch: Batch, applied: Applied, seconds: float) -> None:
        """Tell of a batch; on the writer's thread."""
        try:
            self.loop.call_soon_threadsafe(self._reported, batch, applied, seconds)
        except RuntimeError:
            return  # the loop is closed: nobody waits there any more

    def _reported(self, batch: Batch, applied: Applied, seconds: float) -> None:
        """Settle all, follow what the queues have become, look at what waits, and only then tell the callers.

        So no wake-up falls between looking and waiting, and no answer is newer than what is known of a queue.
        """
        self._under_way = None
        if self.down is not None and self.down is self._mute:
            self._troubled(None)
        others, outcomes = batch.others, applied.outcomes
        self.commits.add(len(outcomes), seconds)
        for outcome in outcomes[: len(others)]:
            if isinstance(outcome, QueueRow):
                guarded(self._changed, outcome)
        for begun, outcome in zip(batch.rounds, outcomes[len(others) :], strict=True):
            try:
                begun.settle(outcome, applied.now)
            except Exception:  # what is on disk stands, whatever becomes of its answers
                log.exception("the answers to a round")
                begun.give_up(unmade())
        for queue, after in applied.after.items():
            participant = self._by_id.get(queue)
            if participant is not None:
                try:
                    participant.learn(after)
                except Exception:
                    log.exception("after a batch")
        for rows in self.touched:
            rows.update(applied.after)
        for begun in batch.rounds:
            begun.tell()
        for other, outcome in zip(others, outcomes, strict=False):
            _resolve(other.future, outcome)
        if (self._ready or self._others) and not self._called:
            self._called = True
            # Callers that ask again at once join: their requests are read in the next turn of the loop.
            self.loop.call_soon(self.loop.call_soon, self._begin)

    # -- a disk that fails, or is silent

    def _trouble(self, error: LedgerError | None) -> None:
        """Tell that the ledger can't be written, or that it can again; on the writer's thread."""
        try:
            self.loop.call_soon_threadsafe(self._troubled, error)
        except RuntimeError:
            return

    def _troubled(self, error: LedgerError | None) -> None:
        self.down = error
        self.shut = error or self._held
        if error is None:
            self._wake()
            return
        if self._under_way is not None and not self.engine.returns:
            self.loop.call_later(GRACE, self._unsure, self._under_way)
        others, self._others = self._others, deque()
        for other in others:
            _resolve(other.future, again(error))
        for queue in list(self._ready):
            guarded(queue.refuse_waiting, error)

    def _wake(self) -> None:
        for queue in list(self._by_id.values()):
            guarded(queue.resume)
        self._call()

    def hold(self, error: LedgerError | None) -> None:
        """Let no ask join a round, for this reason; or let them join again. Ops on queues go on."""
        self._held = error
        self.shut = self.down or error
        if self.shut is None:
            self._wake()

    def _unsure(self, batch: Batch) -> None:
        """Tell the callers of a batch that nobody knows, if the disk is silent still."""
        if self._under_way is batch:
            self._fail(batch, self.down if isinstance(self.down, LedgerFull) else unsure())

    def _look(self) -> None:
        """One timer for all batches, since nearly all are over long before."""
        self._silent = None
        if self._under_way is None:
            return
        left = self._until - self.loop.time()
        if left <= 0:
            self._unsure(self._under_way)
            if self.down is None:  # nobody need wait behind it
                self._mute = LedgerUnavailable("the ledger does not answer; nothing was handed out")
                self._troubled(self._mute)
        else:
            self._silent = self.loop.call_later(left, self._look)

    def close(self) -> None:
        """Cancel the timer."""
        if self._silent is not None:
            self._silent.cancel()


def _resolve(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
        future.exception()  # its caller may have gone: then nobody asks for it
    else:
        future.set_result(outcome)


def again(error: LedgerError) -> LedgerError:
    """An error of its own for each caller: tracebacks pile up on a shared one."""
    return type(error)(*error.args)


def unsure() -> OutcomeUnknown:
    """The error for a ledger that does not answer in time; the op may still reach it."""
    return OutcomeUnknown(
        "the ledger did not answer in time; send the request again with its key to learn what became of it"
    )
