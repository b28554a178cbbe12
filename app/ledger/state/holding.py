"""The items of one token, while the entries of one op change them.

The entries change runs in memory; each row is written once, at the end. So a hundred acks of single items of
one lease cost what one ack of all of them costs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from operator import itemgetter

from ..work import Seqs
from . import runs
from .rows import Run
from .transaction import Transaction

Piece = tuple[int, int, bool]
"""First, last, and whether the token holds them."""

_first = itemgetter(0)
_last = itemgetter(1)


class Holding:
    """The live runs of a token: ``_rows`` as the file has them, ``_left`` what has left the token since."""

    __slots__ = ("_changed", "_left", "_live", "_rows")

    def __init__(self, rows: list[Run]) -> None:
        self._rows = rows
        self._live = list(rows)
        self._left: list[Run] = []
        self._changed = False

    def pieces(self, seqs: Seqs | None) -> list[Piece]:
        """The ranges that an entry means, cut where it changes whether they are held; None: all that is."""
        if seqs is None:
            return [(run.first, run.last, True) for run in self._live]
        pieces: list[Piece] = []
        for first, last in seqs:
            pieces += self._cut(first, last)
        return pieces

    def _cut(self, first: int, last: int) -> Iterator[Piece]:
        at = bisect_left(self._live, first, key=_last)
        while first <= last:
            run = self._live[at] if at < len(self._live) else None
            if run is None or run.first > last:
                yield first, last, False
                return
            if run.first > first:
                yield first, run.first - 1, False
                first = run.first
            end = min(last, run.last)
            yield first, end, True
            first, at = end + 1, at + 1

    def take(self, first: int, last: int) -> Run:
        """Cut these items, of one live run, out of what the token holds."""
        self._changed = True
        at = bisect_right(self._live, first, key=_first) - 1
        run = self._live[at]
        if run.first == first and run.last == last:
            del self._live[at]
            return run
        rest = []
        if run.first < first:
            rest.append(run.part(run.first, first - 1))
        if last < run.last:
            rest.append(run.part(last + 1, run.last))
        self._live[at : at + 1] = rest
        return run.part(first, last)

    def keep(self, run: Run) -> None:
        """Keep a changed run with the token."""
        insort(self._live, run)

    def leave(self, run: Run) -> None:
        """Take a run from the token; its items stay inside the queue."""
        self._left.append(run)

    def write(self, tx: Transaction, queue: int) -> None:
        """Write each row that changed, once."""
        if not self._changed:
            return
        parts = sorted(self._live + self._left)
        at = 0
        for row in self._rows:
            mine: list[Run] = []
            while at < len(parts) and parts[at].first <= row.last:
                part = parts[at]
                if mine and part.goes_on(mine[-1]):
                    mine[-1] = mine[-1].part(mine[-1].first, part.last)
                else:
                    mine.append(part)
                at += 1
            if mine != [row]:
                runs.rewrite(tx, queue, row, mine)
