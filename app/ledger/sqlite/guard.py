"""The guard of a ledger whose disk takes writes: it forbids to go on if files are gone or damaged.

The committer asks ``trouble`` before each commit. Files may come back; damage stays until a backup is put in.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

import apsw

from ...errors import LedgerDamaged, LedgerError, LedgerUnavailable
from .copied import copy
from .folder import RESCUED, make_private
from .scrub import BLOCKS
from .watch import OpenFiles

log = logging.getLogger("dibs.ledger")

BUSY_PATIENCE = 5_000
"""Milliseconds that a connection waits for the locks of another one."""

READER_PATIENCE = 100
"""Milliseconds that saving a log waits for its readers: look-ups take less, a backup may take minutes."""


class Guard:
    """Owns the known faults of a ledger's files; any thread may report one or ask.

    ``careful``: pages of blocks are damaged, so that only the checksums of their rows count.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files = OpenFiles(folder) if folder is not None else None
        self._lock = threading.Lock()
        self._damage: str | None = None
        self._saved = False  # a restart goes on after all that was handed out, or can't go on at all
        self._brought = False  # the log is in dibs.db, and nothing was committed since
        self._copied = False
        self.careful = False

    def remember(self) -> None:
        """Watch the files that are open now."""
        self.come_back()
        if self._files is not None:
            self._files.remember()

    def forget_log(self) -> None:
        """Stop watching the log, which is about to be closed and deleted."""
        if self._files is not None:
            self._files.forget_log()

    def close(self) -> None:
        """Watch nothing any more, as all files are closed."""
        if self._files is not None:
            self._files.close()

    # -- damage

    def damaged(self, what: str) -> LedgerDamaged:
        """Note damage, log the first of it, and return the error for its caller."""
        with self._lock:
            first, self._damage = self._damage is None, self._damage or what
        if first:
            log.critical("the ledger is damaged: %s; nothing is handed out any more", what)
        return LedgerDamaged(f"the ledger is damaged: {what}; nothing was handed out")

    def found(self, table: str, what: str) -> None:
        """Note a finding of a scrub. Damaged values concern single items, which are buried in their turn."""
        if table == BLOCKS:
            self.careful = True
            log.error("kept values are damaged: %s; items that lost theirs will be dead", what)
        else:
            self.damaged(f"{what} (table {table})")

    # -- all of it

    def missing(self) -> str | None:
        """The open files that are gone from the folder or were replaced there, in words; None if none."""
        return None if self._files is None else self._files.missing()

    def trouble(self) -> LedgerError | None:
        """Why nothing may be committed now; None if no fault is known."""
        if self._damage is not None:
            return LedgerDamaged(f"the ledger is damaged: {self._damage}; nothing was handed out")
        gone = None if self._files is None else self._files.missing()
        return None if gone is None else LedgerUnavailable(f"{gone}; nothing was handed out")

    def log_needed(self) -> bool:
        """Whether the next start has to find the log beside the ledger."""
        return not (self._saved and self._files is not None and self._files.stands("dibs.db"))

    def come_back(self, *connections: apsw.Connection) -> bool:
        """Save anew when files go away again, as nothing is missing now; whether all was saved before."""
        saved, self._saved, self._brought, self._copied = self._saved, False, False, False
        _delete_log_on_close(True, *connections)
        return saved

    def rescue(self, writer: apsw.Connection, reader: apsw.Connection) -> str | None:
        """Save what the open files have, so that the next start doesn't hand it out again; what was done.

        None where nothing is missing, or nothing more than before could be done. A log that somebody else
        still reads can't be brought into the ledger: then a copy is saved, and the next call tries again.

        Raises:
            LedgerError, apsw.Error: it can't be saved.
        """
        if self._files is None or self._folder is None or self.missing() is None:
            return None
        in_place = self._files.stands("dibs.db")
        if in_place and (self._brought or self._files.stands("dibs.db-wal")):
            told = None if self._saved else "the ledger itself is in its place: a restart goes on with it"
            if told:
                _delete_log_on_close(False, writer, reader)
            self._saved = True
            return told
        self._saved = False  # what was in its place then may have gone since
        if in_place and not (self._folder / "dibs.db-wal").exists() and _checkpoint(writer):
            self._saved = self._brought = True
            return "all that was handed out is in dibs.db: a restart goes on after it"
        if self._copied:
            return None
        _delete_log_on_close(False, writer, reader)
        name = datetime.now(UTC).strftime(f"{RESCUED}%Y%m%dT%H%M%S.%fZ.db")
        make_private(self._folder)
        copy(reader, str(self._folder / name))
        self._copied = True
        return (
            f"{self._folder / name} is a copy of all that was handed out: to go on, stop the server, delete "
            "what is left of dibs.db, dibs.db-wal and dibs.db-shm, and rename the copy to dibs.db"
        )


def _delete_log_on_close(delete: bool, *connections: apsw.Connection) -> None:
    """Whether closing these may delete the log: not one that only has the name of theirs."""
    for connection in connections:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(not delete))


def _checkpoint(writer: apsw.Connection) -> bool:
    """Bring the log into the ledger; False if somebody reads an older state, so that a part is missing."""
    writer.set_busy_timeout(READER_PATIENCE)
    try:
        [(busy, _, _)] = writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        writer.set_busy_timeout(BUSY_PATIENCE)
    return not busy
