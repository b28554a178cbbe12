"""The draw: from the shared iterator into the committer's line, in one step.

Two locks, always taken in this order:

* the **source's lock** is the iterator's own (``hold``). A draw keeps it from before the pull until its op is
  in the line, so values enter the line in the order in which they were drawn. It can be held for as
  long as the source sleeps.
* the **line's lock** (``lock``) guards the epoch, what was put back and the gate, for a few instructions. The
  committer and the event loop take it; they never wait for a source.

A pull takes place between two looks at the gate. If the queue was paused, closed, or its epoch raised in
the meantime, or if the caller has given up, the values are put back and drawn first next time: nothing is
handed out, nothing is lost, the order stands.
"""

from __future__ import annotations

import logging
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from app.errors import (
    DibsError,
    LedgerUnavailable,
    PullTimeout,
    QueueConflict,
    QueueStarting,
    QueueUnknown,
    SourceBusy,
    SourceClosed,
    Stopping,
)
from app.ledger.committer import Committer, Entry
from app.ledger.ops import Advance, Define, Op, Outcome, QueueRow, Remember, Retry, SourceEnd, Take
from app.ledger.pending import Pending
from app.queue.answers import Block, Taken, Values, answer
from app.queue.gate import Gate
from app.queue.info import same_definition
from app.queue.limits import Limits
from app.queue.pull import fitting, pull

if TYPE_CHECKING:
    from app.iterators import Hold, IteratorStats
    from app.sources import Source


log = logging.getLogger("dibs.queue")


class Segment(NamedTuple):
    """Consecutive values that were drawn and not handed out."""

    first: int
    values: Values


class Ask:
    """One request for values, from the event loop to a thread of the queue's pool.

    ``patience`` (seconds) is how long it waits for the source.
    """

    __slots__ = ("block", "count", "enqueued", "given_up", "patience", "pending", "remember")

    def __init__(self, count: int, *, block: bool = False) -> None:
        self.count = count
        self.block = block
        self.patience = 0.0
        self.remember: Remember | None = None
        self.pending: Pending[Any] = Pending()
        self.enqueued = False
        self.given_up = False


