"""Ends the servers of a folder once whoever started it is gone, however that went: its standard input ends.

A process belongs to the folder if it works in it, as PostgreSQL's processes do in their data folder. So no
number of a process is remembered that could be another one's by now.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import psutil


def processes(folder: Path) -> list[psutil.Process]:
    """All processes that work in the folder."""
    inside = str(folder.resolve()) + os.sep
    return [each for each in psutil.process_iter(["cwd"]) if f"{each.info['cwd'] or ''}/".startswith(inside)]


def end(folder: Path) -> None:
    """End all processes that work in the folder: as PostgreSQL stops at once, and those that are left."""
    found = processes(folder)
    numbers = {process.pid for process in found}
    send(found, signal.SIGCONT)
    send([process for process in found if _parent(process) not in numbers], signal.SIGQUIT)
    psutil.wait_procs(found, timeout=10)
    while left := processes(folder):
        send(left, signal.SIGKILL)
        psutil.wait_procs(left, timeout=1)


def _parent(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.ppid()
    return 0


def send(to: list[psutil.Process], *signals: signal.Signals) -> None:
    """Send signals to processes, some of which may have ended meanwhile."""
    for process in to:
        with contextlib.suppress(psutil.NoSuchProcess):
            for each in signals:
                process.send_signal(each)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.read()
    kept = Path(sys.argv[1])
    if kept.exists():
        end(kept)
        shutil.rmtree(kept, ignore_errors=True)
