"""One server a data folder: an advisory lock that the kernel gives back when its owner dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from ..errors import LedgerLocked


class DataLock:
    """Holds ``lock`` in a data folder for the life of the process.

    flock(2), so that a SIGKILL releases it too and no stale file is ever in the way. The owner's process id
    stands in the file, for the message that a second server shows.

    Raises:
        LedgerLocked: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._own(folder)
        except BaseException:
            self.release()
            raise
        _held.add(self)

    def _own(self, folder: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise LedgerLocked(
                f"another server (process {owner}) owns {folder}: two would hand out the same values; "
                "stop that one, or give this one a folder of its own with --data"
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another server have the folder. Once is enough."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


_held: weakref.WeakSet[DataLock] = weakref.WeakSet()


def _release_in_child() -> None:
    """A forked child shares the lock's file and would keep the folder after its owner's end."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)
