"""The files of an SQLite ledger: opening, reopening, one transaction, look-ups, backup.

One connection writes and belongs to the committer's thread. A second one, read-only, answers look-ups from
any thread; it sees what is committed and nothing else. A third one is for what may take a while (what is
inside a queue, its history), a fourth for what may take seconds (counting run by run, browsing):
none of these looks waits for one that takes longer.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, TypeVar, cast

import apsw

from ...errors import (
    LedgerDamaged,
    LedgerError,
    LedgerForeign,
    LedgerFull,
    LedgerTooNew,
    LedgerUnavailable,
)
from ..ops import CommitFailed, EngineDamaged, EngineFailed, OpFailed
from . import sums
from .browser import Browser
from .damage import is_damage, told
from .disk import allocate, bytes_of, copy, no_room, sync
from .folder import check_complete, header_of, make_file, make_private
from .guard import BUSY_PATIENCE, Guard
from .journal import check_log, write_again
from .lock import DataLock
from .migration import create as create_tables
from .migration import migrate
from .scrub import Scrub

T = TypeVar("T")

BALLAST = 2 * 1024 * 1024
"""Bytes held back, for the checkpoint that makes it certain what a full disk has kept."""

APPLICATION_ID = 0x64696273  # "dibs"
VERSION = 3
SCRUB_PATIENCE = 1.0  # seconds that a start waits for the check of the whole file; then it goes on beside it
REOPEN_PATIENCE = 0.25  # seconds from the beginning of a reopening that look-ups wait for its end
CHECKPOINT_PAGES = 256  # 1 MiB of WAL: small enough to keep the data folder small, large enough to be rare

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


class SqliteFiles:
    """``data/dibs.db`` with its log and its lock, or a database in memory where ``data`` is None.

    ``vfs`` names an apsw VFS to open files through: the seam by which tests inject faults of a disk.
    """

    kind = "sqlite"

    def __init__(self, data: Path | None, *, vfs: str | None = None) -> None:
        self._vfs = vfs
        self._lock: DataLock | None = None
        self._reading = threading.Lock()
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._browser, self._counter = Browser(), Browser()
        self._anchor: apsw.Connection | None = None
        self._scrub: Scrub | None = None
        self._readable = threading.Event()
        self._patience_until = 0.0  # when look-ups stop waiting for a reopening
        self._instance = ""
        self.folder = data
        self.path = f"file:/dibs-{uuid.uuid4()}?vfs=memdb" if data is None else str(data / "dibs.db")
        self.guard = Guard(None)
        try:
            self.persisted = self._begin()
        except BaseException as error:
            self._give_up()
            if isinstance(error, Exception):
                raise_at_start(self.path, error)
            raise

    def _begin(self) -> int:
        """Open for the first time; return the ledger time that was persisted."""
        if self.folder is None:
            self._anchor = self._connect(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        else:
            make_private(self.folder)
            self._lock = DataLock(self.folder)
            check_complete(self.folder, self._lock.left)
            check_log(self.folder / "dibs.db")
            self._check_version(*header_of(self.folder / "dibs.db"))  # where another program wrote it, too
            make_file(self.folder / "dibs.db")
            self.guard = Guard(self.folder)
        self._write_log_again()
        self._open(create=True)
        if self.folder is not None:
            # The process before may have ended after a sync that failed: what it wrote is read, but may never
            # come to the disk by itself. As in a reopening, it is brought there before anybody relies on it.
            self._checkpoint_in_any_case()
        self.reserve()
        self._connect_readers()
        if self._scrub is not None:
            self._scrub.wait(SCRUB_PATIENCE)
            if isinstance(trouble := self.guard.trouble(), LedgerDamaged):
                raise LedgerDamaged(f"{trouble}; put a backup in the place of {self.path}")
        [(clock,)] = self._write("SELECT clock FROM ledger").fetchall()
        return cast(int, clock)

    def _connect_readers(self) -> None:
        self._reader = self._connect(apsw.SQLITE_OPEN_READONLY)
        self._browser.connection = self._connect(apsw.SQLITE_OPEN_READONLY)
        self._counter.connection = self._connect(apsw.SQLITE_OPEN_READONLY)
        for connection in (self._reader, self._browser.connection, self._counter.connection):
            connection.execute("SELECT clock FROM ledger").fetchall()  # opens the log, too
        if self._lock is not None:
            self._note(open=True)
            self.guard.remember()
            self._scrub = Scrub(partial(self._connect, apsw.SQLITE_OPEN_READONLY), self.guard.found)
        self._readable.set()

    def _note(self, *, open: bool) -> None:
        """Note for the next start whether the log has to be there."""
        if self._lock is not None:
            with suppress(OSError):
                self._lock.note(self._instance, Path(self.path), open=open)

    def _write(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> apsw.Cursor:
        if self._writer is None:
            raise EngineFailed("the ledger is not open")
        return self._cursor.execute(statement, values)

    def _open(self, *, create: bool = False) -> None:
        """Open for writing. Only at the start is a ledger made; later that would replace a lost one."""
        with_sums = self.folder is not None and sums.available()
        self._writer = self._connect(apsw.SQLITE_OPEN_READWRITE)
        self._cursor = self._writer.cursor()  # kept, since a new one for each statement costs as much as it
        self._identify(self._writer)
        if self.folder is not None:
            if create and with_sums:
                sums.reserve(self._writer)
            self._writer.pragma("journal_mode", "WAL")
        self._writer.pragma("synchronous", "FULL")
        self._writer.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        self._writer.pragma("journal_size_limit", CHECKPOINT_PAGES * 4096)
        if (version := self._writer.pragma("user_version")) < VERSION:
            if not create:
                raise EngineFailed(f"{self.path} is not the ledger that it was")
            if version == 0:
                self._create(self._writer)
            else:
                with self._transaction():
                    migrate(self._writer)
                    self._writer.pragma("user_version", VERSION)
        [(instance, has_sums)] = self._writer.execute("SELECT instance, sums FROM ledger").fetchall()
        if not create and instance != self._instance:
            raise EngineFailed(f"{self.path} is another ledger now")
        self._instance = str(instance)
        if self.folder is not None and (has_sums or with_sums):
            sums.keep(self._writer, self.path, has=bool(has_sums))

    def _connect(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(self.path, flags=flags | apsw.SQLITE_OPEN_URI, vfs=self._vfs)
        connection.set_busy_timeout(BUSY_PATIENCE)
        # Else a range in a WHERE makes SQLite plan its statement at each binding (measured: 25 µs of 28).
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        return connection

    def _identify(self, writer: apsw.Connection) -> None:
        """Refuse a file that is not ours before anything is written to it."""
        application, version = writer.pragma("application_id"), writer.pragma("user_version")
        tables = writer.execute("SELECT count(*) FROM sqlite_schema").get
        if application != APPLICATION_ID and (application or version or tables):
            raise LedgerForeign(f"{self.path} is an SQLite database, but not a ledger of dibs")
        self._check_version(application, version)

    def _check_version(self, application: int, version: int) -> None:
        if application == APPLICATION_ID and version > VERSION:
            raise LedgerTooNew(
                f"{self.path} has format {version}, written by a newer dibs; this one knows up to {VERSION}"
            )

    def _create(self, writer: apsw.Connection) -> None:
        with self._transaction():
            create_tables(writer)
            writer.execute("INSERT INTO ledger (one, instance, clock) VALUES (1, ?, 0)", (str(uuid.uuid4()),))
            writer.pragma("application_id", APPLICATION_ID)
            writer.pragma("user_version", VERSION)
        if self.folder is not None:
            # SQLite syncs its own files; that their names are in the folder, and the folder in its parent,
            # is for us to see to.
            for folder in (self.folder, self.folder.absolute().parent):
                sync(folder)

    def reopen(self) -> None:
        """Close, open, and bring the log into the database file by a truncating checkpoint.

        A commit that failed can read as absent on the connection that made it and as present later. The
        checkpoint syncs what is read from here on, so that it can't be otherwise again; until it has
        succeeded nothing is read.
        """
        if (gone := self.guard.missing()) is not None:
            raise EngineFailed(gone)  # what is open is all that is left of it
        if self._readable.is_set():
            self._readable.clear()
            self._patience_until = monotonic() + REOPEN_PATIENCE
        self._disconnect()
        try:
            self._write_log_again()
            self._open()
            if self.folder is not None:
                self._checkpoint_in_any_case()
            self._connect_readers()
        except (apsw.Error, OSError, LedgerError, OpFailed) as error:
            full = isinstance(error, apsw.FullError) or no_room(error)
            raise EngineFailed(str(error), full=full) from error

    def _write_log_again(self) -> None:
        """Bring what a failed sync left in memory to the disk; on a full one as the checkpoint does."""
        if self.folder is None:
            return
        try:
            write_again(Path(self.path), self._vfs)
        except apsw.FullError:
            self._ballast.unlink(missing_ok=True)
            write_again(Path(self.path), self._vfs)

    def _checkpoint_in_any_case(self) -> None:
        """Checkpoint, even on a full disk: then deleting the ballast makes the room."""
        try:
            self._checkpoint()
        except apsw.FullError:
            self._ballast.unlink(missing_ok=True)
            self._checkpoint()

    @property
    def _ballast(self) -> Path:
        assert self.folder is not None  # noqa: S101  # asked for on a disk only
        return self.folder / "ballast"

    def reserve(self) -> None:
        """Hold room back again; while there is none, the disk counts as full.

        Raises:
            EngineFailed: there is no room.
        """
        if self.folder is None:
            return
        try:
            if bytes_of(self._ballast) < BALLAST:
                allocate(self._ballast, BALLAST)
        except OSError as error:
            with suppress(OSError):
                self._ballast.unlink(missing_ok=True)
            raise EngineFailed(str(error), full=no_room(error)) from error

    def _checkpoint(self) -> None:
        if self._write("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]:
            raise EngineFailed("the log can't be brought into the ledger while somebody reads it")

    def _stop_scrub(self) -> None:
        scrub, self._scrub = self._scrub, None
        if scrub is not None:
            scrub.stop()

    def _disconnect(self) -> None:
        self._stop_scrub()
        if self._writer is not None and self.guard.missing() is None:
            self._note(open=False)
        self.guard.forget_log()
        browsers = self._browser, self._counter
        for browser in browsers:
            browser.seize()
        try:
            with self._reading:
                connections = self._reader, *(browser.connection for browser in browsers), self._writer
                self._reader = self._writer = None
                for browser in browsers:
                    browser.connection = None
        finally:
            for browser in browsers:
                browser.lock.release()
        # Closing may sync: not under a lock that look-ups on the event loop wait for.
        for connection in connections:
            if connection is not None:
                try:
                    connection.close()
                except apsw.Error:
                    connection.close(force=True)  # the disk fails; what counts is decided at the reopening

    def _give_up(self) -> None:
        self._patience_until = 0.0
        self._disconnect()
        self.guard.close()
        if self._anchor is not None:
            self._anchor.close()
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def _transaction(self) -> Iterator[apsw.Connection]:
        committing = False
        try:
            connection = self._write("BEGIN IMMEDIATE").connection
            try:
                yield connection
                committing = True
                self._write("COMMIT")
            except BaseException:
                if self._writer is not None and self._writer.in_transaction:
                    self._write("ROLLBACK")
                raise
        except (*_DISK, UnicodeDecodeError) as error:
            if is_damage(error) and not committing:
                raise EngineDamaged(str(self.guard.damaged(told(error)))) from error
            failed = CommitFailed if committing else EngineFailed
            raise failed(str(error), full=isinstance(error, apsw.FullError)) from error
        except apsw.Error as error:
            raise OpFailed(str(error)) from error

    def _look(self, statement: str, values: Mapping[str, Any] | Sequence[Any] = ()) -> list[Any]:
        try:
            while True:
                with self._reading:
                    if self._reader is not None:
                        return self._reader.execute(statement, values).fetchall()
                self._wait_for_reopening()
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _wait_for_reopening(self) -> None:
        """Wait for a reopening, milliseconds as a rule; if the disk fails on, late callers don't wait."""
        left = self._patience_until - monotonic()
        if left <= 0 or not self._readable.wait(left):
            raise LedgerUnavailable("the ledger is being reopened")

    def _unreadable(self, error: Exception) -> LedgerError:
        if is_damage(error):
            return self.guard.damaged(told(error))
        return LedgerUnavailable(f"the ledger can't be read: {error}")

    def _browse(self, look: Callable[[apsw.Connection], T]) -> T:
        """Look at one moment, however long it takes."""
        return self._look_by(self._counter, look)

    def _look_by(self, browser: Browser, look: Callable[[apsw.Connection], T]) -> T:
        try:
            while True:
                with browser.lock:
                    if browser.connection is not None:
                        browser.connection.execute("BEGIN")
                        try:
                            return look(browser.connection)
                        finally:
                            browser.connection.execute("ROLLBACK")
                self._wait_for_reopening()
        except (apsw.Error, OpFailed, UnicodeDecodeError) as error:
            raise self._unreadable(error) from error

    def _scan(self, statement: str, values: dict[str, Any]) -> list[Any]:
        """As :meth:`_look`, where it may take long: never on the connection that the event loop waits for."""
        return self._look_by(self._browser, lambda browser: browser.execute(statement, values).fetchall())

    @property
    def durable(self) -> bool:
        """Whether a commit is a sync of a disk."""
        return self.folder is not None

    def size(self) -> int:
        """Bytes of the database and its log."""
        if self.folder is None:
            return 0
        return sum(bytes_of(path) for path in self.folder.glob("dibs.db*"))

    def backup(self, to: str) -> int:
        """Write a consistent copy to the file ``to``, synced under its final name; its size in bytes.

        The online backup API on a connection of its own, in one step: one read transaction, so that the
        copy is of one moment, and writers go on meanwhile.
        """
        if (trouble := self.guard.trouble()) is not None:
            raise trouble  # a connection of its own might open another file
        with closing(self._connect(apsw.SQLITE_OPEN_READONLY)) as source:
            copy(source, to)
        return Path(to).stat().st_size


def raise_at_start(path: str, error: Exception) -> NoReturn:
    """Turn an error of opening a ledger into one whose message is for the operator."""
    if is_damage(error) or isinstance(error, EngineDamaged):
        raise LedgerForeign(
            f"{path} is not a ledger of dibs, or it is damaged: {told(error)}; put a backup in its place"
        ) from error
    if isinstance(error, apsw.FullError) or getattr(error, "full", False) or no_room(error):
        raise LedgerFull(f"there is no room for the ledger {path}: {error}") from error
    if isinstance(error, EngineFailed | OSError | apsw.IOError | apsw.CantOpenError | apsw.ReadOnlyError):
        raise LedgerUnavailable(f"can't open the ledger {path}: {error}") from error
    if isinstance(error, apsw.BusyError | apsw.LockedError | apsw.NoMemError | apsw.ProtocolError):
        raise LedgerUnavailable(f"can't open the ledger {path}: {error}") from error
    if isinstance(error, apsw.Error | OpFailed | ValueError):
        raise LedgerForeign(f"{path} is not a ledger of dibs, or it is damaged: {error}") from error
    raise error
