"""Claims: what waits is handed out again, by priority, due, seq."""

from __future__ import annotations

import logging
from typing import NamedTuple

from ..work import DAMAGED, Bury, Claim, Claimed, Moved, Span, Terms
from . import runs, sql
from .blocks import BlocksDamaged, Reader
from .history import key_of, record
from .runs import LEASED, Run
from .transaction import Account, Transaction

log = logging.getLogger("dibs.ledger")

EXPIRED = "the lease expired"

BURY_RUNS = 1_000
"""Runs that one op buries at most: it must not keep the others of its transaction waiting."""

DAMAGED_MOST = 100
"""Damaged blocks that one claim passes by; the next one goes on."""

BURY_ITEMS = 10_000
"""Items after which it buries no further run: each gets a record of its failure."""


class Found(NamedTuple):
    """What a claim finds: runs with how many items of each, their values, spent ones, the next instant.

    ``damaged``: runs with the first and last of their items whose values are damaged.
    """

    picked: list[tuple[Run, int]]
    texts: list[str]
    spent: list[Run]
    next_due: int | None
    damaged: list[tuple[Run, int, int]]


def claim(tx: Transaction, op: Claim) -> Claimed:
    """Hand out what waits. An expired lease is one attempt that failed; a spent one is buried."""
    account = tx.live(op.queue)
    if account is None:
        return Claimed()
    tx.write_tail(account)
    if account.paused or op.most < 1:
        return Claimed(next_due=next_due(tx, op.queue))
    found = _find_sound(tx, account, op)
    if not found.picked:
        return Claimed(next_due=found.next_due)
    values = tuple(found.texts) if found.picked[0][0].kept else None
    if op.terms is None:
        spans = _give(tx, account, found.picked)
        record(tx, account, "taken", [(span.first, span.last, "") for span in spans], key_of(op.remember))
        return Claimed(spans, values, None, found.next_due)
    due = tx.now + op.terms.ttl
    spans = _lease(tx, op.queue, found.picked, op.terms, due)
    return Claimed(spans, values, due, due if found.next_due is None else min(due, found.next_due))


def _find_sound(tx: Transaction, account: Account, op: Claim) -> Found:
    """What can be claimed, past what has to be buried: spent runs, and items whose values are damaged."""
    for _ in range(DAMAGED_MOST):
        found = find(tx, account, op)
        for run in found.spent:
            _bury(tx, account, run)
        for run, first, last in found.damaged:
            _bury_damaged(tx, account, run, first, last)
        if found.picked or not found.damaged:
            break
    return found


def next_due(tx: Transaction, queue: int) -> int | None:
    """The earliest due of what is not dead."""
    due: int | None = tx.execute(sql.NEXT_DUE, {"queue": queue}).get
    return due


def find(tx: Transaction, account: Account, op: Claim) -> Found:
    """What can be claimed now, up to what is asked for. Nothing is written while the runs are read."""
    now, queue, need = tx.now, op.queue, op.most
    picked: list[tuple[Run, int]] = []
    texts: list[str] = []
    spent: list[Run] = []
    damaged: list[tuple[Run, int, int]] = []
    buried = 0
    nearest: int | None = None
    reader: Reader | None = None
    level: int | None = -1
    while level is not None:
        rows = tx.execute(sql.CLAIMABLE, (queue, level))
        level = None
        for row in rows:
            run = Run._make(row)
            if run.due > now:
                nearest = run.due if nearest is None else min(nearest, run.due)
                level = run.priority
                break
            if run.state == LEASED and account.settings.buries(run.attempt):
                if len(spent) == BURY_RUNS or buried >= BURY_ITEMS:
                    nearest = run.due  # the next claim goes on
                    break
                spent.append(run)
                buried += run.size
                continue
            if not need or (picked and run.kept != picked[0][0].kept):
                nearest = run.due
                break
            size = min(need, run.size)
            if run.kept:
                if reader is None:
                    reader = Reader(tx.execute, queue, op.most_bytes, careful=tx.careful)
                try:
                    part = reader.read(run.first, run.first + size - 1, one=not picked)
                except BlocksDamaged as damage:
                    last = min(damage.last, run.last, run.first + BURY_ITEMS - 1)
                    damaged.append((run, run.first, last))
                    nearest = run.due  # what is left of the run is for the next claim
                    break
                texts += part
                size = len(part)
                need = need - size if size == min(need, run.size) else 0
            else:
                need -= size
            if size:
                picked.append((run, size))
            if size < run.size:
                nearest = run.due
                break
    return Found(picked, texts, spent, nearest, damaged)


