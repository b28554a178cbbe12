"""Redrive, purge, and what a deletion takes with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..statements import FORGET_STREAMS
from ..work import Moved, Purge, Redrive, Seqs
from . import runs, sql
from .runs import Run
from .transaction import Account, Transaction

Ranges = list[Any]  # of seqs: first and last, both included

SLICES = 10  # a second: how finely a rate spreads its items


def redrive(tx: Transaction, op: Redrive) -> Moved:
    """Dead items wait again, with all their attempts before them."""
    account = tx.live(op.queue)
    if account is None:
        return Moved(0)
    if op.seqs is None and op.limit is None and op.rate is None:
        count = sum(size for (size,) in tx.execute(sql.REDRIVE_ALL, (tx.now, op.queue)))
        account.buried -= count
        return Moved(count, tx.now if count else None)
    pace = _Pace(tx.now, op.rate)
    left = op.limit
    for run, pieces in list(_dead(tx, op.queue, op.seqs)):
        parts: list[Run] = []
        seq = run.first
        for first, end in pieces:
            last = end if left is None else min(end, first + left - 1)
            if last < first:
                break
            if first > seq:
                parts.append(run.part(seq, first - 1))
            parts += pace.spread(run, first, last)
            seq = last + 1
            if left is not None:
                left -= last - first + 1
        if seq == run.first:
            break
        if seq <= run.last:
            parts.append(run.part(seq, run.last))
        runs.rewrite(tx, op.queue, run, parts)
    account.buried -= pace.count
    return Moved(pace.count, tx.now if pace.count else None)


def _dead(tx: Transaction, queue: int, seqs: Seqs | None) -> Iterator[tuple[Run, list[tuple[int, int]]]]:
    """Each dead run, with the pieces of it that are meant."""
    found: dict[int, tuple[Run, list[tuple[int, int]]]] = {}
    for first, last in ((1, 2**63 - 1),) if seqs is None else seqs:
        for row in tx.execute(sql.DEAD, (queue, first, last)):
            run = Run._make(row)
            piece = max(first, run.first), min(last, run.last)
            found.setdefault(run.first, (run, []))[1].append(piece)
    return iter(found.values())


class _Pace:
    """Gives out dues at a rate, a slice of items at a time."""

    def __init__(self, now: int, rate: float | None) -> None:
        self._now = now
        self._rate = rate
        self._slice = max(1, -(-rate // SLICES)) if rate else 0
        self.count = 0

    def spread(self, run: Run, first: int, last: int) -> Iterator[Run]:
        """These items as they wait, cut where the due changes."""
        while first <= last:
            end, due = last, self._now
            if self._rate:
                size = int(self._slice)
                turn, used = divmod(self.count, size)
                end = min(last, first + size - used - 1)
                due += int(turn * size / self._rate * 1000)
            yield run.part(first, end).waits(due, 0)
            self.count += end - first + 1
            first = end + 1


def purge(tx: Transaction, op: Purge) -> Moved:
    """Drop what waits, or what is dead, for good."""
    account = tx.live(op.queue)
    if account is None:
        return Moved(0)
    tx.write_tail(account)
    waiting: Ranges = []
    dead: Ranges = []
    if "waiting" in op.states:
        waiting = tx.execute(sql.PURGE_WAITING, (op.queue, tx.now)).fetchall()
    if "dead" in op.states:
        dead = tx.execute(sql.PURGE_DEAD, (op.queue,)).fetchall()
        account.buried -= _size(dead)
    count = _size(waiting) + _size(dead)
    if count:
        account.purged += count
        account.gone.append((1, account.cursor))
        tx.execute(sql.FORGIVE_GONE, (op.queue,))
        _forget_keys(tx, op.queue, waiting + dead)
    if waiting:
        tx.execute(FORGET_STREAMS, (op.queue,))
    return Moved(count)


def _size(ranges: Ranges) -> int:
    return sum(last - first + 1 for first, last in ranges)


def _forget_keys(tx: Transaction, queue: int, purged: Ranges) -> None:
    """Items of these seqs can be pushed again under their keys."""
    if not tx.execute(sql.HAS_KEYS, (queue,)).get:
        return
    joined: Ranges = []
    for first, last in sorted(purged):
        begin = joined.pop()[0] if joined and joined[-1][1] + 1 == first else first
        joined.append((begin, last))
    tx.executemany(sql.FORGET_KEYS, [(queue, *span) for span in joined])


def empty(tx: Transaction, account: Account) -> int:
    """Drop all that is inside a queue, and what is known of it; how many items that were."""
    tx.write_tail(account)
    inside: int = tx.execute(sql.INSIDE, (account.id,)).get
    for statement in sql.EMPTY:
        tx.execute(statement, (account.id,))
    tx.execute(FORGET_STREAMS, (account.id,))
    account.gone.clear()
    return inside
