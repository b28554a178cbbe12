"""The database of an owner whose ledger is elsewhere: a file that nobody needs once its process has ended.

A file with a log, since whoever looks must not keep the next commit waiting, as in a database in memory; and
nothing is ever synced, since what counts is elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import apsw

from ...errors import LedgerError, LedgerUnavailable
from ..ops import OpFailed
from .commit import Committing
from .files import connect
from .guard import Guard
from .migration import create
from .readers import Readers
from .scratch_folders import ScratchFolder

CHECKPOINT_PAGES = 1_000


class Scratch:
    """An empty ledger in a folder of its own, which goes when it is closed."""

    folder = None

    def __init__(self) -> None:
        self._folder = ScratchFolder()
        self._place = self._folder.path
        self.path = str(self._place / "memory.db")
        self.guard = Guard(None)
        self.readers = Readers(_unreadable)
        self.persisted = 0
        try:
            self.writer = connect(self.path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            self.execute = self.writer.cursor().execute
            self.transaction = Committing(self.writer, self.execute, self.guard)
            self.writer.pragma("journal_mode", "WAL")
            self.writer.pragma("synchronous", "OFF")
            self.writer.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            with self.transaction:
                create(self.writer)
                self.execute("INSERT INTO ledger (one, instance, clock) VALUES (1, '', 0)")
            self.readers.connect(partial(connect, self.path, apsw.SQLITE_OPEN_READONLY))
            self.readers.allow()
        except BaseException:
            self.close()
            raise

    def exactly(self, statement: str, rows: Sequence[Any]) -> None:
        """Run a statement for each of these values, in the caller's transaction; each has to change one row.

        Raises:
            OpFailed: one changes none, or several.
        """
        expected = self.writer.total_changes() + len(rows)
        self.writer.executemany(statement, rows)
        if self.writer.total_changes() != expected:
            raise OpFailed("the rows are not as they were elsewhere")

    def reopen(self) -> None:
        """Nothing: what happened elsewhere did not happen here."""

    def reserve(self) -> None:
        """Nothing: no room is held back."""

    def rescue(self) -> str | None:
        """Nothing: all is elsewhere."""
        return None

    def size(self) -> int:
        """Bytes of the file and its log."""
        return sum(path.stat().st_size for path in self._place.glob("memory.db*"))

    def backup(self, to: str) -> int:
        """Refuse: what is here is not all of the ledger."""
        raise LedgerUnavailable(
            f"no copy can be made to {to}: the ledger is in PostgreSQL, which is backed up there"
        )

    def close(self) -> None:
        """Close for good, and leave nothing behind."""
        self.readers.give_up()
        for connection in self.readers.disconnect():
            if connection is not None:
                connection.close(force=True)
        writer = getattr(self, "writer", None)
        if writer is not None:
            writer.close(force=True)
        self._folder.remove()


def _unreadable(error: Exception) -> LedgerError:
    return LedgerUnavailable(f"what the owner knows of the ledger can't be read: {error}")
