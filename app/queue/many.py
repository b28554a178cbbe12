"""Draws for many callers at once, from a source that counts: on the event loop, in few steps.

What is said of the locks in ``draw`` holds here too. A source that counts keeps nobody waiting, so both locks
are held over the pull, and there is no need for a second look at the gate.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from app.errors import DibsError, LedgerUnavailable, OutcomeUnknown, PullTimeout, SourceClosed
from app.ledger.committer import Committer
from app.ledger.entry import Entry
from app.ledger.ops import Op, Outcome, QueueRow, SourceEnd, Take
from app.ledger.pending import Pending
from app.ledger.together import Exchange, Shares, Trade
from app.queue.limits import Limits
from app.queue.line import QueueLine, Segment
from app.queue.pull import end_of

if TYPE_CHECKING:
    from app.sources import Source

log = logging.getLogger("dibs.queue")

MOMENT = 0.05
"""Seconds that one event loop waits at most for another to draw from a source that counts."""

SAMPLE = 8
"""One draw for many in so many is timed: percentiles need no more."""


class Many(Pending[Any]):
    """What several callers ask for together: up to ``count`` numbers. It comes to its op's outcome.

    ``shares`` tells what each gets under its key, ``trades`` the workers that it is leased to. Once it is in
    the line, ``first`` and ``values`` are what was drawn, and ``end`` says whether that was the last.
    """

    __slots__ = ("count", "end", "first", "shares", "trades", "values", "wide")

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.shares: Shares | None = None
        self.trades: tuple[Trade, ...] | None = None
        self.first = 0
        self.values: range | None = None
        self.end: SourceEnd | None = None
        self.wide = False

    @property
    def state(self) -> str:
        """What the last of the callers is told of the queue."""
        return "open" if self.end is None else self.end.ending


class DrawsForMany(QueueLine):
    """The part of a queue's draws that serves many at once.

    ``told`` is called, on the committer's thread, with each outcome of fresh items under a lease.
    """

    def __init__(
        self,
        row: QueueRow,
        committer: Committer,
        limits: Limits,
        *,
        reopen: Callable[[], None],
        told: Callable[[Outcome], None],
    ) -> None:
        super().__init__(row, committer, limits, reopen=reopen)
        self._told = told
        self.shared = False  # by several event loops
        self._draws = -1
        self.waits: deque[float] = deque(maxlen=1024)
        self.holds: deque[float] = deque(maxlen=1024)

    def draw_for_many(self, many: Many) -> bool:
        """Draw, and put the op into the line, or fail what waits for it.

        False: it is drawn from just now, or it does not count, or is closed; nothing was drawn.
        """
        source = self.source
        if source is None or not source.arithmetic:
            return False
        self._draws = draws = self._draws + 1
        before = 0.0 if draws % SAMPLE else perf_counter()
        try:
            with source.iterator.hold(MOMENT if self.shared else 0.0) as held:
                began = perf_counter() if before else 0.0
                with self.lock:
                    if source is not self.source:
                        return False
                    self.admit(self._epoch)
                    self._committer.check()
                    if self._back:
                        segment, end = self._take_back(many.count), None
                    else:
                        values = held.take(many.count)
                        segment = Segment(self._next_seq, values)
                        self._next_seq += len(values)
                        end = None if len(values) == many.count else end_of(source)
                    self._enqueue_for_many(many, source, segment, end)
                if before:
                    self.waits.append(began - before)
                    self.holds.append(perf_counter() - began)
        except (PullTimeout, SourceClosed):
            return False
        except DibsError as error:
            many.fail(error)
        except Exception:
            log.exception("a draw of %s failed", self.name)
            many.fail(OutcomeUnknown("the draw failed; ask again with the same key"))
        return True

    def admit(self, epoch: int) -> None:
        """The look before and after a pull, with the line's lock held."""
        if self._suspended or epoch != self._epoch:
            raise LedgerUnavailable("the ledger was reopened in the middle of this; nothing was handed out")
        gate = self.gate
        if not gate.wide_open and (refusal := gate.refusal()) is not None:
            raise refusal

    def _enqueue_for_many(self, many: Many, source: Source, segment: Segment, end: SourceEnd | None) -> None:
        first, values = segment
        assert isinstance(values, range)  # noqa: S101  # the source counts
        mark, shares, wide = None, None, source.wide
        if values:
            mark, shares = source.mark(values[-1]), many.shares
            if shares is not None:
                shares = shares.of(values, wide=wide)
        take = Take(self.queue, first, len(values), mark, end, shares=shares)
        op: Op = take if many.trades is None or not values else Exchange(self.queue, many.trades, take)
        settled = None if op is take and end is None else partial(self._settled, take)
        try:
            self._committer.submit(Entry(op, many, line=self, values=values, settled=settled))
        except DibsError:  # the ledger can't be written now
            self._put_back(segment)
            raise
        many.first, many.values, many.end, many.wide = first, values, end, wide
        if values:
            self._mark = mark

    def _settled(self, take: Take, outcome: Outcome) -> None:
        """It is on disk: what was leased or settled is told first, then the source's end."""
        if outcome is not None:
            self._told(outcome)
        if take.end is not None:
            self.end_settled(take)(None)
