"""Copies of a ledger: how one is made and checked, and the mark by which it is known to be one.

Whoever opens a copy must be told: what was handed out since it was made is not in it. So the mark is in the
file itself, where neither a restore by hand nor another name loses it. A ledger that is no copy has no such
table, and the format stays the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from ...errors import LedgerDamaged, LedgerFull, LedgerUnavailable
from ..looks import Copied
from . import sums
from .damage import is_damage, told
from .disk import no_room, sync
from .folder import make_file, make_folder

TABLE = "copied"
"""Where the mark is: the copy's name, when it was made, and since when it may be used as a ledger."""

MARK = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    name     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    accepted INTEGER
) STRICT;
INSERT OR REPLACE INTO {TABLE} VALUES (1, :name, :at, NULL);
"""
ACCEPT = f"UPDATE {TABLE} SET accepted = ? WHERE accepted IS NULL"
READ = f"SELECT name, at, accepted FROM {TABLE}"


def read(execute: Callable[[str], Any]) -> Copied | None:
    """The mark of a ledger that was a copy once; None for one that never was."""
    if not execute(f"SELECT 1 FROM sqlite_schema WHERE name = '{TABLE}'").fetchall():
        return None
    found = execute(READ).fetchall()
    return Copied(*found[0]) if found else None


def copy(source: apsw.Connection, to: str, *, at: int | None = None) -> None:
    """Write the database of ``source``, as of one moment, to the file ``to``, synced under its final name.

    Args:
        source: A connection to the ledger.
        to: The file. Until all is written and checked it has another name.
        at: When this is, in milliseconds of Unix time: the copy gets its mark, and is checked. None: it is
            the ledger itself that is saved.

    Raises:
        LedgerFull: There is no room.
        LedgerDamaged: The ledger can't be read, or the copy is not what was written.
        LedgerUnavailable: The disk fails.
    """
    with becoming(to, check=at is not None) as partial, closing(apsw.Connection(str(partial))) as target:
        if sums.has_room(source):
            sums.begin(target)
        with target.backup("main", source, "main") as copying:
            copying.step(-1)
        target.pragma("journal_mode", "DELETE")
        if at is not None:
            with target:
                give_mark(target, Path(to).name, at)


def give_mark(target: apsw.Connection, name: str, at: int) -> None:
    """Mark a ledger as a copy of this name and time that nobody has accepted."""
    target.execute(MARK, {"name": name, "at": at})


@contextmanager
def becoming(to: str, *, check: bool) -> Iterator[Path]:
    """The file to write a copy into, which becomes ``to`` once it is written, synced and checked.

    Raises:
        LedgerFull, LedgerDamaged, LedgerUnavailable: as :func:`copy`. Nothing is left of it then.
    """
    partial = Path(f"{to}.partial")
    try:
        make_folder(partial.parent)
        partial.unlink(missing_ok=True)  # of a copy that was killed
        make_file(partial)
        yield partial
        sync(partial)
        if check:
            verify(partial)
        partial.replace(to)
        for folder in (Path(to).parent, Path(to).parent.parent):
            sync(folder)
    except (apsw.Error, OSError) as error:
        if isinstance(error, apsw.FullError) or no_room(error):
            raise LedgerFull("there is no room for the backup") from error
        if is_damage(error):
            raise LedgerDamaged(f"the ledger can't be copied: {told(error)}") from error
        raise LedgerUnavailable(f"the backup failed: {error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def verify(file: Path) -> Copied | None:
    """Read all of a ledger that nobody writes: each page's checksum, its structure, its indexes.

    Returns:
        Its mark; None where it has none, as copies of dibs 0.4.0 have not.

    Raises:
        LedgerDamaged: Something in it is not what was written.
    """
    sums.available()
    uri = f"{file.absolute().as_uri()}?immutable=1"
    try:
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        with closing(connection):
            found = connection.execute("PRAGMA integrity_check(1)").get
            mark = read(connection.execute) if found == "ok" else None
    except (apsw.Error, UnicodeDecodeError) as error:
        found, mark = told(error), None
    if found != "ok":
        raise LedgerDamaged(f"the backup is damaged: {found}")
    return mark


def instance_of(file: Path) -> str | None:
    """Which ledger a file is a copy of; None where that can't be read."""
    uri = f"{file.absolute().as_uri()}?immutable=1"
    with suppress(apsw.Error, UnicodeDecodeError):
        connection = apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        with closing(connection):
            return str(connection.execute("SELECT instance FROM ledger").get)
    return None
