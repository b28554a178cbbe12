"""Draws for many callers at once, from a source that counts: on the event loop, in few steps.

The order of locks in ``draw`` holds here, too. A source that counts never waits, so both locks are held over
the pull, and the gate need not be looked at twice.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ..errors import DibsError, LedgerUnavailable, PullTimeout, SourceClosed
from ..ledger.committer import Committer
from ..ledger.entry import Entry
from ..ledger.ops import Outcome, QueueRow, SourceEnd, Take
from ..ledger.pending import Pending
from ..ledger.together import Exchange, Shares, Trade
from .answers import Values
from .limits import Limits
from .line import QueueLine, Segment
from .pull import end_of, numbers

if TYPE_CHECKING:
    from ..sources import Source

log = logging.getLogger("dibs.queue")


class Many(Pending[Any]):
    """A draw of up to ``count`` numbers for several callers together. It gets the outcome of its op.

    ``shares`` has the part of each caller with a key, ``trades`` the workers that the items are leased to.
    Once the op is in the line, ``first`` and ``values`` are the drawn items, and ``end`` says whether they
    were the last.
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
        """The state of the queue in the answer to the last of the callers."""
        return "open" if self.end is None else self.end.ending

    @property
    def answered(self) -> Values:
        """The values as answers have them: wide numbers are strings."""
        values = self.values or range(0)
        return [f'"{number}"' for number in values] if self.wide else values


class DrawsForMany(QueueLine):
    """The part of a queue's draws that serves many at once.

    ``told`` is called, on the committer's thread, with each outcome of fresh items under a lease. ``now`` is
    ledger time.
    """

    def __init__(
        self,
        row: QueueRow,
        committer: Committer,
        limits: Limits,
        *,
        reopen: Callable[[], None],
        now: Callable[[], int],
        told: Callable[[Outcome], None],
    ) -> None:
        super().__init__(row, committer, limits, reopen=reopen)
        self._now = now
        self._told = told
        self.waits: deque[float] = deque(maxlen=1024)
        self.holds: deque[float] = deque(maxlen=1024)

    def draw_for_many(self, many: Many) -> bool:
        """Draw, and put the op into the line, or fail what waits for it.

        False: it is drawn from just now, or it does not count, or is closed; nothing was drawn.
        """
        source = self.source
        if source is None or not source.arithmetic:
            return False
        before = perf_counter()
        try:
            with source.iterator.hold(0.0) as held, self.lock:
                if source is not self.source:
                    return False
                began = perf_counter()
                self.admit(self._epoch)
                self._committer.check()
                if self._back:
                    (first, drawn), end = self._take_back(many.count), None
                else:
                    first, drawn = self._next_seq, held.take(many.count)
                    self._next_seq = first + len(drawn)
                    end = None if len(drawn) == many.count else end_of(source)
                values = numbers(drawn)
                try:
                    self._committer.submit(self._entry(many, source, first, values, end))
                except Exception:  # the ledger can't be written now, as a rule
                    self._put_back(Segment(first, values))
                    raise
                self.waits.append(began - before)
                self.holds.append(perf_counter() - began)
        except (PullTimeout, SourceClosed):
            return False
        except DibsError as error:
            many.fail(error)
        except Exception:
            log.exception("a draw of %s failed", self.name)
            many.fail(LedgerUnavailable("the draw failed; nothing was handed out"))
        return True

    def admit(self, epoch: int) -> None:
        """Check the gate before and after a pull, with the line's lock held."""
        if self._suspended or epoch != self._epoch:
            raise self._committer.interruption()
        refusal = self.gate.refusal()
        if refusal is not None:
            raise refusal

    def _entry(self, many: Many, source: Source, first: int, values: range, end: SourceEnd | None) -> Entry:
        """The op that records a draw; once it is made, the draw is known to ``many``."""
        many.first, many.values, many.end, many.wide = first, values, end, source.wide
        shares = many.shares
        if shares is not None:
            shares = shares.of(values, wide=source.wide) if values else None
        # There is no mark: a source that counts needs but its cursor to go on.
        take = Take(self.queue, first, len(values), end=end, shares=shares)
        if many.trades is None or not values:
            settled = None if end is None else partial(self._settled, take)
            return Entry(take, many, line=self, values=values, settled=settled)
        exchange = Exchange(self.queue, many.trades, take)
        return Entry(exchange, many, line=self, values=values, settled=partial(self._settled, take))

    def _settled(self, take: Take, outcome: Outcome) -> None:
        """Tell of an op that is on disk: first the leased and settled items, then the source's end."""
        if outcome is not None:
            self._told(outcome)
        if take.end is not None:
            self.end_settled(take)(None)
