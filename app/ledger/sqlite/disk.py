"""Room on the disk, syncs and copies, which SQLite leaves to its user."""

from __future__ import annotations

import errno
import os
from contextlib import closing, suppress
from pathlib import Path

import apsw

from ...errors import LedgerDamaged, LedgerFull, LedgerUnavailable
from .damage import is_damage, told
from .folder import make_file, make_folder


def copy(source: apsw.Connection, to: str) -> None:
    """Write the database of ``source``, as of one moment, to the file ``to``, synced under its final name."""
    partial = Path(f"{to}.partial")
    try:
        make_folder(partial.parent)
        make_file(partial)
        with closing(apsw.Connection(str(partial))) as target:
            with target.backup("main", source, "main") as copying:
                copying.step(-1)
            target.pragma("journal_mode", "DELETE")
        sync(partial)
        partial.replace(to)
        for folder in (Path(to).parent, Path(to).parent.parent):
            sync(folder)
    except (apsw.Error, OSError) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, apsw.FullError) or no_room(error):
            raise LedgerFull("there is no room for the backup") from error
        if is_damage(error):
            raise LedgerDamaged(f"the ledger can't be copied: {told(error)}") from error
        raise LedgerUnavailable(f"the backup failed: {error}") from error


def allocate(path: Path, size: int) -> None:
    """Make a file whose room is really taken, even if the disk stores no holes or zeros."""
    make_file(path)
    with path.open("r+b") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())


def no_room(error: Exception) -> bool:
    """Whether the disk was full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def bytes_of(path: Path) -> int:
    """The size of a file in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a log that a checkpoint has just removed
        return 0


def sync(path: Path) -> None:
    """Make a file, or the names in a folder, last."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
