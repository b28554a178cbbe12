"""The bottleneck of a load test: its own clients, the server, the disk, or other programs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

FULL: Final = 0.75
"""Share of one core from which a process is bound by it: Python runs one thread at a time."""

CROWDED: Final = 0.9
"""Share of all cores from which the machine has nothing left to give."""

BUSY_DISK: Final = 0.6
"""Share of the time in commits from which the disk is what is waited for."""

SHORTEST: Final = 0.2
"""Seconds that a load must last before its shares mean anything."""

_STAT: Final = Path("/proc/stat")
_BUSY_FIELDS: Final = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; not idle and iowait

_CROWDED_BY_US: Final = "this machine's processor; on one of its own the server could have done more"
_CROWDED_BY_OTHERS: Final = (
    "other programs, which kept this machine's processor busy; try again when it is idle"
)

Asked = Callable[[], Mapping[str, Any] | None]


class Reading(NamedTuple):
    """What has been used up to one moment, in seconds; None where it is not known.

    ``clients`` and ``server`` are processor time of the two processes, ``machine`` that of all programs on
    this machine, ``commits`` the time in which the server's ledger was committing to its disk.
    """

    clock: float
    clients: float
    machine: float | None = None
    uptime: float | None = None
    server: float | None = None
    commits: float | None = None


class Used(NamedTuple):
    """What a load used: processor time as shares of one core, commits as a share of the time."""

    seconds: float
    clients: float
    cores: int
    machine: float | None = None
    server: float | None = None
    commits: float | None = None
    restarted: bool = False


def read(stats: Asked) -> Reading:
    """Read what has been used up to now. ``stats`` asks the server; it gives None without an answer."""
    found = stats() or {}
    ledger = found.get("ledger")
    ledger = ledger if isinstance(ledger, Mapping) else {}
    return Reading(
        time.monotonic(),
        time.process_time(),
        _machine(),
        _seconds(found.get("uptime")),
        _seconds(found.get("processor_time")),
        _seconds(ledger.get("commit_time")) if ledger.get("syncs") else None,
    )


def used(before: Reading, after: Reading, cores: int | None = None) -> Used:
    """What was used between two readings; nothing of a server that was restarted in between."""
    seconds = max(after.clock - before.clock, 1e-9)
    restarted = after.uptime is not None and after.uptime < seconds

    def share(first: float | None, last: float | None) -> float | None:
        return None if first is None or last is None or restarted else max(0.0, last - first) / seconds

    # A ledger that had not committed before the load has no first reading of its disk.
    server, commits = share(before.server, after.server), share(before.commits or 0.0, after.commits)
    machine, clients = share(before.machine, after.machine), (after.clients - before.clients) / seconds
    return Used(seconds, clients, cores or os.cpu_count() or 1, machine, server, commits, restarted)


def told(load: Used) -> str:
    """The bottleneck in one line, with the shares that show it."""
    if load.restarted:
        return "Bottleneck: not told, for the server was restarted meanwhile; the rate is not its speed."
    if load.seconds < SHORTEST:
        return "Bottleneck: not told, for the load was too short. Give a larger --total."
    cores = "1 core" if load.cores == 1 else f"{load.cores} cores"
    parts = [f"the clients used {load.clients:.2f} of this machine's {cores}"]
    parts.append("the server's use is not known" if load.server is None else f"the server {load.server:.2f}")
    if load.commits is not None:
        parts.append(f"commits to the disk took {min(load.commits, 1.0):.0%} of the time")
    return f"Bottleneck: {_bottleneck(load)} ({', '.join(parts)})."


def _bottleneck(load: Used) -> str:
    """The first that was used up. Who waits for a processor seems to wait for the disk, so that is last."""
    server = load.server or 0.0
    if load.clients >= FULL and load.clients >= server:
        return "the clients of this test, which are one Python process; the server could have done more"
    if server >= FULL:
        return "the server's processor; its Python runs on about one core"
    if load.machine is not None and load.machine >= CROWDED * load.cores:
        ours = load.clients + server >= load.machine / 2
        return _CROWDED_BY_US if ours else _CROWDED_BY_OTHERS
    if (load.commits or 0.0) >= BUSY_DISK:
        return "the server's disk; a larger --count or more --clients share a commit"
    if load.server is None:
        return "not the clients of this test; the server or the way to it"
    return "nothing was used up, the clients waited for answers; more --clients may get more"


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _machine() -> float | None:
    """Processor time of all programs since the machine began, where Linux tells it."""
    try:
        ticks = _STAT.read_text().split("\n", 1)[0].split()[1:]
        return sum(int(ticks[field]) for field in _BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
