"""Backups of the ledger, while the server works. Here it is known which one was made last, and is kept."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

from ..errors import Forbidden, LimitExceeded, QueueConflict
from ..ledger import MEMORY

if TYPE_CHECKING:
    from ..ledger.engine import Engine

log = logging.getLogger("dibs.backup")

NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,124}\.db")
NAMED: Final = "dibs-%Y%m%dT%H%M%S.%fZ.db"
"""How a backup is named, by the time at which it is made."""
SHARED: Final = "postgresql"
"""The kind of engine that has no data folder."""
LENT: Final = 100
"""Copies that were sent and of which it may still be said that they are kept."""
LAST: Final = "last.json"
"""The file in ``DATA/backups`` that tells of the last one, also after a restart."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A consistent copy of the ledger. ``bytes`` is its size."""

    path: str
    bytes: int


class Kept(NamedTuple):
    """A backup that is known to be whole: its name, when it was made (seconds of Unix time), its size."""

    name: str
    at: float
    bytes: int


class Lent(NamedTuple):
    """A copy on its way to a client: its name and size, and the open file, which has no name in a folder."""

    name: str
    bytes: int
    file: BinaryIO


class Backups:
    """Makes backups of one ledger, one at a time. Lives on the event loop.

    It owns ``last``, the newest backup that is known to be whole, and the copies that were sent.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._one = asyncio.Lock()
        self._lent: dict[str, Kept] = {}
        self.last = _read_last(engine.folder)

    async def write(self, name: str | None = None) -> Backup:
        """Write a consistent, checked copy of the ledger into ``DATA/backups``.

        Raises:
            LimitExceeded: ``name`` is not a plain file name.
            QueueConflict: there is a backup of this name.
            Forbidden: the ledger is in memory.
            LedgerError: the copy could not be made, or is not what was written.
        """
        async with self._one:
            kept, path = await asyncio.to_thread(self._write, name or _name())
            await self._note(kept)
        return Backup(str(path.absolute()), kept.bytes)

    async def lend(self) -> Lent:
        """Make a consistent, checked copy to be sent, whose room on the disk is free when it is closed.

        Raises:
            Forbidden: the ledger is in memory.
            LedgerError: as :meth:`write`.
        """
        async with self._one:
            kept, file = await asyncio.to_thread(self._made, _name())
        self._lent[kept.name] = kept
        while len(self._lent) > LENT:
            self._lent.pop(next(iter(self._lent)))
        return Lent(kept.name, kept.bytes, file)

    async def keep(self, name: str) -> Kept:
        """Note that a copy that was sent is whole where it was sent to.

        Raises:
            QueueConflict: no copy of this name was sent since the server started.
        """
        kept = self._lent.pop(name, None)
        if kept is None:
            if self.last is not None and self.last.name == name:
                return self.last
            raise QueueConflict(
                f"no backup {name[:128]} was sent since the server started", reason="conflict", field="name"
            )
        await self._note(kept)
        return kept

    def _made(self, name: str) -> tuple[Kept, BinaryIO]:
        """Make a copy, and open the file, which has no name then."""
        if self._engine.kind == SHARED:
            with TemporaryDirectory(prefix="dibs-backup-") as folder:
                path, at = Path(folder) / name, datetime.now(UTC).timestamp()
                return Kept(name, at, self._engine.backup(str(path))), path.open("rb")
        kept, path = self._write(name)
        file = path.open("rb")
        path.unlink()
        return kept, file

    def _write(self, name: str) -> tuple[Kept, Path]:
        folder = self._engine.folder
        if self._engine.kind == SHARED:
            raise Forbidden(
                "the ledger is in PostgreSQL, and its server has no data folder for a copy: fetch one by"
                " `dibs backup --to DIR` (GET /backup), or back up the database"
            )
        if folder is None:
            raise Forbidden(f"the ledger is in memory ({MEMORY}): there is nothing to back up")
        if not NAME.fullmatch(name):
            raise LimitExceeded(
                "a backup's name is up to 128 letters, digits, . _ - and ends in .db",
                field="name",
                limit="*.db",
            )
        path = folder / "backups" / name
        if path.exists():
            raise QueueConflict(f"there is a backup {name} already", reason="backup-exists", field="name")
        for left in path.parent.glob("*.partial*"):  # by a server that was killed: only one writes here
            left.unlink(missing_ok=True)
        at = datetime.now(UTC).timestamp()
        return Kept(name, at, self._engine.backup(str(path))), path

    async def _note(self, kept: Kept) -> None:
        if self.last is None or kept.at >= self.last.at:
            self.last = kept
            await asyncio.to_thread(_write_last, self._engine.folder, kept)
        log.info("the backup %s is kept: %d bytes, checked", kept.name, kept.bytes)


def _name() -> str:
    return datetime.now(UTC).strftime(NAMED)


def _read_last(folder: Path | None) -> Kept | None:
    """What the last server noted; a note that can't be read tells nothing."""
    if folder is None:
        return None
    try:
        name, at, size = json.loads((folder / "backups" / LAST).read_bytes())
        return Kept(str(name), float(at), int(size))
    except (OSError, ValueError, TypeError):
        return None


def _write_last(folder: Path | None, kept: Kept) -> None:
    """The note is for a monitor after a restart: a disk that does not take it harms no backup."""
    if folder is None:
        return
    coming = folder / "backups" / f"{LAST}.coming"
    with suppress(OSError):
        coming.unlink(missing_ok=True)
        handle = os.open(coming, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(kept, file)
        coming.replace(coming.with_name(LAST))
