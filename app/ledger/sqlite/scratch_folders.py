"""The folders of owners' memories: each goes with its owner, and with the next one where that was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "dibs-owner-"
_LOCK: Final = "lock"


class ScratchFolder:
    """A folder in the folder for temporary files, private, and locked for as long as its owner lives.

    Whoever makes one removes those whose owner was killed: each may have a hundred bytes for each range of
    items, and nobody else would.
    """

    def __init__(self) -> None:
        made = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
        self._lock = os.open(made / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.path = made.with_name(made.name.removeprefix("."))  # it is locked before others look at it
        made.rename(self.path)
        _sweep(self.path.parent)

    def remove(self) -> None:
        """Remove it and what is in it; again does nothing."""
        if self._lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def _sweep(parent: Path) -> None:
    """Remove the folders that nobody has locked; what is another user's is left alone."""
    for place in parent.glob(f"{PREFIX}*"):
        try:
            found = place.lstat()
            if found.st_uid != os.geteuid() or place.is_symlink():
                continue
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(place, ignore_errors=True)
        except OSError:
            pass  # its owner lives
        finally:
            os.close(lock)
