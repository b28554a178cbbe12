"""One server a data folder: an advisory lock that the kernel gives back when its owner dies."""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...errors import LedgerLocked

NOTE_BYTES = 200


class Left(NamedTuple):
    """The note of the last owner: which ledger it had, its file, and whether it was still open."""

    instance: str
    device: int
    inode: int
    open: bool


class DataLock:
    """Holds ``lock`` in a data folder for the life of the process.

    flock(2), so that a SIGKILL releases it too and no stale file is ever in the way. The owner's process id
    stands in the file, for the message that a second server shows; under it which ledger it serves, so that
    the next start can tell that a file is missing (``left``).

    Raises:
        LedgerLocked: another process holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.left = self._own(folder)
        except BaseException:
            self.release()
            raise
        _held.add(self)

    def _own(self, folder: Path) -> Left | None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = self._noted()[0].strip() or "unknown"
            raise LedgerLocked(
                f"another server (process {owner}) owns {folder}: two would hand out the same values; "
                "stop that one first; a server that is to run beside it needs a folder of its own (--data)"
            ) from error
        with suppress(OSError):  # another's file stays as it is
            os.fchmod(self._file, 0o600)
        noted = self._noted()  # under the lock: until the last owner lets go, it may write another note
        # The process id only: what the last owner noted stays until this one has opened its ledger.
        self._write("\n".join([str(os.getpid()), *noted[1:2]]))
        return _left(noted[1]) if len(noted) > 1 else None

    def _noted(self) -> list[str]:
        return os.pread(self._file, NOTE_BYTES, 0).decode("ascii", "replace").splitlines() or [""]

    def note(self, instance: str, file: Path, *, open: bool) -> None:
        """Note which ledger this is. A note that it is closed is on disk before its log may be deleted."""
        found = file.stat()
        state = "open" if open else "closed"
        self._write(f"{os.getpid()}\n{instance} {found.st_dev} {found.st_ino} {state}")
        if not open:
            os.fsync(self._file)

    def _write(self, text: str) -> None:
        os.pwrite(self._file, f"{text}\n".encode(), 0)
        os.ftruncate(self._file, len(text) + 1)

    def release(self) -> None:
        """Let another server have the folder. A second call does nothing."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _left(line: str) -> Left | None:
    try:
        instance, device, inode, state = line.split()
        return Left(instance, int(device), int(inode), state == "open")
    except ValueError:
        return None


_held: weakref.WeakSet[DataLock] = weakref.WeakSet()


def _release_in_child() -> None:
    """A forked child shares the lock's file and would keep the folder after its owner's end."""
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_release_in_child)


def noted(folder: Path) -> tuple[int | None, Left | None]:
    """Who owns a folder now (a process, 0 where that can't be told), and the note of the last owner.

    The lock is not taken, not even for a moment: a server that starts just then must get it. So the kernel's
    list of locks is read, or, where there is none, the owner that was noted is looked for.
    """
    try:
        with (folder / "lock").open("rb") as file:
            lines = file.read(NOTE_BYTES).decode("ascii", "replace").splitlines()
            inode = os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return None, None
    left = _left(lines[1]) if len(lines) > 1 else None
    owner = int(lines[0]) if lines and lines[0].strip().isdigit() else 0
    return (owner if _is_locked(inode, owner) else None), left


def _is_locked(inode: int, owner: int) -> bool:
    try:
        locks = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return owner > 0 and _lives(owner)
    return any(line.split()[1] == "FLOCK" and f":{inode} " in line for line in locks)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
