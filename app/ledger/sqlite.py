"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

The files and connections are in ``files.py``, the SQL is in ``statements.py``; here an op becomes statements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import apsw

from app.ledger import statements as sql
from app.ledger.clock import LedgerClock
from app.ledger.files import SqliteFiles
from app.ledger.ops import (
    Advance,
    Close,
    Define,
    Delete,
    EngineFailed,
    Op,
    OpFailed,
    Outcome,
    Pause,
    QueueRow,
    Recalled,
    Remember,
    Retry,
    Take,
)

PRUNE_EVERY = 60_000  # milliseconds of ledger time
PRUNE_MOST = 1_000  # rows a transaction
CLOCK_EVERY = 1_000  # milliseconds: how much ledger time a crash may lose, if the wall clock steps back too


class SqliteEngine(SqliteFiles):
    """A ledger in ``data/dibs.db``, or in memory where ``data`` is None.

    Raises:
        LedgerLocked: another server owns the folder.
        LedgerForeign: the file is not a ledger, or it is damaged.
        LedgerTooNew: a newer dibs wrote it.
        LedgerFull, LedgerUnavailable: the folder or the file can't be opened or written.
    """

    kind = "sqlite"

    def __init__(
        self,
        data: Path | None,
        *,
        vfs: str | None = None,
        clock: Callable[[int], LedgerClock] = LedgerClock,
    ) -> None:
        super().__init__(data, vfs=vfs)
        self._clock = clock(self.persisted)
        self._persisted = self._pruned = self.persisted
        self._moves: dict[int, _Move] = {}

    def close(self) -> None:
        """Close for good. Ledger time is persisted, so that the next start can't be behind this one."""
        try:
            with self._transaction():
                self._write(sql.CLOCK, {"now": self.now()})
        except (EngineFailed, OpFailed, apsw.Error):
            pass  # the disk fails: what was applied stands as it is
        self._give_up()

    # -- one transaction

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        """Apply all, in order, in one transaction; it is synced when this returns."""
        now = self.now()
        self._moves.clear()
        with self._transaction():
            outcomes = [_HANDLERS[type(op)](self, op, now) for op in ops]
            self._move_cursors()
            persisted, pruned = self._keep_house(now)
        self._persisted, self._pruned = persisted, pruned
        return outcomes

    def _keep_house(self, now: int) -> tuple[int, int]:
        """Persist ledger time and prune answers, now and then; when that was last done."""
        persisted, pruned = self._persisted, self._pruned
        if now - persisted >= CLOCK_EVERY:
            self._write(sql.CLOCK, {"now": now})
            persisted = now
        if (
            now - pruned >= PRUNE_EVERY
            and self._changes(sql.PRUNE, {"now": now, "most": PRUNE_MOST}) < PRUNE_MOST
        ):
            pruned = now
        return persisted, pruned

    def _take(self, op: Take, now: int) -> Outcome:
        """Takes of one queue that follow each other in a transaction move its cursor once."""
        if op.count < 0:
            raise OpFailed(f"a take of {op.count} items")
        if op.count:
            move = self._moves.get(op.queue)
            if move is None:
                move = self._moves[op.queue] = _Move(op.first - 1)
            if move.before + move.count != op.first - 1:
                raise OpFailed(f"item {op.first} does not follow item {move.before + move.count}")
            move.count += op.count
            move.mark = op.mark
        if op.end is not None:
            self._move_cursors()
            self._change(
                sql.END,
                {
                    "queue": op.queue,
                    "cursor": op.last,
                    "ending": op.end.ending,
                    "type": op.end.type if op.end.ending == "failed" else None,
                    "message": op.end.message if op.end.ending == "failed" else None,
                },
            )
        if op.remember is not None:
            outcome: dict[str, Any] = {"first": op.first, "ending": op.end.ending if op.end else None}
            self._remember(op.queue, op.remember, outcome, now)
        return None

    def _move_cursors(self) -> None:
        for queue, move in self._moves.items():
            self._change(
                sql.TAKE,
                {
                    "queue": queue,
                    "before": move.before,
                    "last": move.before + move.count,
                    "count": move.count,
                    "mark": move.mark,
                },
            )
        self._moves.clear()

    def _define(self, op: Define, now: int) -> Outcome:
        values: dict[str, Any] = {"name": op.name, "source": op.source, "args": op.args, "now": now}
        found = self._write(sql.BY_NAME, {"name": op.name}).fetchall()
        row = _row(found[0]) if found else None
        values["id"] = row.id if row else None
        if row is None:
            statement = sql.CREATE
        elif op.reset:
            statement = sql.RESET
        elif row.deleted_at is not None:
            statement = sql.WAKE
        else:
            statement = sql.REDEFINE
        return self._changed_row(statement, values, op.remember, now)

    def _pause(self, op: Pause, now: int) -> Outcome:
        return self._changed_row(sql.PAUSE, {"queue": op.queue, "paused": int(op.paused)}, op.remember, now)

    def _close(self, op: Close, now: int) -> Outcome:
        return self._changed_row(sql.CLOSE, {"queue": op.queue}, op.remember, now)

    def _retry(self, op: Retry, now: int) -> Outcome:
        return self._changed_row(sql.RETRY, {"queue": op.queue}, op.remember, now)

    def _advance(self, op: Advance, now: int) -> Outcome:
        values = {"queue": op.queue, "cursor": op.cursor, "to_seq": op.to_seq, "mark": op.mark}
        return self._changed_row(sql.ADVANCE, values, op.remember, now)

    def _delete(self, op: Delete, now: int) -> Outcome:
        return self._changed_row(sql.DELETE, {"queue": op.queue, "now": now}, op.remember, now)

    def _changed_row(
        self, statement: str, values: dict[str, Any], remember: Remember | None, now: int
    ) -> QueueRow:
        self._move_cursors()
        found = self._write(statement, values).fetchall()
        if not found:
            raise OpFailed(f"the queue is not as this op expects it: {values}")
        row = _row(found[0])
        if remember is not None:
            self._remember(row.id, remember, asdict(row), now)
        return row

    def _change(self, statement: str, values: dict[str, Any]) -> None:
        if self._changes(statement, values) != 1:
            raise OpFailed(f"the queue is not as this op expects it: {values}")

    def _remember(self, queue: int, remember: Remember, outcome: dict[str, Any], now: int) -> None:
        generation = self._write("SELECT generation FROM queue WHERE id = ?", (queue,)).get
        kept = remember.values
        if isinstance(kept, range):
            outcome |= {"start": kept.start, "stop": kept.stop, "step": kept.step}
        values = {
            "queue": queue,
            "generation": generation,
            "caller": remember.caller,
            "key": remember.key,
            "request": remember.request,
            "outcome": json.dumps(outcome | {"wide": remember.wide}),
            "values": json.dumps(kept, ensure_ascii=False) if isinstance(kept, tuple) else None,
            "expires": now + remember.ttl,
            "now": now,
        }
        self._write(sql.FORGET, values)
        self._write(sql.REMEMBER, values)

    # -- looking

    def rows(self) -> list[QueueRow]:
        """Every queue, tombstones too."""
        return [_row(found) for found in self._look(sql.ALL, {})]

    def row(self, queue: int) -> QueueRow | None:
        """One queue as it is on disk now, all its counters from one moment."""
        found = self._look(sql.BY_ID, {"id": queue})
        return _row(found[0]) if found else None

    def recall(self, queue: int, generation: int, caller: str, key: str) -> Recalled | None:
        """What is filed under a key, if it has not expired."""
        found = self._look(
            sql.RECALL,
            {"queue": queue, "generation": generation, "caller": caller, "key": key, "now": self.now()},
        )
        if not found:
            return None
        request, text, values = found[0]
        outcome = json.loads(text)
        wide = outcome.pop("wide")
        if values is None:
            return Recalled(request, outcome, range(*map(outcome.pop, ("start", "stop", "step"))), wide)
        return Recalled(request, outcome, tuple(json.loads(values)), wide)

    def now(self) -> int:
        """Ledger time, in milliseconds."""
        return self._clock.now()


class _Move:
    """How far a transaction moves one cursor."""

    __slots__ = ("before", "count", "mark")

    def __init__(self, before: int) -> None:
        self.before = before
        self.count = 0
        self.mark: str | None = None


def _row(found: Any) -> QueueRow:
    row = QueueRow(*found)
    return replace(row, paused=bool(row.paused))


_HANDLERS: dict[type, Callable[[SqliteEngine, Any, int], Outcome]] = {
    Define: SqliteEngine._define,
    Take: SqliteEngine._take,
    Pause: SqliteEngine._pause,
    Close: SqliteEngine._close,
    Retry: SqliteEngine._retry,
    Advance: SqliteEngine._advance,
    Delete: SqliteEngine._delete,
}
