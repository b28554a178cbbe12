"""The files of an SQLite ledger: opening, reopening, one transaction, backup.

One connection writes and belongs to the committer's thread; those that only read are in ``readers.py``.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import cast

import apsw

from ...errors import LedgerDamaged, LedgerError, LedgerUnavailable
from ..ops import EngineFailed, OpFailed
from . import sums
from .ballast import Ballast
from .commit import Committing
from .copied import copy
from .damage import is_damage, told
from .disk import bytes_of, sync
from .faults import is_full, raise_at_start
from .folder import check_complete, header_of, make_file, make_private
from .format import APPLICATION_ID, VERSION, check_version, identify
from .guard import BUSY_PATIENCE, Guard
from .journal import check_log, write_again
from .lock import DataLock
from .migration import create as create_tables
from .migration import migrate
from .readers import Readers
from .scrub import Scrub

SCRUB_PATIENCE = 1.0  # seconds that a start waits for the check of the whole file; then it goes on beside it
CHECKPOINT_PAGES = 256  # 1 MiB of WAL: small enough to keep the data folder small, large enough to be rare
# Prepared statements that are kept, in a ring: each execution, as each row of an executemany, puts its own
# into the next place. In a ring of 100 two statements of 64 rows drove out all others.
STATEMENTS = 512
LOG_BYTES = (CHECKPOINT_PAGES + 64) * (4096 + 24)  # with a last commit: a log that was cut has to grow again


class Files:
    """``data/dibs.db`` with its log and its lock, or a database in memory where ``data`` is None.

    ``vfs`` names an apsw VFS to open files through: the seam by which tests inject faults of a disk.
    """

    def __init__(self, data: Path | None, *, vfs: str | None = None) -> None:
        self._vfs = vfs
        self._lock: DataLock | None = None
        self.writer: apsw.Connection | None = None
        self._anchor: apsw.Connection | None = None
        self._scrub: Scrub | None = None
        self._instance = ""
        self.folder = data
        self._ballast = None if data is None else Ballast(data)
        self.path = f"file:/dibs-{uuid.uuid4()}?vfs=memdb" if data is None else str(data / "dibs.db")
        self.guard = Guard(None)
        self.readers = Readers(self._unreadable)
        try:
            self.persisted = self._begin()
        except BaseException as error:
            self.close()
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
            # Of a file that another program wrote, too.
            check_version(*header_of(self.folder / "dibs.db"), self.path)
            make_file(self.folder / "dibs.db")
            self.guard = Guard(self.folder)
        # The process before may have ended after a sync that failed: what it wrote is read, but may never
        # come to the disk by itself. As in a reopening, it is brought there before anybody relies on it.
        self._open_and_sync(create=True)
        self.reserve()
        self._connect_readers()
        if self._scrub is not None:
            self._scrub.wait(SCRUB_PATIENCE)
            if isinstance(trouble := self.guard.trouble(), LedgerDamaged):
                raise LedgerDamaged(f"{trouble}; put a backup in the place of {self.path}")
        [(clock,)] = self.execute("SELECT clock FROM ledger").fetchall()
        return cast(int, clock)

    def _connect_readers(self) -> None:
        connect = partial(self._connect, apsw.SQLITE_OPEN_READONLY)
        self.readers.connect(connect)
        if self._lock is not None:
            self._note(open=True)
            self.guard.remember()
            self._scrub = Scrub(connect, self.guard.found)
        self.readers.allow()

    def _note(self, *, open: bool) -> None:
        """Note for the next start whether the log has to be there."""
        if self._lock is not None:
            with suppress(OSError):
                self._lock.note(self._instance, Path(self.path), open=open)

    def _open(self, *, create: bool = False) -> None:
        """Open for writing. Only at the start is a ledger made; later that would replace a lost one."""
        with_sums = self.folder is not None and sums.available()
        self.writer = writer = self._connect(apsw.SQLITE_OPEN_READWRITE)
        # The cursor is kept, since a new one for each statement costs as much as it.
        self.execute = writer.cursor().execute
        self.transaction = Committing(writer, self.execute, self.guard)
        identify(writer, self.path)
        if self.folder is not None:
            if create and with_sums:
                sums.reserve(writer)
            writer.pragma("journal_mode", "WAL")
        writer.pragma("synchronous", "FULL")
        writer.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        writer.pragma("journal_size_limit", LOG_BYTES)
        if (version := writer.pragma("user_version")) < VERSION:
            if not create:
                raise EngineFailed(f"{self.path} is not the ledger that it was")
            if version == 0:
                self._create(writer)
            else:
                with self.transaction:
                    migrate(writer, version)
                    writer.pragma("user_version", VERSION)
        [(instance, has_sums)] = writer.execute("SELECT instance, sums FROM ledger").fetchall()
        if not create and instance != self._instance:
            raise EngineFailed(f"{self.path} is another ledger now")
        self._instance = str(instance)
        if self.folder is not None and (has_sums or with_sums):
            sums.keep(writer, self.path, has=bool(has_sums))

    def _connect(self, flags: int) -> apsw.Connection:
        return connect(self.path, flags, self._vfs)

    def _create(self, writer: apsw.Connection) -> None:
        with self.transaction:
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
        self.readers.pause()
        self.disconnect()
        try:
            self._open_and_sync()
            self._connect_readers()
        except (apsw.Error, OSError, LedgerError, OpFailed) as error:
            raise EngineFailed(str(error), full=is_full(error)) from error

    def _open_and_sync(self, *, create: bool = False) -> None:
        """Open for writing; bring to the disk what a failed sync left in memory, and the log to the file."""
        self._with_room(lambda: write_again(Path(self.path), self._vfs))
        self._open(create=create)
        self._with_room(self._checkpoint)

    def _with_room(self, write: Callable[[], None]) -> None:
        """Write, even on a full disk: then dropping the ballast makes the room. In memory nothing is."""
        if self._ballast is None:
            return
        try:
            write()
        except apsw.FullError:
            self._ballast.drop()
            write()

    def reserve(self) -> None:
        """Hold room back again; while there is none, the disk counts as full.

        Raises:
            EngineFailed: there is no room.
        """
        if self._ballast is not None:
            self._ballast.take()

    def _checkpoint(self) -> None:
        if self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()[0][0]:
            raise EngineFailed("the log can't be brought into the ledger while somebody reads it")

    def _stop_scrub(self) -> None:
        scrub, self._scrub = self._scrub, None
        if scrub is not None:
            scrub.stop()

    def disconnect(self) -> None:
        """Close all connections; look-ups wait for the next opening, or fail."""
        self._stop_scrub()
        if self.writer is not None and self.guard.missing() is None:
            self._note(open=False)
        self.guard.forget_log()
        connections = *self.readers.disconnect(), self.writer
        self.writer = None
        # Closing may sync: not under a lock that look-ups on the event loop wait for.
        for connection in connections:
            if connection is not None:
                try:
                    connection.close()
                except apsw.Error:
                    connection.close(force=True)  # the disk fails; what counts is decided at the reopening

    def close(self) -> None:
        """Close for good."""
        self.readers.give_up()
        self.disconnect()
        self.guard.close()
        if self._anchor is not None:
            self._anchor.close()
        if self._lock is not None:
            self._lock.release()

    def _unreadable(self, error: Exception) -> LedgerError:
        if is_damage(error):
            return self.guard.damaged(told(error))
        return LedgerUnavailable(f"the ledger can't be read: {error}")

    def rescue(self) -> str | None:
        """Save the content of open files whose names are gone; return in words what was done.

        Where all are there, note that the next start needs the log again.
        """
        gone = self.guard.missing() is not None
        if gone:
            self._stop_scrub()  # it reads for as long as a check takes; a log can't be saved meanwhile
        with self.readers.slow.lock:
            reader = self.readers.slow.connection
            if reader is None or self.writer is None:
                return None
            if not gone:
                if self.guard.come_back(self.writer, reader):
                    self._note(open=True)
                return None
            done = self.guard.rescue(self.writer, reader)
        if self._lock is not None and not self.guard.log_needed():
            self._note(open=False)
        return done

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
            copy(source, to, at=time.time_ns() // 1_000_000)
        return Path(to).stat().st_size


def connect(path: str, flags: int, vfs: str | None = None) -> apsw.Connection:
    """A connection to the database of a ledger."""
    flags |= apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(path, flags=flags, vfs=vfs, statementcachesize=STATEMENTS)
    connection.set_busy_timeout(BUSY_PATIENCE)
    # Else a range in a WHERE makes SQLite plan its statement at each binding (measured: 25 µs of 28).
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection
