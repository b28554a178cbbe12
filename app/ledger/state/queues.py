"""Ops on queues: define, pause, close, retry, fail, advance, delete."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..ops import Advance, Close, Define, Delete, Fail, Op, OpFailed, Pause, QueueRow, Remember, Retry
from ..work import DEFAULT_SETTINGS
from . import moving
from .accounts import Account
from .filing import Filing, file
from .transaction import Transaction

NO_ENDING: dict[str, Any] = {"ending": None, "failure_type": None, "failure_message": None}


def define(tx: Transaction, op: Define) -> QueueRow:
    """Create a queue, wake its tombstone, begin it again, or change its source or its settings."""
    account = tx.named(op.name)
    if account is None:
        return _filed(tx, _create(tx, op), op.remember)
    if op.reset and not op.confirmed and not account.deleted and account.inside > 0:
        return account.row
    columns: dict[str, Any] = {"source": op.source, "args": op.args, "configured": op.configured}
    columns["settings"] = op.settings or (DEFAULT_SETTINGS if account.deleted else account.settings)
    same = (account.source, account.args) == (op.source, op.args)
    if op.reset:  # a new generation at 0: keys and tokens of the old one mean nothing to it
        moving.empty(tx, account)
        account.begin_again()
        account.change(generation=account.generation + 1, mark=None, **_anew(tx, account), **columns)
    elif account.deleted:  # go on after the cursor of the tombstone; its mark counts only for the same source
        moving.empty(tx, account)  # what was not swept yet
        account.change(mark=account.mark if same else None, **_anew(tx, account), **columns)
    elif op.settings is not None and same:
        account.change(**columns)
    else:  # where nothing was handed out yet, a definition may change
        _require(account.cursor == 0, op)
        edition = account.edition + (not same)
        account.change(mark=None, edition=edition, **NO_ENDING, **columns)
    return _filed(tx, account, op.remember)


def _create(tx: Transaction, op: Define) -> Account:
    row = QueueRow(
        id=0,
        name=op.name,
        generation=1,
        source=op.source,
        args=op.args,
        created_at=tx.now,
        deleted_at=None,
        paused=False,
        **NO_ENDING,
        mark=None,
        cursor=0,
        taken=0,
        jumped=0,
        configured=op.configured,
        settings=op.settings or DEFAULT_SETTINGS,
    )
    return tx.create(row)


def _anew(tx: Transaction, account: Account) -> dict[str, Any]:
    edition = account.edition + 1
    return {"created_at": tx.now, "deleted_at": None, "paused": False, "edition": edition, **NO_ENDING}


def pause(tx: Transaction, op: Pause) -> QueueRow:
    """Stop handing out, or go on."""
    account = _live(tx, op.queue, op)
    account.change(paused=op.paused)
    return _filed(tx, account, op.remember)


def close(tx: Transaction, op: Close) -> QueueRow:
    """Close a queue. Closed is the last word: it stands over a failure and over an exhaustion."""
    account = _live(tx, op.queue, op)
    account.change(**{**NO_ENDING, "ending": "closed", "edition": account.edition + 1})
    return _filed(tx, account, op.remember)


def retry(tx: Transaction, op: Retry) -> QueueRow:
    """Lift a failure, and nothing else."""
    account = _live(tx, op.queue, op)
    _require(account.ending == "failed", op)
    account.change(edition=account.edition + 1, **NO_ENDING)
    return _filed(tx, account, op.remember)


def fail(tx: Transaction, op: Fail) -> QueueRow:
    """Fail a source that can't be opened, whatever its state was; closed stays the last word."""
    account = _live(tx, op.queue, op)
    _require(account.ending != "closed", op)
    account.change(ending="failed", failure_type=op.type, failure_message=op.message)
    return account.row


def advance(tx: Transaction, op: Advance) -> QueueRow:
    """Jump. It is counted by its own length, from where the caller saw the cursor."""
    account = _live(tx, op.queue, op)
    _require(account.cursor == op.cursor < op.to_seq and account.ending is None, op)
    tx.write_tail(account)
    account.cursor, account.mark = op.to_seq, op.mark
    account.jumped += op.to_seq - op.cursor
    account.change(edition=account.edition + 1)
    return _filed(tx, account, op.remember)


def delete(tx: Transaction, op: Delete) -> QueueRow:
    """Leave a tombstone: name, cursor and generation stay. What was inside is counted as purged."""
    account = _live(tx, op.queue, op)
    if account.inside and not op.confirmed:
        return account.row
    account.purged, account.dead = account.purged + account.inside, 0
    account.change(deleted_at=tx.now)
    return _filed(tx, account, op.remember)


def _live(tx: Transaction, queue: int, op: Op) -> Account:
    account = tx.live(queue)
    _require(account is not None, op)
    assert account is not None  # noqa: S101  # required just now
    return account


def _require(holds: bool, op: Op) -> None:
    if not holds:
        raise OpFailed(f"the queue is not as this op expects it: {op}")


def _filed(tx: Transaction, account: Account, remember: Remember | None) -> QueueRow:
    row = account.row
    if remember is not None:
        file(tx, row.id, row.generation, remember, Filing(asdict(row)))
    return row
