"""Ends the processes of a folder once whoever started them is gone, however that went: kill -9, too.

A process belongs to the folder if it works in it, as each server of the chaos test does. So no number of a
process is remembered that could be another one's by now, and what PostgreSQL has started is found, too. As a
script it imports nothing of dibs. It waits until its standard input ends, which nobody holds open then, ends
what is left, and deletes the folder, unless it was told to ``keep`` it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

_GRACE = 5.0
"""Seconds that processes have to end in order; PostgreSQL then frees the shared memory that it has."""
_LOOK = 0.02
_PROC = Path("/proc")


def processes(folder: Path) -> list[int]:
    """All processes that work in the folder; none where there is no ``/proc`` to tell."""
    inside, found = str(folder.resolve()) + os.sep, []
    for each in _PROC.iterdir() if _PROC.is_dir() else ():
        with contextlib.suppress(OSError):
            if each.name.isdecimal() and f"{(each / 'cwd').readlink()}/".startswith(inside) and _lives(each):
                found.append(int(each.name))
    return found


def _lives(process: Path) -> bool:
    """Whether it is more than a number that nobody has asked for yet."""
    return (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"


def send(to: Iterable[int], *signals: int) -> None:
    """Send signals to processes, some of which may have ended meanwhile."""
    for process in to:
        with contextlib.suppress(OSError):
            for each in signals:
                os.kill(process, each)


def gone(folder: Path, seconds: float) -> bool:
    """Wait until no process works in the folder."""
    until = time.monotonic() + seconds
    while processes(folder):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK)
    return True


def end(folder: Path) -> None:
    """End all processes that work in the folder: as PostgreSQL stops at once, and those that are left."""
    send(processes(folder), signal.SIGCONT, signal.SIGQUIT)
    if gone(folder, _GRACE):
        return
    while left := processes(folder):
        send(left, signal.SIGKILL)
        gone(folder, _GRACE)


class Keeper(AbstractContextManager["Keeper"]):
    """A folder whose processes end with the block, and with this process; with ``keep`` its files stay."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keep = False
        self._process = subprocess.Popen(  # noqa: S603  # our own script, no shell
            [sys.executable, "-I", str(Path(__file__)), str(folder)],
            stdin=subprocess.PIPE,
            cwd="/",
            start_new_session=True,
        )

    def __exit__(self, *_: object) -> None:
        self._process.communicate(b"keep" if self.keep else b"")


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    told, kept = sys.stdin.read(), Path(sys.argv[1])
    end(kept)
    if told != "keep":
        shutil.rmtree(kept, ignore_errors=True)
