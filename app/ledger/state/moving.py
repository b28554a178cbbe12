"""Redrive and purge, a slice at a time; and the clearing of deleted queues."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..work import Moved, Purge, Redrive, Sweep
from . import claims, runs
from .accounts import Account
from .rows import DEAD, LEASED, Run
from .transaction import Transaction

SLICE_ROWS = 200
"""Runs that a slice looks at: the other ops of its transaction, and of the next, wait for it."""

SLICE_ITEMS = 1_000
"""Items that a slice moves, where each of them may have a value, failures or a due of its own."""

TURNS = 10  # a second: how finely a rate spreads its items


class Piece(NamedTuple):
    """The items of one run that an op means."""

    run: Run
    first: int
    last: int

    @property
    def others(self) -> list[Run]:
        """The rest of the run."""
        run, parts = self.run, []
        if run.first < self.first:
            parts.append(run.part(run.first, self.first - 1))
        if self.last < run.last:
            parts.append(run.part(self.last + 1, run.last))
        return parts


class _Slice:
    """The runs that one slice of a long op looks at, and the items that it moves."""

    def __init__(self, tx: Transaction, account: Account, part: Moved, limit: int | None = None) -> None:
        self._tx = tx
        self._queue = account.id
        self._part = part
        self._rows = SLICE_ROWS
        self._left = None if limit is None else max(limit - part.count, 0)
        self._items = SLICE_ITEMS
        self._moved = 0
        self._rest = part.rest or 0
        self._ended = False

    def pieces(
        self,
        ranges: Sequence[tuple[int, int]],
        read: Callable[[int, int, int, int], list[Run]],
        wanted: Callable[[Run], bool],
        single: Callable[[Run], bool],
    ) -> Iterator[Piece]:
        """Pieces of wanted runs, in order, as ``read`` finds them in a range.

        Each may be rewritten before the next is asked for. ``single``: whether each item of a run costs
        something by itself.
        """
        for begin, end in ranges:
            first = max(begin, self._rest + 1)
            if end < first:
                continue
            self._rows -= 1
            for run in read(self._queue, first, end, max(self._rows, 0)):
                self._rows -= 1
                last = min(end, run.last)
                if wanted(run):
                    piece = self._fitting(Piece(run, max(first, run.first), last), single=single(run))
                    if piece.first <= piece.last:
                        yield piece
                    self._rest = max(piece.last, self._rest)
                    if piece.last < last:
                        return
                self._rest = last
            if self._rows <= 0:
                return
            self._rest = end
        self._ended = True

    def _fitting(self, piece: Piece, *, single: bool) -> Piece:
        """As much of a piece as the slice has room for, which may be nothing."""
        size = piece.last - piece.first + 1
        if self._left is not None:
            size = min(size, self._left - self._moved)
        if single:
            size = min(size, self._items)
            self._items -= size
        self._moved += size
        return piece._replace(last=piece.first + size - 1)

    def moved(self, due: int | None = None) -> Moved:
        """The sums with this slice."""
        count = self._part.count + self._moved
        ended = self._ended or (self._left is not None and self._moved >= self._left)
        rest = None if ended else self._rest
        return Moved(count, due if count or not ended else None, rest, self._part.upto if not ended else 0)


def redrive(tx: Transaction, op: Redrive) -> Moved:
    """Let dead items wait again, with all their attempts before them."""
    account, part = tx.live(op.queue), op.part
    if account is None:
        return replace(part, rest=None) if part else Moved(0)
    begun, counted = part is not None and part.begun, op.expect is not None
    part = part or Moved(0, tx.now, 0, account.cursor)
    sure = begun if counted else op.seqs is not None
    if not sure and claims.bury_all(tx, account, SLICE_ROWS) == SLICE_ROWS:
        return part
    if counted and not begun:
        found = account.dead if op.seqs is None else tx.runs.count_dead(account.id, op.seqs)
        if found != op.expect:
            return Moved(0, found=found)
        part = replace(part, due=account.count_dead(), upto=account.cursor)
    now, settings, moved = tx.now, account.settings, _Slice(tx, account, part, op.limit)
    since = now if part.due is None else part.due
    pace = _Pace(since, op.rate, part.count)
    ranges, read = (((1, part.upto),), tx.runs.dead) if op.seqs is None else (op.seqs, tx.runs.within)

    def wanted(run: Run) -> bool:
        if counted:
            return run.state == DEAD and run.due <= since
        return run.state == DEAD or run.spent(now, settings)

    for piece in moved.pieces(ranges, read, wanted, lambda run: op.rate is not None):
        run = piece.run
        if run.state == LEASED:
            run = runs.expired(tx, account.id, run)
        else:
            account.dead -= piece.last - piece.first + 1
        waiting = pace.spread(run, piece.first, piece.last)
        runs.rewrite(tx, account.id, run, [*piece.others, *waiting])
    return moved.moved(since)


class _Pace:
    """Gives out dues at a rate, some items at a time; ``count`` have got theirs already."""

    def __init__(self, now: int, rate: float | None, count: int) -> None:
        self._now = now
        self._rate = rate
        self._turn = int(max(1, -(-rate // TURNS))) if rate else 0
        self._count = count

    def spread(self, run: Run, first: int, last: int) -> Iterator[Run]:
        """These items as they wait, cut where the due changes."""
        while first <= last:
            end, due = last, self._now
            if self._rate:
                size = self._turn
                turn, used = divmod(self._count, size)
                end = min(last, first + size - used - 1)
                due += int(turn * size / self._rate * 1000)
            yield run.part(first, end).waits(due, 0)
            self._count += end - first + 1
            first = end + 1


def purge(tx: Transaction, op: Purge) -> Moved:
    """Drop waiting or dead items for good."""
    account, part = tx.live(op.queue), op.part
    if account is None:
        return replace(part, due=None, rest=None) if part else Moved(0)
    tx.write_tail(account)
    begun, counted, waiting = part is not None and part.begun, op.expect is not None, "waiting" in op.states
    upto = account.cursor if op.upto is None else min(op.upto, account.cursor)
    part = part or Moved(0, tx.now, 0, upto)
    sure = waiting or (counted and begun)
    if not sure and claims.bury_all(tx, account, SLICE_ROWS) == SLICE_ROWS:
        return part
    if op.expect is not None and not begun:
        found = op.seen if waiting else account.dead
        if found > op.expect:
            return Moved(0, found=found)
        part = replace(part, due=account.count_dead())
    since = tx.now if part.due is None else part.due
    now, settings = since if counted else tx.now, account.settings

    def wanted(run: Run) -> bool:
        if run.state == DEAD or run.spent(now, settings):
            return "dead" in op.states and (not counted or run.due <= since)
        return waiting and (run.state != LEASED or run.lapsed(now))

    moved = _Slice(tx, account, part, op.expect)
    purged: list[tuple[int, int]] = []
    read = tx.runs.within if waiting else tx.runs.dead
    for piece in moved.pieces(((1, part.upto),), read, wanted, lambda run: bool(run.kept or run.history)):
        _drop(tx, account, piece)
        purged.append((piece.first, piece.last))
    if purged:
        tx.store.item_keys.forget(op.queue, purged)
    found_all = moved.moved(since)
    return found_all if found_all.rest is not None else replace(found_all, due=None)


def _drop(tx: Transaction, account: Account, piece: Piece) -> None:
    run, first, last = piece
    runs.rewrite(tx, account.id, run, piece.others)
    runs.done(tx, account.id, first, last, run)
    account.purged += last - first + 1
    if run.state == DEAD:
        account.dead -= last - first + 1


def sweep(tx: Transaction, op: Sweep) -> Moved:
    """Remove some of the items that a deleted row has left; ``rest`` if there are more.

    With the last of them goes a row that was replaced, but for the first of its name: answers refer to that.
    """
    account = tx.account(op.queue)
    if account is None or not account.deleted:
        return Moved(0)
    gone = tx.store.sweep(account.id, SLICE_ROWS)
    if SLICE_ROWS in gone:
        return Moved(sum(gone), None, 0)
    if account.id != account.root and tx.named(account.name) is not account:
        tx.remove(account)
    return Moved(sum(gone))
