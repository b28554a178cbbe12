"""A fresh folder into which a ledger comes from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Self

import apsw

from ...errors import LedgerDamaged, LedgerFull, LedgerUnavailable
from .copied import verify
from .disk import no_room, sync
from .folder import make_folder
from .lock import DataLock

COMING: Final = "dibs.db.coming"
"""What a ledger is called that is not whole yet."""
_OURS: Final = {COMING, f"{COMING}-journal", "lock"}
"""What an attempt that was killed may have left."""


class Incoming:
    """The folder, locked; ``file`` is where to write the ledger. Used in a ``with``.

    Raises:
        LedgerUnavailable: it has something in it, or can't be written.
        LedgerLocked: another process has it.
        LedgerFull: there is no room.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self.file = self._folder / COMING
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            make_folder(self._folder)
            strange = sorted({path.name for path in self._folder.iterdir()} - _OURS)
            if strange:
                raise LedgerUnavailable(
                    f"{folder} has something in it ({strange[0]}): a ledger comes back into a fresh folder,"
                    " or into the one that it was moved from; nothing was changed"
                )
            self._lock = DataLock(self._folder)
            self._clear()
        except OSError as error:
            raise _told(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if error is not None:
                self._clear()
        finally:
            self._lock.release()
        if isinstance(error, OSError):
            raise _told(error) from error
        if isinstance(error, apsw.Error):
            refused = LedgerFull if isinstance(error, apsw.FullError) else LedgerUnavailable
            raise refused(f"{self.file} can't be written: {error}") from error

    def arrived(self) -> None:
        """Check the file as a whole, and make it the folder's ledger; that lasts when this returns."""
        try:
            verify(self.file)
        except LedgerDamaged as error:
            raise LedgerDamaged(f"what was written to {self._folder} is not what is read: {error}") from error
        os.link(self.file, self._folder / "dibs.db")  # unlike a renaming, it replaces no ledger
        self.file.unlink()
        for path in (self._folder, self._folder.parent):
            sync(path)

    def _clear(self) -> None:
        for name in _OURS - {"lock"}:
            (self._folder / name).unlink(missing_ok=True)


def _told(error: OSError) -> LedgerUnavailable | LedgerFull:
    kind = LedgerFull if no_room(error) else LedgerUnavailable
    return kind(f"{error.filename or 'the folder'}: {error.strerror or error}")