def _give(tx: Transaction, account: Account, picked: list[tuple[Run, int]]) -> tuple[Span, ...]:
    """For good: they are inside no more."""
    spans: list[Span] = []
    for run, size in picked:
        last = run.first + size - 1
        rest = [] if last == run.last else [run.part(last + 1, run.last)]
        runs.rewrite(tx, account.id, run, rest)
        runs.done(tx, account.id, run.first, last, run.history)
        if run.kept:
            account.gone.append((run.first, last))
        account.taken += size
        _join(spans, Span(run.first, last, run.attempt + 1))
    return tuple(spans)


def _lease(
    tx: Transaction, queue: int, picked: list[tuple[Run, int]], terms: Terms, due: int
) -> tuple[Span, ...]:
    """Neighbours that are alike become one run of the lease."""
    spans: list[Span] = []
    leased: list[Run] = []
    first_of: list[Run] = []
    for run, size in picked:
        last = run.first + size - 1
        piece = run if last == run.last else run.part(run.first, last)
        if run.state == LEASED:
            piece = runs.failed(tx, queue, piece, EXPIRED)
        piece = Run(
            piece.first,
            last,
            LEASED,
            due,
            terms.ttl,
            run.attempt + 1,
            terms.token,
            terms.worker,
            run.priority,
            piece.history,
            run.kept,
        )
        _join(spans, Span(run.first, last, piece.attempt))
        if last < run.last:
            rest = run.part(last + 1, run.last)
            runs.add(tx, queue, rest)
        if leased and leased[-1].last + 1 == piece.first and leased[-1][5:] == piece[5:]:
            leased[-1] = leased[-1]._replace(last=last)
            tx.execute(sql.REMOVE, (queue, run.first))
        else:
            leased.append(piece)
            first_of.append(run)
    for run, piece in zip(first_of, leased, strict=True):
        runs.rewrite(tx, queue, run, (piece,))
    return tuple(spans)


def _join(spans: list[Span], span: Span) -> None:
    if spans and spans[-1].last + 1 == span.first and spans[-1].attempt == span.attempt:
        spans[-1] = Span(spans[-1].first, span.last, span.attempt)
    else:
        spans.append(span)


def _bury(tx: Transaction, account: Account, run: Run) -> None:
    runs.rewrite(tx, account.id, run, (runs.failed(tx, account.id, run, EXPIRED).buried(tx.now),))
    account.buried += run.size


def _bury_damaged(tx: Transaction, account: Account, run: Run, first: int, last: int) -> None:
    """Values that can't be given out any more: their items are dead, whatever attempts they have left."""
    parts = [runs.failed(tx, account.id, run.part(first, last), DAMAGED).buried(tx.now)]
    if last < run.last:
        parts.append(run.part(last + 1, run.last))
    runs.rewrite(tx, account.id, run, parts)
    account.buried += last - first + 1
    log.error("the values of items %d to %d of queue %d are damaged; they are dead", first, last, account.id)


def bury(tx: Transaction, op: Bury) -> Moved:
    """Bury what is expired with its attempts used up; due is now where that is not all of it."""
    account = tx.live(op.queue)
    if account is None or (most := account.settings.max_attempts) is None:
        return Moved(0)
    found = tx.execute(sql.SPENT, (op.queue, tx.now, most, BURY_RUNS + 1)).fetchall()
    count = 0
    for at, row in enumerate(found):
        if at == BURY_RUNS or count >= BURY_ITEMS:
            return Moved(count, tx.now)
        run = Run._make(row)
        _bury(tx, account, run)
        count += run.size
    return Moved(count)
