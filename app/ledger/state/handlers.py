"""The handlers: what each op does in a transaction of SQLite, and what is filed of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
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
    QueueRow,
    Remember,
    Retry,
    Take,
)
from ..sqlite import statements as sql
from ..together import Exchange
from ..work import (
    DEFAULT_SETTINGS,
    Claim,
    Claimed,
    Moved,
    Purge,
    Push,
    Pushed,
    QueueSettings,
    Redrive,
    Settle,
    Settlement,
    Streamed,
    Sweep,
    WorkOutcome,
)
from . import claims, drawing, moving, pushing, settling
from .exchange import exchange
from .filing import Filing, changed, file, file_shares, of_take, streamed
from .transaction import Account, Transaction, settings_of


def row_of(found: Any) -> QueueRow:
    """A row of the table of queues."""
    row = QueueRow(*found)
    return replace(row, paused=bool(row.paused), settings=settings_of(found[-1]))


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
    """The place under which the answers of a queue are filed now: its id and its generation."""
    account = tx.account(queue)
    if account is None:
        raise OpFailed(f"there is no queue {queue}")
    return account.id, account.generation


# -- queues


def _define(tx: Transaction, op: Define) -> Outcome:
    tx.write_all_and_forget()
    found = tx.execute(sql.BY_NAME, {"name": op.name}).fetchone()
    row = row_of(found) if found else None
    if row is not None and _would_drop(row, op):
        return row
    settings = op.settings
    if settings is None:  # of one that is there, as they are
        settings = DEFAULT_SETTINGS if row is None or row.deleted_at is not None else row.settings
    values = {
        "id": row.id if row else None,
        "name": op.name,
        "source": op.source,
        "args": op.args,
        "now": tx.now,
        "configured": op.configured,
        "settings": _written(settings),
    }
    if row is None:
        statement = sql.CREATE
    elif op.reset:
        _empty(tx, row.id)
        statement = sql.RESET
    elif row.deleted_at is not None:
        _empty(tx, row.id)  # what was not swept yet
        statement = sql.WAKE
    elif op.settings is not None and (row.source, row.args) == (op.source, op.args):
        statement = sql.SETTINGS
    else:
        statement = sql.REDEFINE
    return _changed_row(tx, statement, values, op.remember)


def _would_drop(row: QueueRow, op: Define) -> bool:
    """Whether a reset would drop items, and nobody has said that this is meant."""
    return op.reset and not op.confirmed and row.deleted_at is None and row.inside > 0


def _written(settings: QueueSettings) -> str:
    """The settings that differ from the defaults, so that a later default reaches the other queues."""
    default = asdict(DEFAULT_SETTINGS)
    return json.dumps({name: value for name, value in asdict(settings).items() if value != default[name]})


def _pause(tx: Transaction, op: Pause) -> Outcome:
    return _changed_row(tx, sql.PAUSE, {"queue": op.queue, "paused": int(op.paused)}, op.remember)


def _close(tx: Transaction, op: Close) -> Outcome:
    return _changed_row(tx, sql.CLOSE, {"queue": op.queue}, op.remember)


def _retry(tx: Transaction, op: Retry) -> Outcome:
    return _changed_row(tx, sql.RETRY, {"queue": op.queue}, op.remember)


def _fail(tx: Transaction, op: Fail) -> Outcome:
    values = {"queue": op.queue, "type": op.type, "message": op.message}
    return _changed_row(tx, sql.FAIL, values, None)


def _advance(tx: Transaction, op: Advance) -> Outcome:
    values = {"queue": op.queue, "cursor": op.cursor, "to_seq": op.to_seq, "mark": op.mark}
    return _changed_row(tx, sql.ADVANCE, values, op.remember)


def _delete(tx: Transaction, op: Delete) -> Outcome:
    account = tx.live(op.queue)
    if account is not None and account.inside and not op.confirmed:
        tx.write_all_and_forget()
        return row_of(tx.execute(sql.BY_ID, {"id": op.queue}).fetchone())
    purged = 0 if account is None else account.inside
    tx.execute(sql.FORGET_STREAMS, (op.queue,))
    values = {"queue": op.queue, "now": tx.now, "purged": purged}
    return _changed_row(tx, sql.DELETE, values, op.remember)


def _empty(tx: Transaction, queue: int) -> None:
    account = tx.account(queue)
    assert account is not None  # noqa: S101  # its row was just read
    moving.empty(tx, account)


def _sweep(tx: Transaction, op: Sweep) -> Moved:
    return moving.sweep(tx, op)


def _changed_row(
    tx: Transaction, statement: str, values: dict[str, Any], remember: Remember | None
) -> QueueRow:
    tx.write_all_and_forget()
    found = tx.execute(statement, values).fetchall()
    if not found:
        raise OpFailed(f"the queue is not as this op expects it: {values}")
    row = row_of(found[0])
    if remember is not None:
        file(tx, row.id, row.generation, remember, Filing(asdict(row)))
    return row


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
    account = tx.account(op.queue)
    if account is None or op.progress is None or op.remember is None:
        pushed = pushing.push(tx, op)
        if op.remember is not None:
            _file_work(tx, op.queue, op.remember, pushed, None)
        return pushed
    before = streamed(tx, account.id, account.generation, op.remember)
    if (before.bytes if before else 0) != op.since:
        return Pushed(refused="moved")
    pushed = pushing.push(tx, op)
    if pushed.refused is None:
        sums = (before or Streamed()).with_part(pushed, op.progress)
        file(tx, account.id, account.generation, op.remember, Filing(work=sums, replace=True))
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
        file(tx, account.id, account.generation, op.remember, filing)
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
    file(tx, account.id, account.generation, remember, filing)


def _computed_by(account: Account, claimed: Claimed) -> tuple[str, str] | None:
    return None if claimed.values is not None else (account.source, account.args)


HANDLERS: dict[type, Callable[[Transaction, Any], Outcome]] = {
    Define: _define,
    Take: _take,
    Pause: _pause,
    Close: _close,
    Retry: _retry,
    Fail: _fail,
    Advance: _advance,
    Delete: _delete,
    Claim: _claim,
    Push: _push,
    Settle: _settle,
    Exchange: exchange,
    Redrive: _redrive,
    Sweep: _sweep,
    Purge: _purge,
}
