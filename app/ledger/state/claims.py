"""Claims: waiting items are handed out, by priority, due, seq."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..work import DAMAGED, FOREVER, Claim, Claimed, Span, Terms
from . import runs
from .accounts import Account
from .blocks import BlocksDamaged, Reader
from .history import key_of, record
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


def claim(tx: Transaction, op: Claim) -> Claimed:
    """Hand out waiting items. An expired lease of one item is a failed attempt, perhaps the last."""
    account = tx.live(op.queue)
    if account is None:
        return Claimed()
    tx.write_tail(account)
    if account.paused or op.most < 1:
        return Claimed(next_due=tx.runs.next_due(op.queue))
    found = find_sound(tx, account, Wanted(op.most, op.most_bytes, op.most, op.terms is not None))
    if not found.picked:
        return Claimed(next_due=found.next_due)
    values = tuple(found.texts) if found.picked[0][0].kept else None
    if op.terms is None:
        spans = _give(tx, account, found.picked)
        record(tx, account, "taken", [(span.first, span.last, "") for span in spans], key_of(op.remember))
        return Claimed(spans, values, None, found.next_due)
    due = tx.lease(op.terms.ttl)
    spans = _lease(tx, op.queue, found.picked, op.terms, due)
    nearest = tx.runs.next_due(op.queue) if found.crowd else found.next_due
    return Claimed(spans, values, due, due if nearest is None else min(due, nearest))


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


def _give(tx: Transaction, account: Account, picked: list[tuple[Run, int]]) -> tuple[Span, ...]:
    """Give the items out for good: they leave the queue."""
    spans: list[Span] = []
    for run, size in picked:
        last = run.first + size - 1
        rest = [] if last == run.last else [run.part(last + 1, run.last)]
        runs.rewrite(tx, account.id, run, rest)
        runs.done(tx, account.id, run.first, last, run)
        account.taken += size
        join(spans, Span(run.first, last, run.next_attempt(tx.now)))
    return tuple(spans)


def _lease(
    tx: Transaction, queue: int, picked: list[tuple[Run, int]], terms: Terms, due: int
) -> tuple[Span, ...]:
    """Neighbours that are alike become one run of the lease."""
    most = sum([size for _, size in picked])
    spans: list[Span] = []
    leased: list[Run] = []
    first_of: list[Run] = []
    for run, size in picked:
        last = run.first + size - 1
        piece = run if last == run.last else run.part(run.first, last)
        if run.state == LEASED and run.most <= ALONE:
            piece = runs.expired(tx, queue, piece)
        piece = Run(
            piece.first,
            last,
            LEASED,
            due,
            terms.ttl,
            run.next_attempt(tx.now),
            terms.token,
            terms.worker,
            run.priority,
            piece.history,
            run.kept,
            most,
        )
        join(spans, Span(run.first, last, piece.attempt))
        if last < run.last:
            tx.runs.insert(queue, run.part(last + 1, run.last))
        if leased and leased[-1].last + 1 == piece.first and leased[-1][5:] == piece[5:]:
            leased[-1] = leased[-1]._replace(last=last)
            tx.runs.remove(queue, run.first)
        else:
            leased.append(piece)
            first_of.append(run)
    for run, piece in zip(first_of, leased, strict=True):
        runs.rewrite(tx, queue, run, (piece,))
    return tuple(spans)


def join(spans: list[Span], span: Span) -> None:
    """Add a span, as one with the last where it follows it."""
    if spans and spans[-1].last + 1 == span.first and spans[-1].attempt == span.attempt:
        spans[-1] = Span(spans[-1].first, span.last, span.attempt)
    else:
        spans.append(span)


def bury(tx: Transaction, account: Account, run: Run) -> None:
    """Write down that a run is dead, since its lease expired."""
    runs.rewrite(tx, account.id, run, (runs.expired(tx, account.id, run).buried(run.due),))
    account.dead += run.size


def _bury_damaged(tx: Transaction, account: Account, run: Run, first: int, last: int) -> None:
    """Bury items whose values can't be read any more: they are dead, even if they have attempts left."""
    parts = [runs.failed(tx, account.id, run.part(first, last), DAMAGED, tx.now).buried(tx.now)]
    if last < run.last:
        parts.append(run.part(last + 1, run.last))
    runs.rewrite(tx, account.id, run, parts)
    account.dead += last - first + 1
    log.error("the values of items %d to %d of queue %d are damaged; they are dead", first, last, account.id)


def bury_all(tx: Transaction, account: Account, most: int) -> int:
    """Write down which runs are dead, up to so many; return how many these were."""
    found = tx.runs.spent(account.id, tx.now, most)
    for run in found:
        bury(tx, account, run)
    return len(found)
