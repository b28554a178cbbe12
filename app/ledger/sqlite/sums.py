"""Checksums of pages: SQLite's own ``cksumvfs``, which the wheels of apsw carry.

The VFS keeps a sum in the last eight bytes of each page of the database and checks it whenever the page is
read from there: then SQLite says ``SQLITE_IOERR_DATA``. The log has sums of its own, which count when it is
recovered. A program that writes to the file without this VFS leaves wrong sums behind.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path

import apsw

from ...errors import LedgerDamaged, LedgerUnavailable

log = logging.getLogger("dibs.ledger")

BYTES = 8
_RESERVED_AT = 20
"""Where the header of a database says how many bytes of each page are held back."""


@cache
def available() -> bool:
    """Load the VFS, once per process; from then on it is the default one. False if apsw lacks it."""
    try:
        from apsw import sqlite_extra  # not in every build of apsw
    except ImportError:
        return False
    try:
        connection = apsw.Connection(":memory:")
        try:
            sqlite_extra.load(connection, "cksumvfs")
        finally:
            connection.close()
    except (sqlite_extra.NotAvailable, apsw.Error, AttributeError):
        return False
    return True


def reserve(connection: apsw.Connection) -> None:
    """Hold the room back in each page that is written first, or by a VACUUM."""
    asked = ctypes.c_int(BYTES)
    connection.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(asked))


def has_room(connection: apsw.Connection) -> bool:
    """Whether the pages of an open database have the room."""
    found = ctypes.c_int(-1)
    connection.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(found))
    return found.value == BYTES


def begin(target: apsw.Connection) -> None:
    """Let a new file have sums from its first page on.

    The VFS begins to make sums when it has seen the header, and a large copy writes that last: until then
    the pages would keep what stands there in the original's log, which has no sums.
    """
    reserve(target)
    target.execute("CREATE TABLE begun (one)")


def held_back(path: str) -> bool:
    """Whether the pages of a file have the room."""
    with Path(path).open("rb") as file:
        header = file.read(_RESERVED_AT + 1)
    return len(header) > _RESERVED_AT and header[_RESERVED_AT] == BYTES


def keep(connection: apsw.Connection, path: str, *, has: bool) -> None:
    """Make sure that each page of a database has its sum; no other connection may have it open.

    A file of an older format gets them by a VACUUM; without room for that it goes on without them.

    Raises:
        LedgerDamaged: the file is said to have sums, and has none.
        LedgerUnavailable: it has them, and this apsw can't keep them.
    """
    if has and not available():
        raise LedgerUnavailable(
            f"the pages of {path} have checksums, which this build of apsw can't keep: it lacks cksumvfs;"
            " install apsw from PyPI"
        )
    if has and not held_back(path):
        raise LedgerDamaged(f"the pages of {path} have lost their checksums")
    if has:
        return
    try:
        if not held_back(path):
            connection.pragma("journal_mode", "DELETE")  # pages in a log can't be resized
            reserve(connection)
            connection.execute("VACUUM")
    except apsw.FullError:
        log.warning("there is no room to give the pages of %s their checksums; it goes on without", path)
    finally:
        connection.pragma("journal_mode", "WAL")
    connection.execute("UPDATE ledger SET sums = ?", (held_back(path),))
