"""``dibs doctor`` looks at this machine: versions, open files, proxies, its clock."""

from __future__ import annotations

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from ..config import Settings, is_loopback, version
from .doctor_findings import Finding, mend, note, well
from .words import span

SPARE: Final = 100
"""Open files beside connections: the ledger, sources, the program itself."""
JUMP: Final = 0.5
"""Seconds by which the wall clock may depart from the monotonic one while the doctor looks."""


def versions(sqlite: str) -> Iterator[Finding]:
    """Python, SQLite, dibs."""
    yield well("python", f"{platform.python_version()} ({sys.executable}){_gil()}")
    yield well("sqlite", sqlite)
    yield well("dibs", version())


def _gil() -> str:
    is_enabled: Callable[[], bool] | None = getattr(sys, "_is_gil_enabled", None)
    return "" if is_enabled is None else ", with the GIL" if is_enabled() else ", without the GIL"


def open_files(settings: Settings, hard: int | None = None) -> Iterator[Finding]:
    """The most open files of a process, which the server uses up to the hard limit, against connections."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if hard is None else hard
    needed = settings.limits.waiting + SPARE
    if most == resource.RLIM_INFINITY or most >= needed:
        yield well("open files", "any number" if most == resource.RLIM_INFINITY else f"{most:,} at most")
    else:
        yield mend(
            "open files",
            f"{most:,} at most, and {settings.limits.waiting:,} requests may wait for one queue"
            " (limits.waiting), each on a connection",
            f"ulimit -Hn {needed} (systemd: LimitNOFILE, Docker: --ulimit nofile), or a lower limits.waiting",
        )


def proxies(url: str, environ: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Whether other clients of this environment would send requests for the server to a proxy."""
    parts = urlsplit(url)
    names = (f"{parts.scheme}_proxy", "all_proxy")
    found = {name: value for name, value in environ.items() if name.lower() in names and value}
    host = parts.hostname or ""
    without = ",".join(value for name, value in environ.items() if name.lower() == "no_proxy")
    if not found:
        yield well("proxies", "none in the environment")
    elif _is_without(host, without):
        yield well("proxies", f"not for {host} (NO_PROXY)")
    else:
        name = sorted(found)[0]
        told = f"{name} is set, so curl and most libraries ask that proxy for {host}; dibs itself does not"
        if is_loopback(host):
            yield mend("proxies", told, f"NO_PROXY={host}")
        else:
            yield note("proxies", told, f"NO_PROXY={host}, if the proxy can't reach it")


def _is_without(host: str, names: str) -> bool:
    """Whether NO_PROXY has a host: by its name, by the end of it, or as ``*``."""
    for name in (part.strip().lstrip("*.").lower() for part in names.split(",") if part.strip()):
        if not name or host == name or host.endswith(f".{name}"):
            return True
    return False


def clock(since: tuple[float, float], now: tuple[float, float] | None = None) -> Iterator[Finding]:
    """Whether the wall clock went on as the monotonic one; both are (wall, monotonic), in seconds."""
    wall, steady = now or (time.time(), time.monotonic())
    jump = (wall - since[0]) - (steady - since[1])
    if abs(jump) > JUMP:
        way = "forward" if jump > 0 else "back"
        yield mend(
            "clock",
            f"it jumped {way} by {span(abs(jump))} in the last {span(steady - since[1])}",
            "let NTP slew it; a virtual machine may have been paused",
        )
    else:
        yield well("clock", "steady")
