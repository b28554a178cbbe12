"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

One connection writes and belongs to the committer's thread. A second one, read-only, answers look-ups from
any thread; it sees what is committed and nothing else.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn, cast

import apsw

from app.errors import LedgerForeign, LedgerFull, LedgerTooNew, LedgerUnavailable
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
        self._vfs = vfs
        self._lock: DataLock | None = None
        self._reading = threading.Lock()
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._anchor: apsw.Connection | None = None
        self._moves: dict[int, _Move] = {}
        self.folder = data
        self.path = f"file:/dibs-{uuid.uuid4()}?vfs=memdb" if data is None else str(data / "dibs.db")
        try:
            persisted = self._begin()
        except BaseException as error:
            self._give_up()
            if isinstance(error, Exception):
                _raise_at_start(self.path, error)
            raise
        self._clock = clock(persisted)
        self._persisted = persisted
        self._pruned = persisted

    # -- opening and closing

    def _begin(self) -> int:
        """Open for the first time; the ledger time that was persisted."""
        if self.folder is None:
            self._anchor = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = DataLock(self.folder)
        self._open()
        self._reader = self._connect(apsw.SQLITE_OPEN_READONLY)
        [(clock,)] = self._write("SELECT clock FROM ledger").fetchall()
        return cast(int, clock)

    def _write(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> apsw.Cursor:
        if self._writer is None:
            raise EngineFailed("the ledger is not open")
        return self._writer.execute(statement, values)

    def _open(self) -> None:
        self._writer = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        self._identify(self._writer)
        if self.folder is not None:
            self._writer.pragma("journal_mode", "WAL")
        self._writer.pragma("synchronous", "FULL")
        self._writer.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        self._writer.pragma("journal_size_limit", CHECKPOINT_PAGES * 4096)
        if self._writer.pragma("user_version") == 0:
            self._create(self._writer)

    def _connect(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(self.path, flags=flags | apsw.SQLITE_OPEN_URI, vfs=self._vfs)
        connection.set_busy_timeout(5_000)
        return connection

    def _identify(self, writer: apsw.Connection) -> None:
        """Refuse a file that is not ours before anything is written to it."""
        application, version = writer.pragma("application_id"), writer.pragma("user_version")
        tables = writer.execute("SELECT count(*) FROM sqlite_schema").get
        if application != APPLICATION_ID and (application or version or tables):
            raise LedgerForeign(f"{self.path} is an SQLite database, but not a ledger of dibs")
        if version > VERSION:
            raise LedgerTooNew(
                f"{self.path} has format {version}, written by a newer dibs; this one knows up to {VERSION}"
            )

    def _create(self, writer: apsw.Connection) -> None:
        schema = Path(__file__).with_name("sqlite.sql").read_text(encoding="utf-8")
        with self._transaction():
            writer.execute(schema)
            writer.execute("INSERT INTO ledger VALUES (1, ?, 0)", (str(uuid.uuid4()),))
            writer.pragma("application_id", APPLICATION_ID)
            writer.pragma("user_version", VERSION)
        if self.folder is not None:
            # SQLite syncs its own files; that their names are in the folder, and the folder in its parent,
            # is for us to see to.
            for folder in (self.folder, self.folder.absolute().parent):
                _sync(folder)

    def reopen(self) -> None:
        """Close, open, and bring the log into the database file by a truncating checkpoint.

        A commit that failed can read as absent on the connection that made it and as present later. The
        checkpoint syncs what is read from here on, so that it can't be otherwise again; until it has
        succeeded nothing is read.
        """
        self._disconnect()
        try:
            self._open()
            if self.folder is not None:
                self._checkpoint()
            self._reader = self._connect(apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise EngineFailed(str(error), full=isinstance(error, apsw.FullError)) from error

    def _checkpoint(self) -> None:
        if self._write("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]:
            raise EngineFailed("the log can't be brought into the ledger while somebody reads it")

    def _disconnect(self) -> None:
        with self._reading:
            connections = self._reader, self._writer
            self._reader = self._writer = None
            for connection in connections:
                if connection is not None:
                    try:
                        connection.close()
                    except apsw.Error:
                        connection.close(
                            force=True
                        )  # the disk fails; what counts is decided at the reopening

    def _give_up(self) -> None:
        self._disconnect()
        if self._anchor is not None:
            self._anchor.close()
        if self._lock is not None:
            self._lock.release()

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

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._write("BEGIN IMMEDIATE")
            try:
                yield
                self._write("COMMIT")
            except BaseException:
                if self._writer is not None and self._writer.in_transaction:
                    self._write("ROLLBACK")
                raise
        except _DISK as error:
            raise EngineFailed(str(error), full=isinstance(error, apsw.FullError)) from error
        except apsw.Error as error:
            raise OpFailed(str(error)) from error

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

    def _changes(self, statement: str, values: Mapping[str, Any]) -> int:
        return self._write(statement, values).connection.changes()

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

    def _look(self, statement: str, values: dict[str, Any]) -> list[Any]:
        try:
            with self._reading:
                if self._reader is None:
                    raise LedgerUnavailable("the ledger is being reopened")
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
        return sum(_bytes(path) for path in self.folder.glob("dibs.db*"))

    def backup(self, to: str) -> int:
        """Write a consistent copy to the file ``to``, synced under its final name; its size in bytes.

        The online backup API on a connection of its own, in one step: one read transaction, so that the
        copy is of one moment, and writers go on meanwhile.
        """
        partial = Path(f"{to}.partial")
        try:
            with (
                closing(self._connect(apsw.SQLITE_OPEN_READONLY)) as source,
                closing(apsw.Connection(str(partial))) as target,
            ):
                with target.backup("main", source, "main") as copy:
                    copy.step(-1)
                target.pragma("journal_mode", "DELETE")
            _sync(partial)
            partial.replace(to)
            for folder in (Path(to).parent, Path(to).parent.parent):
                _sync(folder)
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


def _raise_at_start(path: str, error: Exception) -> NoReturn:
    """What went wrong while a ledger was opened, in words for who started the server."""
    full = isinstance(error, apsw.FullError) or getattr(error, "full", False)
    if full or (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)):
        raise LedgerFull(f"there is no room for the ledger {path}: {error}") from error
    if isinstance(error, EngineFailed | OSError | apsw.IOError | apsw.CantOpenError | apsw.ReadOnlyError):
        raise LedgerUnavailable(f"can't open the ledger {path}: {error}") from error
    if isinstance(error, apsw.BusyError | apsw.LockedError | apsw.NoMemError | apsw.ProtocolError):
        raise LedgerUnavailable(f"can't open the ledger {path}: {error}") from error
    if isinstance(error, apsw.Error | OpFailed | ValueError):
        raise LedgerForeign(f"{path} is not a ledger of dibs, or it is damaged: {error}") from error
    raise error


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a log that a checkpoint has just removed
        return 0


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
