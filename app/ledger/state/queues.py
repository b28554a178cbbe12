"""Ops on queues: define, pause, close, retry, fail, advance, delete; and one on the ledger: accept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ops import Accept, Advance, Close, Define, Delete, Fail, NotAsExpected, Pause, QueueRow, Retry
from ..work import DEFAULT_SETTINGS, QueueSettings
from .accounts import Account
from .transaction import Transaction

NO_ENDING: dict[str, Any] = dict.fromkeys(("ending", "failure_type", "failure_message", "failure_place"))


def define(tx: Transaction, op: Define) -> QueueRow:
    """Create a queue, wake its tombstone, begin it again, or change its source or its settings.

    All but a change of settings make a new row: no item of the old one, nor its key or token, belongs to it.
    """
    account = tx.named(op.name)
    if account is None:
        account = tx.create(_row(tx, op, DEFAULT_SETTINGS))
    elif account.deleted or op.reset or (account.source, account.args) != (op.source, op.args):
        account = tx.create(_successor(tx, op, account), account)
    elif op.settings is not None:
        account.change(configured=op.configured, settings=op.settings)
    else:
        _require_unused(account)
        account.change(configured=op.configured, edition=account.edition + 1, **NO_ENDING)
    return account.row


def _successor(tx: Transaction, op: Define, account: Account) -> QueueRow:
    """The row that comes in the place of another: of a reset, of a tombstone, or of another source."""
    old = account.row
    anew = _row(tx, op, DEFAULT_SETTINGS if account.deleted else old.settings)
    anew = replace(anew, root=old.root, generation=old.generation)
    if op.reset:
        if not (op.confirmed or account.deleted) and account.inside > 0:
            raise NotAsExpected("not-empty", old)
        return replace(anew, generation=old.generation + 1)
    if account.deleted:  # it goes on after the cursor; the mark counts only for the same source
        same = (old.source, old.args) == (op.source, op.args)
        return replace(anew, base=old.cursor, cursor=old.cursor, mark=old.mark if same else None)
    _require_unused(account)
    return replace(anew, created_at=old.created_at, paused=old.paused, paused_at=old.paused_at)


def _require_unused(account: Account) -> None:
    """Where nothing was handed out yet, a definition may change."""
    if account.cursor:
        raise NotAsExpected("source-changed", account.row)


def _row(tx: Transaction, op: Define, settings: QueueSettings) -> QueueRow:
    return QueueRow(
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
        settings=op.settings or settings,
    )


def pause(tx: Transaction, op: Pause) -> QueueRow:
    """Stop handing out, or go on."""
    account = _live(tx, op.queue)
    account.change(paused=op.paused)
    return account.row


def close(tx: Transaction, op: Close) -> QueueRow:
    """Close a queue. Closed is the last word: it stands over a failure and over an exhaustion."""
    account = _live(tx, op.queue)
    account.change(**{**NO_ENDING, "ending": "closed", "edition": account.edition + 1})
    return account.row


def retry(tx: Transaction, op: Retry) -> QueueRow:
    """Lift a failure, and nothing else."""
    account = _live(tx, op.queue)
    if account.ending != "failed":
        raise NotAsExpected("not-failed", account.row)
    account.change(edition=account.edition + 1, **NO_ENDING)
    return account.row


def fail(tx: Transaction, op: Fail) -> QueueRow:
    """Fail a source that can't be opened, whatever its state was; closed stays the last word."""
    account = _live(tx, op.queue)
    if account.ending == "closed":
        raise NotAsExpected("ended", account.row)
    account.end("failed", op.type, op.message)
    return account.row


def advance(tx: Transaction, op: Advance) -> QueueRow:
    """Jump. It is counted by its own length. What was replayed is not compared at the new place."""
    account = _live(tx, op.queue)
    if account.ending is not None or op.to_seq <= account.cursor:
        raise NotAsExpected("not-forward" if account.ending is None else "ended", account.row)
    tx.write_tail(account)
    account.jumped += op.to_seq - account.cursor
    account.cursor = op.to_seq
    if not op.keeps_mark:
        account.mark = None
    account.change(edition=account.edition + 1)
    return account.row


def accept(tx: Transaction, _: Accept) -> None:
    """Note that a copy may be used as the ledger."""
    tx.store.accept(tx.now)


def delete(tx: Transaction, op: Delete) -> QueueRow:
    """Leave a tombstone: name, cursor and generation stay. What was inside is counted as purged."""
    account = _live(tx, op.queue)
    if account.inside and not op.confirmed:
        raise NotAsExpected("not-empty", account.row)
    account.delete(tx.now)
    return account.row


def _live(tx: Transaction, queue: int) -> Account:
    account = tx.account(queue)
    if account is None or account.deleted:
        raise NotAsExpected("deleted", None if account is None else account.row)
    return account
