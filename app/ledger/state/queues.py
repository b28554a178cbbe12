"""Ops on queues: define, pause, close, retry, fail, advance, delete."""

from __future__ import annotations

from dataclasses import asdict

from ..ops import Advance, Close, Define, Delete, Fail, Op, OpFailed, Pause, QueueRow, Remember, Retry
from ..work import DEFAULT_SETTINGS
from . import moving
from .accounts import Account, text_of
from .filing import Filing, file
from .store import QueueWords
from .transaction import Transaction


def define(tx: Transaction, op: Define) -> QueueRow:
    """Create a queue, wake its tombstone, begin it again, or change its source or its settings."""
    account = tx.named(op.name)
    if account is None:
        return _changed(tx, _create(tx, op), op.remember)
    if op.reset and not op.confirmed and not account.deleted and account.inside > 0:
        return account.row()
    settings = op.settings or (DEFAULT_SETTINGS if account.deleted else account.settings)
    same = (account.source, account.args) == (op.source, op.args)
    if op.reset:
        _begin_again(tx, account)
    elif account.deleted:
        _wake(tx, account, same=same)
    elif op.settings is None or not same:
        _require(account.cursor == 0, op)  # where nothing was handed out yet, a definition may change
        account.mark = None
        _lift(account)
    account.source, account.args, account.configured = op.source, op.args, op.configured
    account.configure(settings)
    return _changed(tx, account, op.remember)


def _create(tx: Transaction, op: Define) -> Account:
    settings = text_of(op.settings or DEFAULT_SETTINGS)
    words = QueueWords(
        1, op.source, op.args, tx.now, None, False, None, None, None, None, op.configured, settings
    )
    return tx.create(op.name, words)


def _begin_again(tx: Transaction, account: Account) -> None:
    """Begin a new generation at 0: keys and tokens of the old one mean nothing to it."""
    moving.empty(tx, account)
    account.generation += 1
    account.mark = None
    account.begin_again()
    _revive(tx, account)


def _wake(tx: Transaction, account: Account, *, same: bool) -> None:
    """Go on after the cursor of a tombstone; its mark counts only for the same source."""
    moving.empty(tx, account)  # what was not swept yet
    if not same:
        account.mark = None
    _revive(tx, account)


def _revive(tx: Transaction, account: Account) -> None:
    account.created_at, account.deleted_at, account.paused = tx.now, None, False
    _lift(account)


def _lift(account: Account) -> None:
    account.ending = account.failure_type = account.failure_message = None


def pause(tx: Transaction, op: Pause) -> QueueRow:
    """Stop handing out, or go on."""
    account = _live(tx, op.queue, op)
    account.paused = op.paused
    return _changed(tx, account, op.remember)


def close(tx: Transaction, op: Close) -> QueueRow:
    """Close a queue. Closed is the last word: it stands over a failure and over an exhaustion."""
    account = _live(tx, op.queue, op)
    _lift(account)
    account.ending = "closed"
    return _changed(tx, account, op.remember)


def retry(tx: Transaction, op: Retry) -> QueueRow:
    """Lift a failure, and nothing else."""
    account = _live(tx, op.queue, op)
    _require(account.ending == "failed", op)
    _lift(account)
    return _changed(tx, account, op.remember)


def fail(tx: Transaction, op: Fail) -> QueueRow:
    """Fail a source that can't be opened, whatever its state was; closed stays the last word."""
    account = _live(tx, op.queue, op)
    _require(account.ending != "closed", op)
    account.ending, account.failure_type, account.failure_message = "failed", op.type, op.message
    return _changed(tx, account, None)


def advance(tx: Transaction, op: Advance) -> QueueRow:
    """Jump. It is counted by its own length, from where the caller saw the cursor."""
    account = _live(tx, op.queue, op)
    _require(account.cursor == op.cursor < op.to_seq and account.ending is None, op)
    tx.write_tail(account)
    account.cursor, account.mark = op.to_seq, op.mark
    account.jumped += op.to_seq - op.cursor
    return _changed(tx, account, op.remember)


def delete(tx: Transaction, op: Delete) -> QueueRow:
    """Leave a tombstone: name, cursor and generation stay. What was inside is counted as purged."""
    account = _live(tx, op.queue, op)
    if account.inside and not op.confirmed:
        return account.row()
    tx.store.answers.forget_streams(account.id)
    account.deleted_at = tx.now
    account.purged += account.inside
    account.buried -= account.dead
    return _changed(tx, account, op.remember)


def _live(tx: Transaction, queue: int, op: Op) -> Account:
    account = tx.live(queue)
    _require(account is not None, op)
    assert account is not None  # noqa: S101  # required just now
    return account


def _require(holds: bool, op: Op) -> None:
    if not holds:
        raise OpFailed(f"the queue is not as this op expects it: {op}")


def _changed(tx: Transaction, account: Account, remember: Remember | None) -> QueueRow:
    account.changed = True
    row = account.row()
    if remember is not None:
        file(tx, row.id, row.generation, remember, Filing(asdict(row)))
    return row
