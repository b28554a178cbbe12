"""From a backup to a data folder that can be served."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Final, NoReturn

import apsw

from ...errors import LedgerError, LedgerForeign, LedgerFull, LedgerUnavailable
from ..ops import QueueRow
from .copied import give_mark, verify
from .disk import sync
from .engine import SqliteEngine
from .faults import is_full
from .folder import header_of
from .format import APPLICATION_ID, check_version

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
_ID: Final = slice(68, 72)
"""Where a database's application_id stands (https://sqlite.org/fileformat.html, section 1.3)."""


def restore(backup: Path, folder: Path) -> list[QueueRow]:
    """Put a backup into a folder that is not there yet, or is empty; the queues that are in it.

    The copy is checked and opened once, so that a server finds it in order. It has the mark of a copy, so
    that nothing is handed out before somebody accepts it. Where something fails, the folder is left as it
    was.

    Raises:
        LedgerForeign: The backup is no ledger of dibs, or is the file of a data folder.
        LedgerDamaged: Something in it is not what was written.
        LedgerUnavailable: The folder has something in it, or a file can't be read or written.
        LedgerTooNew, LedgerFull: As when a ledger is opened.
    """
    try:
        _check(backup)
        made = _empty(folder)
        try:
            return _restored(backup, folder)
        except BaseException:
            _clear(folder, remove=made)
            raise
    except (OSError, apsw.Error) as error:
        _failed(folder, error)


def _check(backup: Path) -> None:
    """Refuse a file that is no backup before anything is made."""
    if not backup.is_file():
        raise LedgerForeign(f"{backup} is not a file; a backup is a file such as DATA/backups/….db")
    with backup.open("rb") as file:
        header = file.read(_HEADER)
    if not header.startswith(_MAGIC) or int.from_bytes(header[_ID]) != APPLICATION_ID:
        raise LedgerForeign(f"{backup} is not a ledger of dibs")
    log = backup.with_name(f"{backup.name}-wal")
    if log.exists() and log.stat().st_size:
        raise LedgerForeign(
            f"{backup} is the ledger of a data folder, and a part of it is in {log.name}: make a backup with"
            " `dibs backup`, which works while the server runs, too"
        )


def _empty(folder: Path) -> bool:
    """Make the folder if needed, refuse one that is not empty, and return whether it is new."""
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        if folder.is_dir() and next(folder.iterdir(), None) is None:
            return False
        raise LedgerUnavailable(
            f"{folder} has something in it: a backup is restored into a fresh folder, so that no file is lost"
        ) from None
    return True


def _restored(backup: Path, folder: Path) -> list[QueueRow]:
    coming, ledger = folder / "dibs.db.restoring", folder / "dibs.db"
    shutil.copyfile(backup, coming)
    coming.chmod(0o600)
    made = verify(coming)
    check_version(*header_of(coming), str(backup))
    _mark(coming, backup.name, made.at if made is not None else int(backup.stat().st_mtime * 1000))
    sync(coming)
    os.link(coming, ledger)  # unlike a renaming, it replaces no ledger that a server has just made here
    coming.unlink()
    engine = SqliteEngine(folder)
    try:
        return engine.rows()
    finally:
        engine.close()


def _mark(coming: Path, name: str, at: int) -> None:
    """Give it the mark under which nothing is handed out, also to one that was accepted before."""
    with closing(apsw.Connection(str(coming))) as copy, copy:
        give_mark(copy, name, at)


def _clear(folder: Path, *, remove: bool) -> None:
    for file in folder.iterdir():
        file.unlink()
    if remove:
        folder.rmdir()


def _failed(folder: Path, error: OSError | apsw.Error) -> NoReturn:
    kind: type[LedgerError] = LedgerFull if is_full(error) else LedgerUnavailable
    if isinstance(error, apsw.Error):
        raise kind(f"{folder} can't be written: {error}") from error
    raise kind(f"{error.filename or 'the backup'}: {error.strerror or error}") from error
