"""The handlers: what each op does in a transaction, and what is filed of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ops import (
    Advance,
    Close,
    Define,
    Delete,
    Fail,
    OpFailed,
    Outcome,
    Pause,
    Remember,
    Retry,
    Take,
)
from ..together import Exchange
from ..work import (
    Claim,
    Claimed,
    Moved,
    Purge,
    Push,
    Pushed,
    Redrive,
    Settle,
    Settlement,
    Sweep,
    WorkOutcome,
)
from . import claims, drawing, moving, pushing, queues, settling
from .accounts import Account
from .exchange import exchange
from .filing import Filing, changed, file, file_shares, of_take
from .transaction import Transaction

# -- fresh items


def _take(tx: Transaction, op: Take) -> Claimed | None:
    claimed = drawing.draw(tx, op)
    if op.remember is not None:
        due = claimed.due if claimed else None
        token = op.terms.token if op.terms else None
        file(tx, *_place(tx, op.queue), op.remember, Filing(of_take(op, due), claimed, token))
    if op.shares is not None:
        file_shares(tx, *_place(tx, op.queue), op.shares, op)
    return claimed


def _place(tx: Transaction, queue: int) -> tuple[int, int]:
    """The place under which the answers of a queue are filed now: its root and its generation."""
    account = tx.account(queue)
    if account is None:
        raise OpFailed(f"there is no queue {queue}")
    return account.root, account.generation


# -- work


def _claim(tx: Transaction, op: Claim) -> Claimed:
    claimed = claims.claim(tx, op)
    if op.remember is not None:
        _file_work(tx, op.queue, op.remember, claimed, op)
    return claimed


def _settle(tx: Transaction, op: Settle) -> Settlement:
    entries, woken = settling.settle(tx, op)
    claimed = None
    if op.lease is not None:
        claimed = drawing.draw(tx, op.lease) if isinstance(op.lease, Take) else claims.claim(tx, op.lease)
    outcome = Settlement(entries, claimed, woken)
    if op.remember is not None:
        _file_work(tx, op.queue, op.remember, outcome, op.lease)
    return outcome


def _push(tx: Transaction, op: Push) -> Pushed:
    pushed = pushing.push(tx, op)
    if op.remember is not None:
        _file_work(tx, op.queue, op.remember, pushed, None)
    return pushed


def _redrive(tx: Transaction, op: Redrive) -> WorkOutcome:
    return _moved(tx, op, moving.redrive(tx, op))


def _purge(tx: Transaction, op: Purge) -> WorkOutcome:
    return _moved(tx, op, moving.purge(tx, op))


def _moved(tx: Transaction, op: Redrive | Purge, moved: Moved) -> Moved:
    """Each slice files the sums so far in place of those before: a repeat goes on from there."""
    account = tx.account(op.queue)
    if op.remember is not None and account is not None and changed(moved):
        filing = Filing(work=moved, replace=op.part is not None)
        file(tx, account.root, account.generation, op.remember, filing)
    return moved


def _file_work(
    tx: Transaction, queue: int, remember: Remember, work: WorkOutcome, lease: Claim | Take | None
) -> None:
    """File an outcome that changed something, with the source that computes the values of its lease again."""
    account = tx.account(queue)
    if account is None or not (changed(work) or isinstance(lease, Take)):
        return
    claimed = work.claimed if isinstance(work, Settlement) else work
    filing = Filing(work=work)
    if isinstance(lease, Take):
        filing.outcome = of_take(lease, claimed.due if isinstance(claimed, Claimed) else None)
        filing.token = lease.terms.token if lease.terms else None
    elif lease is not None and isinstance(claimed, Claimed) and claimed.spans:
        filing.token = lease.terms.token if lease.terms else None
        filing.source = _computed_by(account, claimed)
    file(tx, account.root, account.generation, remember, filing)


def _computed_by(account: Account, claimed: Claimed) -> tuple[str, str] | None:
    return None if claimed.values is not None else (account.source, account.args)


HANDLERS: dict[type, Callable[[Transaction, Any], Outcome]] = {
    Define: queues.define,
    Take: _take,
    Pause: queues.pause,
    Close: queues.close,
    Retry: queues.retry,
    Fail: queues.fail,
    Advance: queues.advance,
    Delete: queues.delete,
    Claim: _claim,
    Push: _push,
    Settle: _settle,
    Exchange: exchange,
    Redrive: _redrive,
    Sweep: moving.sweep,
    Purge: _purge,
}
