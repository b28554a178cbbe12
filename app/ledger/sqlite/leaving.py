"""A data folder whose ledger moves to a database, or comes back from one. No server uses it meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import apsw

from ...errors import LedgerCopied, LedgerFull, LedgerUnavailable
from ..ops import EngineFailed
from . import copied, moved, sums
from .faults import raise_at_start
from .files import Files, connect
from .folder import check_complete
from .lock import DataLock, noted
from .moved import Moved

T = TypeVar("T")

Rows = Callable[[str, Sequence[str]], Iterator[tuple[Any, ...]]]
"""All rows of a table: these columns, or expressions."""


def looked_at(folder: Path) -> tuple[str, Moved | None] | None:
    """Which ledger is in a folder, and its mark; None where there is no ledger."""
    ledger = folder / "dibs.db"
    if not ledger.is_file() or not ledger.stat().st_size:
        return None
    try:
        return moved.look(ledger)
    except (apsw.Error, UnicodeDecodeError, OSError):
        return "", None  # whoever opens it says why it can't be


class Leaving:
    """The ledger of a folder, open and locked as for a server, of an older format made one of this.

    Used in a ``with``. ``instance`` says which ledger it is, ``clock`` is its time.

    Raises:
        LedgerUnavailable: there is no ledger in the folder.
        LedgerCopied: it is a restored backup that nobody has accepted.
        LedgerError: as when a server opens it.
    """

    def __init__(self, folder: Path) -> None:
        if looked_at(folder) is None:
            if folder.is_dir():
                check_complete(folder, noted(folder)[1])
            raise LedgerUnavailable(f"there is no ledger in {folder}: nothing was moved")
        self._files = files = Files(folder)
        try:
            self.instance, self.clock = self.read(_which)
            self._refuse_a_copy(folder)
        except BaseException:
            files.close()
            raise

    def _refuse_a_copy(self, folder: Path) -> None:
        mark = self.read(lambda connection: copied.read(connection.execute))
        if mark is not None and mark.accepted is None:
            raise LedgerCopied(
                f"{folder} is the restored backup {mark.name}, which nobody has accepted yet: serve it and"
                " say by `dibs accept` how it goes on, then stop that server and move it"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def read(self, look: Callable[[apsw.Connection], T]) -> T:
        """Look at one moment of it."""
        return self._files.readers.browse(look)

    def read_rows(self, look: Callable[[Rows], T]) -> T:
        """Look at whole tables at one moment."""
        return self.read(lambda connection: look(partial(rows, connection)))

    def mark(self, to: str, made: str, position: int) -> None:
        """Mark it as moved, by a transaction that is synced when this returns.

        Raises:
            LedgerFull, LedgerUnavailable: the disk fails; the mark may be there.
        """
        try:
            with self._files.transaction as writer:
                moved.mark(writer, to, made, position)
        except EngineFailed as error:
            kind = LedgerFull if error.full else LedgerUnavailable
            raise kind(
                f"{self._files.path} can't be marked as moved ({error}): the move is not finished; give the"
                " same command again"
            ) from error


def _which(connection: apsw.Connection) -> tuple[str, int]:
    [(instance, clock)] = connection.execute("SELECT instance, clock FROM ledger").fetchall()
    return cast(str, instance), cast(int, clock)


def rows(connection: apsw.Connection, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """All rows of a table."""
    return iter(connection.execute(f"SELECT {', '.join(columns)} FROM {table}"))


class Left:
    """A folder whose ledger has moved, locked. Used in a ``with``.

    Raises:
        LedgerLocked: another process has it.
        LedgerForeign, LedgerUnavailable: it can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "dibs.db")
        self._lock = DataLock(folder)
        try:
            sums.available()  # else wrong sums would be left behind
            self._writer = writer = connect(self._path, apsw.SQLITE_OPEN_READWRITE)
            writer.pragma("synchronous", "FULL")
            self.instance, self.clock = _which(writer)
            self.mark = moved.read(writer)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, Exception):
                raise_at_start(self._path, error)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
        self._lock.release()

    def unmark(self) -> None:
        """Make a ledger of it again, by a transaction that is synced when this returns."""
        try:
            self._writer.pragma("journal_mode", "WAL")
            with self._writer:
                moved.unmark(self._writer)
        except apsw.Error as error:
            raise_at_start(self._path, error)
