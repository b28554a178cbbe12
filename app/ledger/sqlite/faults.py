"""What errors of SQLite and of the file system mean for a ledger."""

from __future__ import annotations

from typing import NoReturn

import apsw

from ...errors import LedgerForeign, LedgerFull, LedgerUnavailable
from ..ops import EngineDamaged, EngineFailed, OpFailed
from .damage import is_damage, told
from .disk import no_room

OF_THE_DISK = (
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
    apsw.ConnectionClosedError,
    apsw.CursorClosedError,
)
"""Errors that the storage is at fault for, and no op. The last two: it was closed, and did not open again."""


def is_full(error: Exception) -> bool:
    """Whether the disk had no room."""
    return isinstance(error, apsw.FullError) or no_room(error) or bool(getattr(error, "full", False))


def raise_at_start(path: str, error: Exception) -> NoReturn:
    """Turn an error of opening a ledger into one whose message is for the operator."""
    if is_damage(error) or isinstance(error, EngineDamaged):
        raise LedgerForeign(
            f"{path} is not a ledger of dibs, or it is damaged: {told(error)}; put a backup in its place"
        ) from error
    if is_full(error):
        raise LedgerFull(f"there is no room for the ledger {path}: {error}") from error
    if isinstance(error, (EngineFailed, OSError, *OF_THE_DISK)):
        why = str(error)
        if isinstance(error, OSError) and error.filename:
            why = f"{error.strerror}: {error.filename}"
        raise LedgerUnavailable(f"can't open the ledger {path}: {why}") from error
    if isinstance(error, apsw.Error | OpFailed | ValueError):
        raise LedgerForeign(f"{path} is not a ledger of dibs, or it is damaged: {error}") from error
    raise error
