"""Claims: waiting items are handed out, by priority, due, seq."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..looks import DAMAGED
from ..work import FOREVER, Span
from . import runs
from .accounts import Account
from .blocks import BlocksDamaged, Reader
from .rows import ALONE, LEASED, Run
from .transaction import Transaction

log = logging.getLogger("dibs.ledger")

BURY_RUNS = 1_000
"""Runs that one op buries at most: it must not keep the others of its transaction waiting."""

DAMAGED_MOST = 100
"""Damaged blocks that one claim passes by; the next one goes on."""

BURY_ITEMS = 10_000
"""Items after which it buries no further run: each gets a record of its failure."""


class Wanted(NamedTuple):
    """What is looked for: at most ``most`` items and ``room`` bytes of their values (one item at least).

    ``half``: at most so many of an expired answer of many. ``leasing``: under a lease, which has those of one
    such answer or of none.
    """

    most: int
    room: int
    half: int
    leasing: bool


class Found(NamedTuple):
    """The finding of a claim: runs with how many items of each, their values, spent runs, the next instant.

    ``damaged``: runs with the first and last of their items whose values are damaged.
    ``crowd``: they are of an answer of many that has expired; then the next instant is not known yet.
    """

    picked: list[tuple[Run, int]]
    texts: list[str]
    spent: list[Run]
    next_due: int | None
    damaged: list[tuple[Run, int, int]]
    crowd: bool = False


class _Basket:
    """Items for one claim: as many as it asks for, and as many bytes of their values, if those are kept."""

    __slots__ = ("_most_bytes", "_queue", "_reader", "_tx", "damaged", "need", "picked", "texts")

    def __init__(self, tx: Transaction, queue: int, need: int, most_bytes: int) -> None:
        self._tx = tx
        self._queue = queue
        self._most_bytes = most_bytes
        self._reader: Reader | None = None
        self.need = need
        self.picked: list[tuple[Run, int]] = []
        self.texts: list[str] = []
        self.damaged: list[tuple[Run, int, int]] = []

    def add(self, run: Run) -> bool:
        """Add as many items of a run as fit; False if some of them are left."""
        need, picked = self.need, self.picked
        if not need or (picked and run.kept != picked[0][0].kept):
            return False
        size = wanted = min(need, run.size)
        if run.kept:
            try:
                size = self._read(run.first, run.first + size - 1)
            except BlocksDamaged as damage:
                last = min(damage.last, run.last, run.first + BURY_ITEMS - 1)
                self.damaged.append((run, run.first, last))
                return False  # what is left of the run is for the next claim
        self.need = need - size if size == wanted else 0
        if size:
            picked.append((run, size))
        return size == run.size

    def _read(self, first: int, last: int) -> int:
        if self._reader is None:
            self._reader = Reader(self._tx.blocks, self._queue, min(self._most_bytes, self._tx.room))
        before = self._reader.room
        part = self._reader.read(first, last, one=not self.picked)
        self._tx.room = max(self._tx.room - before + self._reader.room, 0)
        self.texts += part
        return len(part)


def find_sound(tx: Transaction, account: Account, wanted: Wanted) -> Found:
    """The items that can be claimed, after burying spent runs and items whose values are damaged."""
    for _ in range(DAMAGED_MOST):
        found = find(tx, account, wanted)
        for run in found.spent:
            bury(tx, account, run)
        for run, first, last in found.damaged:
            _bury_damaged(tx, account, run, first, last)
        if found.picked or not found.damaged:
            break
    account.due = FOREVER if found.next_due is None else found.next_due
    return found


def find(tx: Transaction, account: Account, wanted: Wanted) -> Found:
    """The items that can be claimed now, as many as are wanted. Nothing is written while the runs are read.

    A lease holds the rest of one expired answer of many, or no such items.
    """
    now, queue, settings = tx.now, account.id, account.settings
    basket = _Basket(tx, queue, wanted.most, wanted.room)
    spent: list[Run] = []
    buried = 0
    nearest: int | None = None
    level: int | None = -1
    while level is not None:
        found = tx.runs.claimable(queue, level)
        level = None
        for run in found:
            if run.due > now:
                nearest = run.due if nearest is None else min(nearest, run.due)
                level = run.priority
                break
            if run.state == LEASED:
                if run.spent(now, settings):
                    if len(spent) == BURY_RUNS or buried >= BURY_ITEMS:
                        nearest = run.due  # the next claim goes on
                        break
                    spent.append(run)
                    buried += run.size
                    continue
                if run.most > ALONE and wanted.leasing:
                    if not basket.picked:
                        return _find_half(tx, queue, wanted, run, spent)
                    nearest = run.due
                    break
            if not basket.add(run):
                nearest = run.due
                break
    return Found(basket.picked, basket.texts, spent, nearest, basket.damaged)


def _find_half(tx: Transaction, queue: int, wanted: Wanted, run: Run, spent: list[Run]) -> Found:
    """Half as many items as an expired answer of many had, of those that are left of it.

    Its worker may have died of one of them. So a worker that dies of that item again takes fewer others along
    each time, until the item is alone.
    """
    basket = _Basket(tx, queue, min(wanted.half, max(1, run.most // 2)), wanted.room)
    assert run.token is not None  # noqa: S101  # it is leased
    for left in tx.runs.crowd(queue, run.token, tx.now):
        if not basket.add(left):
            break
    return Found(basket.picked, basket.texts, spent, run.due, basket.damaged, crowd=True)


def join(spans: list[Span], span: Span) -> None:
    """Add a span, as one with the last where it follows it."""
    if spans and spans[-1].last + 1 == span.first and spans[-1].attempt == span.attempt:
        spans[-1] = Span(spans[-1].first, span.last, span.attempt)
    else:
        spans.append(span)


def bury(tx: Transaction, account: Account, run: Run) -> None:
    """Write down that a run is dead, since its lease expired."""
    runs.rewrite(tx, account.id, run, (account.bury(runs.expired(tx, account.id, run), run.due),))


def _bury_damaged(tx: Transaction, account: Account, run: Run, first: int, last: int) -> None:
    """Bury items whose values can't be read any more: they are dead, even if they have attempts left."""
    parts = [account.bury(runs.failed(tx, account.id, run.part(first, last), DAMAGED, tx.now), tx.now)]
    if last < run.last:
        parts.append(run.part(last + 1, run.last))
    runs.rewrite(tx, account.id, run, parts)
    log.error("the values of items %d to %d of queue %d are damaged; they are dead", first, last, account.id)


def bury_all(tx: Transaction, account: Account, most: int) -> int:
    """Write down which runs are dead, up to so many; return how many these were."""
    found = tx.runs.spent(account.id, tx.now, most)
    for run in found:
        bury(tx, account, run)
    return len(found)
