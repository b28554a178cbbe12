"""Room that is held back on the disk."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ..ops import EngineFailed
from .disk import allocate, bytes_of, no_room

BALLAST = 2 * 1024 * 1024
"""Bytes held back, for the checkpoint that makes it certain what a full disk has kept."""


class Ballast:
    """A file that takes room; deleting it makes room for a checkpoint on a full disk."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def drop(self) -> None:
        """Make the room."""
        self._path.unlink(missing_ok=True)

    def take(self) -> None:
        """Hold room back again; while there is none, the disk counts as full.

        Raises:
            EngineFailed: there is no room.
        """
        try:
            if bytes_of(self._path) < BALLAST:
                allocate(self._path, BALLAST)
        except OSError as error:
            with suppress(OSError):
                self.drop()
            raise EngineFailed(str(error), full=no_room(error)) from error
