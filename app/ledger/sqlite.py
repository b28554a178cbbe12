"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

One connection writes and belongs to the committer's thread. A second one, read-only, answers look-ups from
any thread; it sees what is committed and nothing else.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import apsw

from app.errors import LedgerForeign, LedgerTooNew, LedgerUnavailable
from app.ledger import statements as sql
from app.ledger.clock import LedgerClock
from app.ledger.lock import DataLock
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

APPLICATION_ID = 0x64696273  # "dibs"
VERSION = 1
CHECKPOINT_PAGES = 256  # 1 MiB of WAL: small enough to keep the data folder small, large enough to be rare
PRUNE_EVERY = 60_000  # milliseconds of ledger time
PRUNE_MOST = 1_000  # rows a transaction
CLOCK_EVERY = 1_000  # milliseconds: how much ledger time a crash may lose, if the wall clock steps back too

_DISK = (
    apsw.IOError,
    apsw.FullError,
    apsw.CantOpenError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.NoMemError,
    apsw.ProtocolError,
)


class SqliteEngine:
    """A ledger in ``data/dibs.db``, or in memory where ``data`` is None.

    ``vfs`` names an apsw VFS to open files through: the seam by which tests inject faults of a disk.

    Raises:
        LedgerLocked: another server owns the folder.
        LedgerForeign: the file is not a ledger, or it is damaged.
        LedgerTooNew: a newer dibs wrote it.
    """

    kind = "sqlite"

    def __init__(
        self,
        data: Path | None,
        *,
        vfs: str | None = None,
        clock: Callable[[int], LedgerClock] = LedgerClock,
    ) -> None:
        self._vfs = vfs
        self._lock: DataLock | None = None
        self._reading = threading.Lock()
        if data is None:
            self.path = f"file:/dibs-{uuid.uuid4()}?vfs=memdb"
        else:
            data.mkdir(parents=True, exist_ok=True)
            self._lock = DataLock(data)
            self.path = str(data / "dibs.db")
        self.folder = data
        try:
            self._open()
            persisted = self._writer.execute("SELECT clock FROM ledger").get
        except apsw.CantOpenError as error:
            self._give_up()
            raise LedgerUnavailable(f"can't open the ledger {self.path}: {error}") from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            self._give_up()
            raise LedgerForeign(f"{self.path} is not a ledger of dibs, or it is damaged: {error}") from error
        except BaseException:
            self._give_up()
            raise
        self._clock = clock(persisted)
        self._persisted = persisted
        self._pruned = persisted
        self._moves: dict[int, _Move] = {}

    # -- opening and closing

    def _open(self) -> None:
        self._writer = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        self._identify()
        if self.folder is not None:
            self._writer.pragma("journal_mode", "WAL")
        self._writer.pragma("synchronous", "FULL")
        self._writer.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        self._writer.pragma("journal_size_limit", CHECKPOINT_PAGES * 4096)
        if self._writer.pragma("user_version") == 0:
            self._create()
        self._reader = self._connect(apsw.SQLITE_OPEN_READONLY)

    def _connect(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(self.path, flags=flags | apsw.SQLITE_OPEN_URI, vfs=self._vfs)
        connection.set_busy_timeout(5_000)
        return connection

    def _identify(self) -> None:
        """Refuse a file that is not ours before anything is written to it."""
        application, version = self._writer.pragma("application_id"), self._writer.pragma("user_version")
        tables = self._writer.execute("SELECT count(*) FROM sqlite_schema").get
        if application != APPLICATION_ID and (application or version or tables):
            raise LedgerForeign(f"{self.path} is an SQLite database, but not a ledger of dibs")
        if version > VERSION:
            raise LedgerTooNew(
                f"{self.path} has format {version}, written by a newer dibs; this one knows up to {VERSION}"
            )

    def _create(self) -> None:
        schema = Path(__file__).with_name("sqlite.sql").read_text(encoding="utf-8")
        with self._transaction():
            self._writer.execute(schema)
            self._writer.execute("INSERT INTO ledger VALUES (1, ?, 0)", (str(uuid.uuid4()),))
            self._writer.pragma("application_id", APPLICATION_ID)
            self._writer.pragma("user_version", VERSION)
        if self.folder is not None:
            # SQLite syncs its own files; that their names are in the folder, and the folder in its parent,
            # is for us to see to.
            for folder in (self.folder, self.folder.absolute().parent):
                _sync(folder)

    def reopen(self) -> None:
        """Close, open, and bring the log into the database file by a truncating checkpoint.

        A commit that failed can read as absent on the connection that made it and as present later. The
        checkpoint syncs what is read from here on, so that it can't be otherwise again.
        """
        self._disconnect()
        try:
            self._open()
            if self.folder is not None:
                self._checkpoint()
        except _DISK as error:
            raise EngineFailed(str(error), full=isinstance(error, apsw.FullError)) from error

    def _checkpoint(self) -> None:
        if self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]:
            raise EngineFailed("the log can't be brought into the ledger while somebody reads it")

    def _disconnect(self) -> None:
        for name in ("_reader", "_writer"):
            connection: apsw.Connection | None = getattr(self, name, None)
            if connection is not None:
                with self._reading:
                    try:
                        connection.close()
                    except apsw.Error:
                        connection.close(
                            force=True
                        )  # the disk fails; what counts is decided at the reopening

    def _give_up(self) -> None:
        self._disconnect()
        if self._lock is not None:
            self._lock.release()

    def close(self) -> None:
        """Close for good. Ledger time is persisted, so that the next start can't be behind this one."""
        try:
            with self._transaction():
                self._writer.execute(sql.CLOCK, {"now": self.now()})
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
            self._persist(now)
        return outcomes

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
        except _DISK as error:
            raise EngineFailed(str(error), full=isinstance(error, apsw.FullError)) from error
        except apsw.Error as error:
            raise OpFailed(str(error)) from error

    def _persist(self, now: int) -> None:
        if now - self._persisted >= CLOCK_EVERY:
            self._writer.execute(sql.CLOCK, {"now": now})
            self._persisted = now
        if now - self._pruned >= PRUNE_EVERY:
            self._writer.execute(sql.PRUNE, {"now": now, "most": PRUNE_MOST})
            if self._writer.changes() < PRUNE_MOST:
                self._pruned = now

    def _take(self, op: Take, now: int) -> Outcome:
        """Takes of one queue that follow each other in a transaction move its cursor once."""
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
            ending = op.end.ending if op.end else None
            self._remember(
                op.queue, op.remember, {"first": op.first, "count": op.count, "ending": ending}, now
            )
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
        found = self._writer.execute(sql.BY_NAME, {"name": op.name}).fetchone()
        row = _row(found) if found else None
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
        found = self._writer.execute(statement, values).fetchall()
        if not found:
            raise OpFailed(f"the queue is not as this op expects it: {values}")
        row = _row(found[0])
        if remember is not None:
            self._remember(row.id, remember, asdict(row), now)
        return row

    def _change(self, statement: str, values: dict[str, Any]) -> None:
        self._writer.execute(statement, values)
        if self._writer.changes() != 1:
            raise OpFailed(f"the queue is not as this op expects it: {values}")

    def _remember(self, queue: int, remember: Remember, outcome: dict[str, Any], now: int) -> None:
        generation = self._writer.execute("SELECT generation FROM queue WHERE id = ?", (queue,)).get
        values = {
            "queue": queue,
            "generation": generation,
            "caller": remember.caller,
            "key": remember.key,
            "request": remember.request,
            "outcome": json.dumps(outcome),
            "values": None if remember.values is None else json.dumps(remember.values, ensure_ascii=False),
            "expires": now + remember.ttl,
            "now": now,
        }
        self._writer.execute(sql.FORGET, values)
        self._writer.execute(sql.REMEMBER, values)

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
        request, outcome, values = found[0]
        return Recalled(request, json.loads(outcome), None if values is None else tuple(json.loads(values)))

    def _look(self, statement: str, values: dict[str, Any]) -> list[Any]:
        try:
            with self._reading:
                return self._reader.execute(statement, values).fetchall()
        except apsw.Error as error:
            raise LedgerUnavailable(f"the ledger can't be read: {error}") from error

    def now(self) -> int:
        """Ledger time, in milliseconds."""
        return self._clock.now()

    @property
    def durable(self) -> bool:
        """Whether a commit is a sync of a disk."""
        return self.folder is not None

    def size(self) -> int:
        """Bytes of the database and its log."""
        if self.folder is None:
            return 0
        return sum(path.stat().st_size for path in self.folder.glob("dibs.db*"))

    def backup(self, to: str) -> int:
        """Write a consistent copy to the file ``to``, synced under its final name; its size in bytes.

        The online backup API on a connection of its own, in one step: one read transaction, so that the
        copy is of one moment, and writers go on meanwhile.
        """
        partial = Path(f"{to}.partial")
        try:
            source = self._connect(apsw.SQLITE_OPEN_READONLY)
            target = apsw.Connection(str(partial))
            try:
                with target.backup("main", source, "main") as copy:
                    copy.step(-1)
                target.pragma("journal_mode", "DELETE")
            finally:
                target.close()
                source.close()
            _sync(partial)
            partial.replace(to)
            _sync(Path(to).parent)
        except (apsw.Error, OSError) as error:
            partial.unlink(missing_ok=True)
            raise LedgerUnavailable(f"the backup failed: {error}") from error
        return Path(to).stat().st_size


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


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


_HANDLERS: dict[type, Callable[[SqliteEngine, Any, int], Outcome]] = {
    Define: SqliteEngine._define,
    Take: SqliteEngine._take,
    Pause: SqliteEngine._pause,
    Close: SqliteEngine._close,
    Retry: SqliteEngine._retry,
    Advance: SqliteEngine._advance,
    Delete: SqliteEngine._delete,
}
