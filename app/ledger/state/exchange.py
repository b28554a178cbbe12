"""Workers that trade a lease for the next one: many at once, with a few statements for all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..ops import OpFailed, Take
from ..sqlite import run_statements as sql
from ..together import Exchange, Exchanged, Trade
from ..work import Claim, Claimed, Span, Terms
from . import claims, drawing, runs
from .history import Held, record
from .runs import LEASED, WAITING, Run
from .transaction import Account, Transaction

Ranges = tuple[tuple[int, int], ...]


def exchange(tx: Transaction, op: Exchange) -> Exchanged:
    """Apply the acks of all trades, then their leases."""
    account = tx.live(op.queue)
    if account is None:
        if op.take is not None:
            raise OpFailed(f"queue {op.queue} gives no items")
        return Exchanged(tx.now, ((),) * len(op.trades), (Claimed(),) * len(op.trades))
    acked = _ack_all(tx, account, op.trades)
    if op.take is not None:
        return Exchanged(tx.now, acked, (), _lease_fresh(tx, op.take, op.trades))
    if not any(trade.count for trade in op.trades):
        return Exchanged(tx.now, acked)
    return Exchanged(tx.now, acked, *_lease_waiting(tx, account, op))


def _ack_all(tx: Transaction, account: Account, trades: Sequence[Trade]) -> tuple[Ranges, ...]:
    """Ack all items of each token. A token that is there twice is stale the second time."""
    queue, now = account.id, tx.now
    tokens = dict.fromkeys([trade[0] for trade in trades])
    tokens.pop(None, None)
    if not tokens:
        return ((),) * len(trades)
    rows: list[Any] = tx.execute(sql.ACK_EACH, (queue, json.dumps(list(tokens)), now)).fetchall()
    held: dict[str | None, list[Any]] = {}
    acks: dict[str | None, list[Held]] = {}  # where the queue keeps its history
    for token, first, last, history, kept, worker in rows:
        account.acked += last - first + 1
        if kept:
            account.gone.append((first, last))
        if history:
            runs.done(tx, queue, first, last, history)
        held.setdefault(token, []).append((first, last))
        if account.history:
            acks.setdefault(token, []).append((first, last, worker))
    if len(held) < len(tokens):
        tx.told_stale = True
    for ranges in acks.values():
        record(tx, account, "acked", ranges)
    return tuple([_joined(held.pop(trade[0], ())) for trade in trades])


def _joined(ranges: Sequence[tuple[int, int]]) -> Ranges:
    """In order, neighbours joined."""
    if len(ranges) <= 1:
        return tuple(ranges)
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and joined[-1][1] + 1 == first:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return tuple(joined)


def _lease_fresh(tx: Transaction, take: Take, trades: Sequence[Trade]) -> int | None:
    """Write one row for each lease of fresh items; return when the first of them ends."""
    drawing.follow(tx, take)
    rows: list[tuple[Any, ...]] = []
    first, left, queue = take.first, take.count, take.queue
    for _, count, token, ttl, worker in trades:
        size = min(count, left)
        if size:
            rows.append(
                (queue, first, first + size - 1, LEASED, tx.lease(ttl), ttl, 1, token, worker, 0, 0, 0, size)
            )
            first += size
            left -= size
    if left:
        raise OpFailed(f"{left} items of a draw are nobody's")
    tx.executemany(sql.INSERT, rows)
    if take.end is not None:
        drawing.end(tx, take)
    return min([row[4] for row in rows], default=None)


def _lease_waiting(tx: Transaction, account: Account, op: Exchange) -> tuple[tuple[Claimed, ...], int | None]:
    """Claims; many of single items, as a rule, which are one look at what waits."""
    tx.write_tail(account)  # what was pushed in this transaction waits, too
    wanted = [trade for trade in op.trades if trade.count]
    if len(wanted) > 1 and not account.paused and all(trade.count == 1 for trade in wanted):
        found = claims.find(tx, account, Claim(op.queue, len(wanted), op.most_bytes))
        if not found.spent and not found.damaged and all(run.state == WAITING for run, _ in found.picked):
            return _lease_singles(tx, op, found)
    leases: list[Claimed] = []
    due, room = None, op.most_bytes
    for trade in op.trades:
        if not trade.count:
            leases.append(Claimed())
            continue
        terms = Terms(trade.lease, trade.ttl, trade.worker)
        leases.append(claims.claim(tx, Claim(op.queue, trade.count, room, terms)))
        due = leases[-1].next_due
    return tuple(leases), due


def _lease_singles(
    tx: Transaction, op: Exchange, found: claims.Found
) -> tuple[tuple[Claimed, ...], int | None]:
    """An item each: the first of a run stays in its row, the others and the rest get rows of their own."""
    queue = op.queue
    items = [(run, seq) for run, size in found.picked for seq in range(run.first, run.first + size)]
    changes: list[tuple[Any, ...]] = []
    rows: list[tuple[Any, ...]] = []
    leases: list[Claimed] = []
    at, nearest = 0, found.next_due
    for trade in op.trades:
        if not trade.count or at == len(items):
            leases.append(Claimed())
            continue
        run, seq = items[at]
        due, attempt = tx.lease(trade.ttl), run.attempt + 1
        if seq == run.first:
            changes.append(
                (seq, LEASED, due, trade.ttl, attempt, trade.lease, trade.worker, run.history, 1, queue, seq)
            )
        else:
            lease = LEASED, due, trade.ttl, attempt, trade.lease, trade.worker
            rows.append((queue, seq, seq, *lease, run.priority, run.history, run.kept, 1))
        values = (found.texts[at],) if run.kept else None
        leases.append(Claimed((Span(seq, seq, attempt),), values, due))
        nearest = due if nearest is None or due < nearest else nearest
        at += 1
    rows += [(queue, *rest) for rest in _rests(found)]
    tx.executemany(sql.CHANGE, changes)
    tx.executemany(sql.INSERT, rows)
    return tuple(leases), nearest


def _rests(found: claims.Found) -> list[Run]:
    return [run.part(run.first + size, run.last) for run, size in found.picked if size < run.size]
