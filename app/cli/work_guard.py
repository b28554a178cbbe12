"""Ends the commands of a ``dibs work`` that is gone without having done so: kill -9, or no memory left.

It is a script of its own, which imports nothing of dibs, so that it stays small while the work lasts. It
reads ``+PID`` and ``-PID``, a line each, for process groups that have begun and ended. When its stdin
comes to its end, which is when nobody has the other side any more, what has not ended gets SIGTERM, and
SIGKILL after the seconds that are its argument. It ignores the signals that end all processes of a unit.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

_LOOK = 0.05


def left_of(lines: Iterable[str]) -> set[int]:
    """The process groups that have begun and not ended."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


def end(groups: Iterable[int], grace: float) -> None:
    """Send SIGTERM to the groups, and SIGKILL after ``grace`` seconds."""
    left = [group for group in groups if _signalled(group, signal.SIGTERM)]
    until = time.monotonic() + grace
    while left and time.monotonic() < until:
        time.sleep(_LOOK)
        left = [group for group in left if _signalled(group, 0)]
    for group in left:
        _signalled(group, signal.SIGKILL)


def _signalled(group: int, number: int) -> bool:
    """Send a signal to a group; return whether there was one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(left_of(sys.stdin), float(sys.argv[1]))
