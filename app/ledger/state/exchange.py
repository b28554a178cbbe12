"""Workers that trade a lease for the next one: many at once, with a few statements for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops import OpFailed, Take
from ..together import Exchange, Exchanged, Trade
from ..work import FOREVER, Claim, Claimed, Span, Terms
from . import claims, drawing, runs
from .accounts import Account
from .claims import Wanted
from .history import Held, record
from .rows import LEASED, WAITING, Run
from .transaction import Transaction

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
    tokens = {token: (account.id, token) for token, *_ in trades if token is not None}
    if not tokens:
        return ((),) * len(trades)
    held: dict[str | None, list[Any]] = {}
    acks: dict[str | None, list[Held]] = {}  # where the queue keeps its history
    for run in tx.runs.ack(list(tokens.values()), tx.now):
        account.acked += run.last - run.first + 1
        runs.done(tx, account.id, run.first, run.last, run)
        held.setdefault(run.token, []).append((run.first, run.last))
        if account.history:
            acks.setdefault(run.token, []).append((run.first, run.last, run.worker))
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
    dues: list[int] = []
    first, left = take.first, take.count
    for _, count, token, ttl, worker in trades:
        size = min(count, left)
        if size:
            due = tx.lease(ttl)
            dues.append(due)
            lease = Run(first, first + size - 1, LEASED, due, ttl, 1, token, worker, 0, 0, 0, size)
            tx.runs.insert(take.queue, lease)
            first += size
            left -= size
    if left:
        raise OpFailed(f"{left} items of a draw are nobody's")
    tx.comes_due(take.queue, min(dues, default=FOREVER))
    if take.end is not None:
        drawing.end(tx, take)
    return min(dues, default=None)


def _lease_waiting(tx: Transaction, account: Account, op: Exchange) -> tuple[tuple[Claimed, ...], int | None]:
    """Claims; many of single items, as a rule, which are one look at what waits."""
    tx.write_tail(account)  # what was pushed in this transaction waits, too
    wanted = [trade for trade in op.trades if trade.count]
    if len(wanted) > 1 and not account.paused and all(trade.count == 1 for trade in wanted):
        found = claims.find(tx, account, Wanted(len(wanted), op.most_bytes, len(wanted), leasing=False))
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
    leases: list[Claimed] = []
    at, nearest = 0, found.next_due
    for trade in op.trades:
        if not trade.count or at == len(items):
            leases.append(Claimed())
            continue
        run, seq = items[at]
        due, attempt = tx.lease(trade.ttl), run.attempt + 1
        lease = LEASED, due, trade.ttl, attempt, trade.lease, trade.worker
        write = tx.runs.change if seq == run.first else tx.runs.insert
        write(queue, Run(seq, seq, *lease, run.priority, run.history, run.kept, 1))
        values = (found.texts[at],) if run.kept else None
        leases.append(Claimed((Span(seq, seq, attempt),), values, due))
        nearest = due if nearest is None or due < nearest else nearest
        at += 1
    tx.comes_due(queue, FOREVER if nearest is None else nearest)
    for run, size in found.picked:
        if size < run.size:
            tx.runs.insert(queue, run.part(run.first + size, run.last))
    return tuple(leases), nearest
