"""Faults of the file through which SQLite shares its log's index: no method of a VFS sees it."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from typing import Any

import apsw
from disk import Disk

_PROTOTYPES = {
    "open": (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_int),
    "ftruncate": (ctypes.c_int, ctypes.c_int, ctypes.c_int64),
    "pwrite64": (ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
    "pwrite": (ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64),
    "mmap": (
        ctypes.c_ssize_t,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int64,
    ),
}
_FILE_ARGUMENT = {"open": 0, "ftruncate": 0, "pwrite64": 0, "pwrite": 0, "mmap": 4}


class SharedMemory:
    """Makes the calls on ``*-shm`` files calls of the disk, of the kind ``shm``. To be kept like the disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        there = {name: self._disk.xGetSystemCall(name) for name in _PROTOTYPES}
        # SQLite writes by one of the two, as it was built.
        self._kept = [self._watch(name, address) for name, address in there.items() if address]

    def _watch(self, name: str, address: int) -> Any:
        prototype = ctypes.CFUNCTYPE(*_PROTOTYPES[name], use_errno=True)
        original = prototype(address)
        watched = prototype(self._watched(name, original))
        self._disk.xSetSystemCall(name, ctypes.cast(watched, ctypes.c_void_p).value)
        return original, watched

    def _watched(self, name: str, original: Callable[..., int]) -> Callable[..., int]:
        def call(*args: Any) -> int:
            if not _is_shared(args[_FILE_ARGUMENT[name]]):
                return original(*args)
            try:
                return self._disk.call("shm", lambda: original(*args))
            except apsw.Error:
                ctypes.set_errno(errno.EIO)
                return -1

        return call


def _is_shared(file: bytes | int) -> bool:
    if isinstance(file, int):
        try:
            file = os.readlink(f"/proc/self/fd/{file}").encode()
        except OSError:
            return False
    return file.removesuffix(b" (deleted)").endswith(b"-shm")
