"""The processes that ``dibs work`` starts: none outlives it, and each is reaped."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, Final, Self

from . import work_guard
from .work_signals import GRACE

_SET_PDEATHSIG: Final = 1
_FIRST: Final = 1

Start = Callable[..., "subprocess.Popen[Any]"]


class Children:
    """Starts and reaps processes, from any thread; each leads a process group of its own.

    Two things keep them from outliving this process. A guard (``work_guard``), on every system, ends
    their groups when this process is gone. And on Linux the kernel sends each of them SIGTERM (SIGKILL where
    there is no guard), also where the guard is killed too, or did not hear of it in time.

    The lock keeps ``reap_orphans`` from taking a process for an orphan that was forked and is not known yet.
    """

    def __init__(self, *, guarded: bool = True, grace: float = GRACE) -> None:
        self._lock = threading.Lock()
        self._known: set[int] = set()
        self._guard = _guard(grace) if guarded else None
        self._arm = _armed(None if self._guard is None else self._guard.stdin)
        if self._guard is not None:
            self._known.add(self._guard.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(OSError):
                self._guard.stdin.close()
            self._guard.wait()

    def start(self, start: Start) -> subprocess.Popen[bytes]:
        """Start a process with ``start``, which passes its arguments on to ``Popen``.

        The calling thread must live until the process has ended: the kernel's signal comes when it ends.
        """
        with self._lock:
            process = start(start_new_session=True, preexec_fn=self._arm)
            self._known.add(process.pid)
        self._tell(f"+{process.pid}\n")
        return process

    def reap(self, process: subprocess.Popen[bytes]) -> int:
        """Reap a process that has ended and return its status. Until then its id is not used again."""
        self._tell(f"-{process.pid}\n")
        status = process.wait()
        with self._lock:
            self._known.discard(process.pid)
        return status

    def reap_orphans(self) -> None:
        """Reap processes whose parents have ended: the system leaves them to a container's first process."""
        with self._lock, suppress(ChildProcessError):
            while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if found.si_pid in self._known:
                    return  # the one that waits for it is about to; then we look again
                os.waitpid(found.si_pid, os.WNOHANG)

    def _tell(self, line: str) -> None:
        """Write a line to the guard, which may be gone, or not have read what it was told before."""
        if self._guard is not None and self._guard.stdin is not None:
            with suppress(OSError):
                os.write(self._guard.stdin.fileno(), line.encode())


def is_first() -> bool:
    """Whether this is the first process of a container, to which orphans are left."""
    return os.getpid() == _FIRST and hasattr(os, "waitid")


def _guard(grace: float) -> subprocess.Popen[bytes] | None:
    """The guard; None where it can't be started."""
    command = [sys.executable, "-I", "-S", work_guard.__file__, f"{grace}"]
    try:
        guard = subprocess.Popen(  # noqa: S603  # ours
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            bufsize=0,
        )
    except OSError:
        return None
    assert guard.stdin is not None  # noqa: S101
    os.set_blocking(guard.stdin.fileno(), False)
    return guard


def _armed(guard: IO[bytes] | None) -> Callable[[], None] | None:
    """The function of a child before it becomes the command: be known, and be signalled when its parent dies.

    It tells the guard by itself, or the parent could die before it does. The kernel's signal is SIGTERM, and
    SIGKILL where there is no guard to send that later.

    It runs between fork and exec in a copy of a process with many threads, where a lock that another thread
    had is locked for ever. So it takes none: prctl was looked up before the fork, ``PyDLL`` keeps the GIL,
    nothing is imported, logged or raised. (Popen brings the interpreter itself in order, as os.fork does.)
    A wrapper program would cost each job a start, and hide why a command can't be run.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        prctl = ctypes.PyDLL(None).prctl
    except (OSError, AttributeError):
        return None
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong)
    parent, getpid, getppid, write, leave = os.getpid(), os.getpid, os.getppid, os.write, os._exit
    number, told = (signal.SIGKILL, -1) if guard is None else (signal.SIGTERM, guard.fileno())

    def arm() -> None:
        prctl(_SET_PDEATHSIG, number)
        if getppid() != parent:  # it died before this was asked for, and no signal will come
            leave(128 + number)
        if told >= 0:
            with suppress(OSError):
                write(told, b"+%d\n" % getpid())

    return arm
