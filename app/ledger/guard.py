"""The guard of a ledger whose disk takes writes: it forbids to go on if files are gone or damaged.

The committer asks ``trouble`` before each commit. Files may come back; damage stays until a backup is put in.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

import apsw

from ..errors import LedgerDamaged, LedgerError, LedgerUnavailable
from .disk import copy
from .folder import RESCUED, make_private
from .scrub import BLOCKS
from .watch import OpenFiles

log = logging.getLogger("dibs.ledger")


class Guard:
    """Owns the known faults of a ledger's files; any thread may report one or ask.

    ``careful``: pages of blocks are damaged, so that only the checksums of their rows count.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files = OpenFiles(folder) if folder is not None else None
        self._lock = threading.Lock()
        self._damage: str | None = None
        self._saved = False
        self.careful = False

    def remember(self) -> None:
        """Watch the files that are open now."""
        self._saved = False
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
        gone = self.missing()
        return None if gone is None else LedgerUnavailable(f"{gone}; nothing was handed out")

    def log_needed(self) -> bool:
        """Whether the next start has to find the log beside the ledger."""
        return not (self._saved and self._files is not None and self._files.stands("dibs.db"))

    def rescue(self, writer: apsw.Connection, reader: apsw.Connection) -> str | None:
        """Save what the open files have, so that the next start doesn't hand it out again; what was done.

        None where nothing is missing, or what is was saved before.

        Raises:
            LedgerError, apsw.Error: it can't be saved.
        """
        if self._files is None or self._folder is None or self._saved or self.missing() is None:
            return None
        self._saved = True
        if self._files.stands("dibs.db") and not (self._folder / "dibs.db-wal").exists():
            writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            return "all that was handed out is in dibs.db: a restart goes on after it"
        for connection in (writer, reader):  # whose closing would delete a log of the same name
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if self._files.stands("dibs.db"):
            return "the ledger itself is in its place: a restart goes on with it"
        name = datetime.now(UTC).strftime(f"{RESCUED}%Y%m%dT%H%M%S.%fZ.db")
        make_private(self._folder)
        copy(reader, str(self._folder / name))
        return f"{self._folder / name} is a copy of all that was handed out: to go on, rename it to dibs.db"
