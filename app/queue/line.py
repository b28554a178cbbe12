"""A queue's place in the committer's line: its epoch, its gate, the values put back, and its open source.

One lock (``lock``) guards them, for a few instructions. The committer, the event loop and the threads that
draw take it; none of them waits for a source while it is held. A thread that needs the source's lock, too,
takes that one first.
"""

from __future__ import annotations

import logging
import threading
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import (
    PullTimeout,
    QueueConflict,
    QueueStarting,
    QueueUnknown,
    SourceBusy,
)
from ..ledger.committer import Committer
from ..ledger.entry import Entry, drawn
from ..ledger.ops import Advance, Define, Op, Outcome, QueueRow, Remember, Retry, Take
from ..ledger.pending import Pending
from .answers import Values
from .gate import Gate
from .info import same_definition
from .limits import Limits
from .pull import fitting

if TYPE_CHECKING:
    from ..iterators import IteratorStats
    from ..sources import Source

log = logging.getLogger("dibs.queue")


class Segment(NamedTuple):
    """Consecutive values that were drawn and not handed out."""

    first: int
    values: Values


class QueueLine:
    """Owns one queue's epoch, its gate, its place in the line, and what was put back.

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
        self._next_seq = row.cursor + 1
        self._epoch = 0
        self._suspended = False
        self._back: list[Segment] = []

    # -- the source

    def begin_start(self) -> None:
        """Note that the source is being opened: nothing is drawn until it is there."""
        with self.lock:
            self._starting = True
            self._regate()

    def end_start(self) -> None:
        """Note that the source is open, or has failed."""
        with self.lock:
            self._starting = False
            self._regate()

    def use(self, source: Source, row: QueueRow) -> None:
        """Draw from ``source``, opened after ``row``'s cursor; values that were put back are dropped."""
        with self.lock:
            before = self.source
            self._mark = row.mark
            self._exchange(source, row.cursor)
        if before is not None:
            self.let_go(before)

    def _exchange(self, source: Source, cursor: int) -> None:
        """Go on after ``cursor``. If the source stays, values put back come first, as they have no seq."""
        kept = self._back if source is self.source else []
        self.source = source
        self._next_seq = cursor + 1
        self._back = []
        for _, values in kept:
            self._back.append(Segment(self._next_seq, values))
            self._next_seq += len(values)

    # -- the gate: the ledger's row, narrowed by the ops that are on their way to it

    def _regate(self) -> None:
        gate = Gate.of(self._row, starting=self._starting or self._replaced)
        for op in self._foreseen:
            gate = gate.foreseen(op)
        self.gate = gate

    def enter(
        self, op: Op, pending: Pending[QueueRow], told: Callable[[QueueRow], None], *, narrows: bool = True
    ) -> None:
        """Put an op without items into the line, and narrow the gate in the same step, if it ``narrows`` it.

        Every draw from here on meets the new gate. When the op is on disk, the gate follows it and ``told``
        is called with the row, on the committer's thread, in the order of the line, before any caller wakes.
        """

        def settled(row: Outcome) -> None:
            assert isinstance(row, QueueRow)  # noqa: S101  # every op on queues answers with a row
            self._left(op, row)
            told(row)

        with self.lock:
            if self.gate.deleted:
                raise QueueUnknown(f"there is no queue {self.name}", field="queue")
            if self.gate.leaving is not None or self._replaced:
                raise self.gate.changing()
            if isinstance(op, Define) and not op.reset and narrows and self._head() > 1:
                raise QueueConflict(
                    f"{self.name} has handed out items", reason="source-changed", field="source"
                )
            if isinstance(op, Retry) and self.gate.starting:
                raise QueueStarting(f"{self.name} is being retried", retry_after=1.0)
            self._committer.submit(Entry(op, pending, settled=settled))
            if narrows:
                self._foreseen.append(op)
                self._regate()
        pending.when_done(partial(self._left, op, None))  # refused, or decided after a reopening

    def enter_end(self, op: Take, pending: Pending[None]) -> bool:
        """Put the end of a source that never opened into the line; False while the queue is being changed.

        Behind a new definition, which is in the line already, it would be the end of another source.
        """
        with self.lock:
            if self.gate.deleted or self.gate.leaving is not None or self._replaced:
                return False
            self._committer.submit(Entry(op, pending, settled=self.end_settled(op)))
            return True

    def _left(self, op: Op, row: QueueRow | None) -> None:
        with self.lock:
            self._foreseen = [other for other in self._foreseen if other is not op]
            self._learn(row)

    def learn(self, row: QueueRow) -> None:
        """Set the gate to the queue's row in the ledger."""
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
            raise self._committer.interruption()
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
        """Close a source without waiting for a running pull: its generator ends when that pull returns.

        An exception of a user's ``finally`` is logged. It may be slow, so this is for threads of the pool.
        """
        try:
            source.close(timeout=0)
        except PullTimeout:
            return
        except Exception:
            log.exception("closing the source of %s", self.name)

    def stop(self) -> None:
        """Close the source; a running pull is let go together with its values."""
        if self.source is not None:
            self.let_go(self.source)

    @property
    def arithmetic(self) -> bool:
        """Whether the source counts, so that it can give blocks."""
        return self.source is not None and self.source.arithmetic

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        return None if self.source is None else self.source.iterator.stats()

    @property
    def put_back(self) -> int:
        """Put back values that were drawn and not handed out; they are drawn first next time."""
        return sum(len(segment.values) for segment in self._back)

    # -- put-back, with the lock held

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

    # -- the committer's side (Line)

    def suspend(self) -> None:
        """Raise the epoch: values drawn before are not enqueued any more; nothing is drawn until `resume`."""
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
                take = drawn(entry.op)
                if take is not None:
                    self._put_back(Segment(take.first, entry.values))
            self._suspended = False
            astray = cursor is not None and self.source is not None and not self._follows(cursor)
            if astray and self.source is not None and self.source.resume == "anew":
                self._exchange(self.source, cursor or 0)  # another run would not give these values again
            elif astray:
                self._starting = True
                self._regate()
                self._reopen()

    def _follows(self, cursor: int) -> bool:
        """Whether the values put back, and then those of the source, go on right after ``cursor``."""
        expected = cursor + 1
        for first, values in self._back:
            if first != expected:
                return False
            expected += len(values)
        return expected == self._next_seq

    def end_settled(self, op: Take) -> Callable[[Outcome], None]:
        """The function that closes the gate once the source's end is on disk."""
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
