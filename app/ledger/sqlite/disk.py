"""Room on the disk and syncs, which SQLite leaves to its user."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from .folder import make_file


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
