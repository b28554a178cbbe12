"""Whether the files that a ledger has open are still those that its folder names.

A file that was deleted or replaced can be written for as long as it is open, and nothing of that is there at
the next start. So the names are looked up again and again: a few microseconds each time.
"""

from __future__ import annotations

import os
from pathlib import Path

LOG = ("dibs.db-wal", "dibs.db-shm")
WATCHED = ("dibs.db", *LOG, "lock")

Identity = tuple[int, int]


class OpenFiles:
    """The files of one data folder, as they were when ``remember`` was called last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._paths = {name: str(self._folder / name) for name in ("", *WATCHED)}
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._known: dict[str, Identity] = {}

    def remember(self) -> None:
        """Remember the files that are open now."""
        found = {name: self._identity(name) for name in self._paths}
        self._known = {name: identity for name, identity in found.items() if identity is not None}

    def forget_log(self) -> None:
        """Forget the log, which is about to be closed: the last connection that closes it deletes it."""
        # Another dict, as other threads may be looking through this one.
        self._known = {name: identity for name, identity in self._known.items() if name not in LOG}

    def missing(self) -> str | None:
        """The files that are not as remembered, in words; None if all are."""
        for name, known in self._known.items():
            try:
                found = os.stat(self._paths[name])
                if (found.st_dev, found.st_ino) == known:
                    continue
                return self._told(name, gone=False)
            except (FileNotFoundError, NotADirectoryError):
                return self._told(name, gone=True)
            except OSError as error:
                return f"{self._folder / name} can't be looked up: {error.strerror}"
        return None

    def stands(self, name: str) -> bool:
        """Whether one file is where it was, in the folder that it was in."""
        try:
            return all(self._identity(one) == self._known.get(one) for one in ("", name))
        except OSError:
            return False

    def close(self) -> None:
        """Close the folder and watch nothing any more."""
        handle, self._handle = self._handle, -1
        self._known = {}
        if handle >= 0:
            os.close(handle)

    def _identity(self, name: str) -> Identity | None:
        try:
            found = os.stat(self._paths[name])
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_dev, found.st_ino

    def _told(self, name: str, *, gone: bool) -> str:
        if name:
            return f"{name} {'is missing from' if gone else 'was replaced in'} {self._folder}"
        where = self._where()
        moved = f"; it is {where} now" if where else ""
        return f"the data folder {self._folder} {'is missing' if gone else 'was replaced'}{moved}"

    def _where(self) -> str | None:
        """Where the folder is now, if it was renamed and the system tells."""
        try:
            where = os.readlink(f"/proc/self/fd/{self._handle}")
        except OSError:
            return None
        return None if where.endswith(" (deleted)") or where == str(self._folder) else where
