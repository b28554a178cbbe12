"""A disk that fails on purpose: an apsw VFS that counts calls and fails the chosen ones.

Beside the real files it knows what the platters would hold: writes count only once they were synced, and
those of a sync that failed are lost for good unless they are written again (Linux marks the pages clean, so
the next sync says yes without them). So it can say at any moment what a SIGKILL and what a loss of power
would leave.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

CHANGES = ("write", "sync", "truncate", "open", "delete")
LOOKS = ("read", "size", "access")
Images = dict[str, bytes]

_CODES = {
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "access": apsw.SQLITE_IOERR_ACCESS,
    "shm": apsw.SQLITE_IOERR_SHMMAP,
}


@dataclass(frozen=True)
class Plan:
    """What fails: from the ``nth`` call of one of the ``kinds`` on, ``times`` calls. None where ``nth`` is 0.

    ``error``: ``EIO`` or ``FULL``. ``torn``: a write that fails leaves its first half behind. ``landed``: a
    call that fails has its effect all the same. ``lying``: no sync does anything, and none says so.
    """

    kinds: tuple[str, ...] = (*CHANGES, *LOOKS)
    nth: int = 0
    times: int = 1
    error: str = "EIO"
    torn: bool = False
    landed: bool = False
    lying: bool = False

    def fails(self, call: int) -> bool:
        return 0 < self.nth <= call < self.nth + self.times


class Disk(apsw.VFS):
    """The VFS. It is the default one, so the code under test opens its files as ever.

    ``before`` is called before each call of the plan's kinds, with its number and, for a write, with where it
    goes. ``closing`` is called before a file is closed.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.reset(Plan())
        super().__init__("faulty", "unix", makedefault=True)

    def reset(self, plan: Plan) -> None:
        """Another life: another plan, nothing on the platters."""
        with self.guard:
            self.plan = plan
            self.counts: Counter[str] = Counter()
            self.calls = 0
            self.failed = 0
            self.before: Callable[[int, Write | None], None] = lambda call, write: None
            self.closing: Callable[[], None] = lambda: None
            self._durable: dict[str, bytearray] = {}
            self._waiting: dict[str, list[Change]] = {}

    # -- the calls

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return self.call("open", lambda: DiskFile(self, path, name, flags))

    def xDelete(self, filename: str, syncdir: bool) -> None:
        def effect() -> None:
            super(Disk, self).xDelete(filename, syncdir)
            self._durable.pop(filename, None)
            self._waiting.pop(filename, None)

        self.call("delete", effect)

    def xAccess(self, pathname: str, flags: int) -> bool:
        return self.call("access", lambda: super(Disk, self).xAccess(pathname, flags))

    def call(self, kind: str, effect: Callable[[], Any], write: Write | None = None) -> Any:
        """Let a call happen, or fail, as planned."""
        with self.guard:
            self.counts[kind] += 1
            if kind not in self.plan.kinds:
                return effect()
            self.calls += 1
            self.before(self.calls, write)
            if not self.plan.fails(self.calls):
                return effect()
            self.failed += 1
            if self.plan.torn and write is not None:
                write.half()
            elif self.plan.landed:
                effect()
            raise _fault(kind, self.plan.error)

    # -- what is where

    def wrote(self, path: str, change: Change) -> None:
        self._waiting.setdefault(path, []).append(change)

    def synced(self, path: str) -> None:
        if self.plan.lying:
            return
        image = self._durable.setdefault(path, bytearray())
        for change in self._waiting.pop(path, []):
            change.apply(image)

    def lost(self, path: str) -> None:
        """A sync failed: what it was to bring to the platters never comes there."""
        self._waiting.pop(path, None)

    def left_by_a_kill(self, torn: Write | None = None) -> Images:
        """The files as the kernel has them; the first half of ``torn`` too."""
        with self.guard:
            images = {path: bytearray(Path(path).read_bytes()) for path in self._paths()}
        if torn is not None:
            half = Change(torn.offset, torn.data[: len(torn.data) // 2])
            half.apply(images.setdefault(torn.path, bytearray()))
        return {path: bytes(image) for path, image in images.items()}

    def left_by_a_loss_of_power(self, seed: int | None = None) -> Images:
        """What was synced and, by a seed, some of what was not."""
        chance = random.Random(seed)
        with self.guard:
            images = {path: bytearray(self._durable.get(path, b"")) for path in self._paths()}
            for path, image in images.items():
                for change in self._waiting.get(path, []) if seed is not None else []:
                    if chance.random() < 0.5:
                        change.apply(image)
        return {path: bytes(image) for path, image in images.items()}

    def _paths(self) -> list[str]:
        return [path for path in {*self._durable, *self._waiting} if os.path.exists(path)]


@dataclass(frozen=True)
class Change:
    """Bytes at an offset; without bytes, the end of the file."""

    offset: int
    data: bytes | None

    def apply(self, image: bytearray) -> None:
        if self.data is None:
            del image[self.offset :]
            return
        image.extend(bytes(max(0, self.offset - len(image))))
        image[self.offset : self.offset + len(self.data)] = self.data


@dataclass(frozen=True)
class Write:
    """A write that is about to happen."""

    path: str
    offset: int
    data: bytes
    half: Callable[[], None]


class DiskFile(apsw.VFSFile):
    """An open file of a :class:`Disk`."""

    def __init__(self, disk: Disk, path: str, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.path = path
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        return self.disk.call("read", lambda: super(DiskFile, self).xRead(amount, offset))

    def xWrite(self, data: bytes, offset: int) -> None:
        data = bytes(data)

        def put(part: bytes) -> None:
            super(DiskFile, self).xWrite(part, offset)
            self.disk.wrote(self.path, Change(offset, part))

        half = Write(self.path, offset, data, lambda: put(data[: len(data) // 2]))
        self.disk.call("write", lambda: put(data), half)

    def xTruncate(self, newsize: int) -> None:
        def effect() -> None:
            super(DiskFile, self).xTruncate(newsize)
            self.disk.wrote(self.path, Change(newsize, None))

        self.disk.call("truncate", effect)

    def xSync(self, flags: int) -> None:
        try:
            self.disk.call("sync", lambda: self.disk.synced(self.path))
        except apsw.Error:
            self.disk.lost(self.path)
            raise

    def xFileSize(self) -> int:
        return self.disk.call("size", super().xFileSize)

    def xClose(self) -> None:
        with self.disk.guard:
            self.disk.closing()
        super().xClose()


def _fault(kind: str, error: str) -> apsw.Error:
    if error == "FULL":
        return apsw.FullError("no room (planned)")
    if kind == "open":
        return apsw.CantOpenError("an open fails (planned)")
    fault = apsw.IOError(f"a {kind} fails (planned)")
    fault.extendedresult = _CODES[kind]
    return fault
