"""Fresh items: the cursor moves, and under a lease a run is written."""

from __future__ import annotations

from ..ops import OpFailed, Take
from ..work import MAX_SEQ, Claimed, Terms
from . import blocks
from .accounts import Account
from .history import record_take
from .rows import LEASED, Run
from .transaction import Transaction


def draw(tx: Transaction, op: Take) -> Claimed | None:
    """Hand out for good, or under a lease; then the source's end, if it came."""
    claimed = None if op.terms is None else Claimed()
    if op.count:
        account = follow(tx, op)
        if op.terms is None:
            account.taken += op.count
            record_take(tx, account, op)
        else:
            claimed = Claimed(due=_lease(tx, op, op.terms))
    if op.end is not None:
        end(tx, op)
    return claimed


def follow(tx: Transaction, op: Take) -> Account:
    """Move the cursor over the items of a take; in a transaction it is written once."""
    if op.count < 0:
        raise OpFailed(f"a take of {op.count} items")
    account = tx.live(op.queue)
    if account is None or account.ending is not None:
        raise OpFailed(f"queue {op.queue} gives no items")
    if account.cursor != op.first - 1:
        raise OpFailed(f"item {op.first} does not follow item {account.cursor}")
    if account.cursor + op.count > MAX_SEQ:
        raise OpFailed(f"{op.count} items after item {account.cursor} are beyond the last seq of a queue")
    tx.write_tail(account)
    account.cursor += op.count
    account.mark = op.mark
    return account


def _lease(tx: Transaction, op: Take, terms: Terms) -> int:
    due = tx.lease(terms.ttl)
    kept = int(op.texts is not None)
    tx.runs.insert(
        op.queue,
        Run(op.first, op.last, LEASED, due, terms.ttl, 1, terms.token, terms.worker, 0, 0, kept, op.count),
    )
    tx.comes_due(op.queue, due)
    if op.texts is not None:
        if len(op.texts) != op.count:
            raise OpFailed(f"{len(op.texts)} values for {op.count} items")
        blocks.write(tx.blocks, op.queue, op.first, op.texts)
    return due


def end(tx: Transaction, op: Take) -> None:
    """Record that the source has ended, once, at the cursor: after the items of this take."""
    assert op.end is not None  # noqa: S101  # its callers have seen it
    account = tx.live(op.queue)
    if account is None or account.cursor != op.last or account.ending not in {None, op.end.ending}:
        raise OpFailed(f"the queue is not as this op expects it: {op}")
    if op.end.ending == "failed":
        account.end("failed", op.end.type, op.end.message)
    else:
        account.end(op.end.ending)