class Draw:
    """Draws for one queue. Owns its epoch, its place in the line, and what was put back.

    ``reopen`` is called, with the line's lock held, when the source has to be opened again.
    """

    def __init__(
        self, row: QueueRow, committer: Committer, limits: Limits, *, reopen: Callable[[], None]
    ) -> None:
        self._reopen = reopen
        self._committer = committer
        self._limits = limits
        self.queue = row.id
        self.name = row.name
        self.lock = threading.Lock()
        self.source: Source | None = None
        self._row = row
        self._starting = True
        self._replaced = False  # by another definition, for which there is another Draw
        self._foreseen: list[Op] = []
        self.gate = Gate.of(row, starting=True)
        self._mark = row.mark
        self.waits: deque[float] = deque(maxlen=1024)
        self.holds: deque[float] = deque(maxlen=1024)
        self._next_seq = row.cursor + 1
        self._epoch = 0
        self._suspended = False
        self._back: list[Segment] = []

    # -- the source

    def begin_start(self) -> None:
        """The source is being opened: nothing is drawn until it is there."""
        with self.lock:
            self._starting = True
            self._regate()

    def end_start(self) -> None:
        """The source is there, or has failed."""
        with self.lock:
            self._starting = False
            self._regate()

    def use(self, source: Source, row: QueueRow) -> None:
        """Draw from ``source``, which was opened after ``row``'s cursor; what was put back is dropped."""
        with self.lock:
            before = self.source
            self._mark = row.mark
            self._exchange(source, row.cursor)
        if before is not None:
            self.let_go(before)

    def _exchange(self, source: Source, cursor: int) -> None:
        self.source = source
        self._next_seq = cursor + 1
        self._back.clear()

    # -- the gate: the ledger's row, narrowed by the ops that are on their way to it

    def _regate(self) -> None:
        gate = Gate.of(self._row, starting=self._starting or self._replaced)
        for op in self._foreseen:
            gate = gate.foreseen(op)
        self.gate = gate

    def enter(self, op: Op, pending: Pending[QueueRow]) -> None:
        """Put an op without items into the line, and narrow the gate in the same step.

        Whatever is drawn from here on meets the new gate. It follows the ledger when ``pending`` is settled,
        before any caller wakes.
        """
        with self.lock:
            if self.gate.deleted:
                raise QueueUnknown(f"there is no queue {self.name}", field="queue")
            if isinstance(op, Define) and not op.reset and self._head() > 1:
                raise QueueConflict(
                    f"{self.name} has handed out items", reason="source-changed", field="source"
                )
            if isinstance(op, Retry) and self.gate.starting:
                raise QueueStarting(f"{self.name} is being retried", retry_after=1.0)
            self._committer.submit(Entry(op, pending))
            self._foreseen.append(op)
            self._regate()
        pending.when_done(partial(self._left, op, pending))

    def _left(self, op: Op, pending: Pending[QueueRow]) -> None:
        with self.lock:
            self._foreseen.remove(op)
            self._learn(pending.value)

    def learn(self, row: QueueRow) -> None:
        """The queue as the ledger has it: the gate follows."""
        with self.lock:
            self._learn(row)

    def _learn(self, row: QueueRow | None) -> None:
        if row is not None:
            self._replaced |= not same_definition(self._row, row)
            if self._row.ending == "failed" and row.ending is None:
                self._starting = True  # until the source has been opened again
                self._reopen()
            self._row = row
        self._regate()

    def check_advance(self, to_seq: int) -> None:
        """Raise unless the queue can jump forward to ``to_seq``."""
        with self.lock:
            self._check_advance(to_seq)

    def _check_advance(self, to_seq: int) -> None:
        refusal = replace(self.gate, paused=False).refusal()
        if refusal is not None:
            raise refusal
        if self._suspended:
            raise LedgerUnavailable("the ledger is being reopened; nothing was changed")
        if to_seq < self._head():
            raise QueueConflict(
                f"{self.name} is at {self._head() - 1}: it can only be advanced beyond that",
                reason="not-forward",
                field="to_seq",
            )

    def jump(
        self,
        source: Source,
        before: Source,
        to_seq: int,
        remember: Remember | None,
        pending: Pending[QueueRow],
    ) -> None:
        """Go on at ``to_seq`` with ``source`` in place of ``before``, whose lock the caller holds."""
        with self.lock:
            if before is not self.source:
                raise SourceBusy(f"the source of {self.name} was opened anew; ask again", retry_after=1.0)
            self._check_advance(to_seq)
            mark = self._mark if source.resume == "after" else None
            op = Advance(self.queue, self._head() - 1, to_seq, mark, remember)
            self._committer.submit(Entry(op, pending, line=self))
            self._mark = mark
            self._exchange(source, to_seq)

    def _head(self) -> int:
        """The seq that is drawn next."""
        return self._back[0].first if self._back else self._next_seq

    def let_go(self, source: Source) -> None:
        """Close a source without waiting for a pull that runs: its generator ends when that returns.

        What a user's ``finally`` raises there is logged. It may be slow: this is for threads of the pool.
        """
        try:
            source.close(timeout=0)
        except PullTimeout:
            return
        except Exception:
            log.exception("closing the source of %s", self.name)

    def stop(self) -> None:
        """Close the source; a pull that runs is let go, its values with it."""
        if self.source is not None:
            self.let_go(self.source)

    @property
    def arithmetic(self) -> bool:
        """Whether the source counts, so that it can give blocks."""
        return self.source is not None and self.source.arithmetic

    def iterator_stats(self) -> IteratorStats | None:
        """What the shared iterator counted since it was opened."""
        return None if self.source is None else self.source.iterator.stats()

    @property
    def put_back(self) -> int:
        """Values drawn but not handed out, to be drawn first."""
        return sum(len(segment.values) for segment in self._back)

    # -- one draw, on a thread of the pool

    def draw(self, ask: Ask) -> None:
        """Draw for ``ask`` and put the op into the line, or fail what it waits for."""
        if ask.given_up:
            return
        try:
            self._draw(ask)
        except DibsError as error:
            ask.pending.fail(error)
        except Exception as error:
            log.exception("a draw of %s failed", self.name)
            ask.pending.fail(LedgerUnavailable(f"the draw failed: {error!r}"))

    def _draw(self, ask: Ask) -> None:
        while True:
            self._committer.check()
            source = self._source()
            before = perf_counter()
            try:
                with source.iterator.hold(ask.patience) as held:
                    began = perf_counter()
                    if source is not self.source:
                        continue  # exchanged while this thread waited for its lock
                    self.waits.append(began - before)
                    self._draw_held(ask, source, held)
                    self.holds.append(perf_counter() - began)
                    return
            except SourceClosed:
                if source is self.source:  # not exchanged for another one, but closed
                    raise Stopping("the server is going down", retry_after=1.0) from None
            except PullTimeout:
                raise _busy(self.name) from None

    def _source(self) -> Source:
        with self.lock:
            refusal = self.gate.refusal()
            if refusal is not None:
                raise refusal
        return self.opened()

    def opened(self) -> Source:
        """The source that is drawn from now."""
        if self.source is None:
            raise LedgerUnavailable(f"{self.name} has no source yet")
        return self.source

    def _draw_held(self, ask: Ask, source: Source, held: Hold[Any]) -> None:
        with self.lock:
            self._admit(ask, self._epoch)
            epoch = self._epoch
            if self._back:
                self._enqueue_or_put_back(ask, source, self._take_back(ask.count), None)
                return
        values, end = pull(source, held, ask.count, self._limits.handout_bytes)
        fit = fitting(values, self._limits.handout_bytes)
        with self.lock:
            if source is not self.source:
                # Opened anew in the meantime, at the ledger's cursor: the new one gives these values again.
                raise LedgerUnavailable("the source was opened anew in the middle of this; ask again")
            segment = Segment(self._next_seq, values[:fit])
            rest = Segment(self._next_seq + fit, values[fit:])
            self._next_seq += len(values)
            self._put_back(rest)
            try:
                self._admit(ask, epoch)
            except DibsError:
                self._put_back(segment)
                raise
            self._enqueue_or_put_back(ask, source, segment, None if rest.values else end)

    def _admit(self, ask: Ask, epoch: int) -> None:
        """The look before and after the pull, with the line's lock held."""
        if ask.given_up:
            raise _busy(self.name)
        if self._suspended or epoch != self._epoch:
            raise LedgerUnavailable("the ledger was reopened in the middle of this; nothing was handed out")
        refusal = self.gate.refusal()
        if refusal is not None:
            raise refusal

    # -- the line, with its lock held

    def _enqueue_or_put_back(self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None) -> None:
        try:
            self._enqueue(ask, source, segment, end)
        except DibsError:  # the ledger can't be written now
            self._put_back(segment)
            raise

    def _enqueue(self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None) -> None:
        first, values = segment
        op = Take(
            self.queue,
            first,
            len(values),
            source.mark(values[-1]) if values else None,
            end,
            _remembered(ask.remember, values, wide=source.wide) if values else None,
        )
        answer = self._answer(ask, source, segment, end) if values else None
        settled = None if end is None else self.end_settled(op)
        self._committer.submit(
            Entry(op, ask.pending, line=self, values=values, answer=answer, settled=settled)
        )
        ask.enqueued = True
        if values:
            self._mark = op.mark

    def _answer(self, ask: Ask, source: Source, segment: Segment, end: SourceEnd | None) -> Taken | Block:
        state = "open" if end is None else end.ending
        return answer(self.name, state, segment.first, segment.values, wide=source.wide, block=ask.block)

    def end_settled(self, op: Take) -> Callable[[Outcome], None]:
        """What closes the gate once the source's end is on disk."""
        end = op.end
        assert end is not None  # noqa: S101  # asked for ops that carry one

        def settled(_: Outcome) -> None:
            with self.lock:
                self._row = replace(
                    self._row,
                    cursor=op.last,
                    ending=end.ending,
                    failure_type=end.type or None,
                    failure_message=end.message or None,
                )
                self._regate()

        return settled

    def _take_back(self, count: int) -> Segment:
        first, values = self._back[0]
        fit = fitting(values[:count], self._limits.handout_bytes)
        if fit == len(values):
            return self._back.pop(0)
        self._back[0] = Segment(first + fit, values[fit:])
        return Segment(first, values[:fit])

    def _put_back(self, segment: Segment) -> None:
        if segment.values:
            insort(self._back, segment, key=lambda other: other.first)

    def give_up(self, ask: Ask) -> bool:
        """The caller waits no longer. False if its op is in the line already: that can't be withdrawn."""
        with self.lock:
            if ask.enqueued or ask.pending.done:
                return False
            ask.given_up = True
        ask.pending.fail(_busy(self.name))
        return True

    # -- the committer's side (Line)

    def suspend(self) -> None:
        """Raise the epoch: nothing drawn before is enqueued any more, nothing is drawn until resumed."""
        with self.lock:
            self._epoch += 1
            self._suspended = True

    def resume(self, back: Sequence[Entry], cursor: int | None) -> None:
        """Draw again; the values of ``back`` first, in the order of their seqs.

        Where what is drawn next does not follow the ledger's ``cursor`` (a jump that did not reach the
        disk), the source is opened again there.
        """
        with self.lock:
            for entry in back:
                if isinstance(entry.op, Take):
                    self._put_back(Segment(entry.op.first, entry.values))
            self._suspended = False
            astray = cursor is not None and self.source is not None and not self._follows(cursor)
            if astray:
                self._starting = True
                self._regate()
                self._reopen()

    def _follows(self, cursor: int) -> bool:
        """Whether what was put back, and then the source, go on right after ``cursor``."""
        expected = cursor + 1
        for first, values in self._back:
            if first != expected:
                return False
            expected += len(values)
        return expected == self._next_seq


def _remembered(remember: Remember | None, values: Values, *, wide: bool) -> Remember | None:
    """The key's answer, complete in itself: it can be given again whatever becomes of the source."""
    if remember is None:
        return None
    kept = values if isinstance(values, range) else tuple(map(str, values))
    return replace(remember, values=kept, wide=wide)


def _busy(name: str) -> SourceBusy:
    return SourceBusy(f"the source of {name} gave nothing in time; ask again", retry_after=1.0)
