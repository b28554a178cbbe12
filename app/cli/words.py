"""What a server answers, in words for people: queues, items, sizes, times. Plain text, without rich."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..inert import inert

_LONG: Final = 60
_KIB: Final = 1024
_SPANS: Final = (
    (1e-3, 1e6, "µs", 0),
    (1, 1e3, "ms", 1),
    (60, 1, "s", 1),
    (3600, 1 / 60, "min", 0),
    (86_400, 1 / 3600, "h", 1),
)


def source(queue: Mapping[str, Any]) -> str:
    """``count(start=100)`` from a queue's fields; ``pushed`` where producers push."""
    if queue["source"] is None:
        return "pushed"
    args = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in queue["args"].items()
    )
    return f"{queue['source']}({args})" if args else str(queue["source"])


def inside(queue: Mapping[str, Any]) -> str:
    """The items inside a queue, as ``3 waiting, 1 leased``; empty if there are none."""
    counts = ((queue[name], name) for name in ("waiting", "leased", "dead"))
    return ", ".join(f"{count:,} {name}" for count, name in counts if count)


def failure(queue: Mapping[str, Any]) -> str:
    """Why a queue failed, in one line; empty for the others."""
    cause = queue.get("failure")
    if not cause:
        return ""
    where = f" ({cause['where']})" if cause.get("where") else ""
    return f"at {cause['seq']:,}: {cause['type']}: {cause['message']}{where}"


def text_of(value: Any) -> str:
    """A text as it is; anything else as JSON, without spaces."""
    return value if isinstance(value, str) else compact(value)


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def gist(error: str) -> str:
    """The first and the last line of an error: the first says how it ended, the last most often why."""
    lines = error.strip().splitlines()
    return ": ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else ""


def short(told: str) -> str:
    """One line of a table."""
    line = inert(" ".join(told.split()))
    return line if len(line) <= _LONG else f"{line[: _LONG - 1]}…"


def when(instant: str) -> str:
    """``2026-11-22 22:41:06`` of an RFC 3339 instant in UTC."""
    return instant.replace("T", " ").partition(".")[0].removesuffix("Z")


def lines(count: int) -> str:
    """``1 line``, ``2 lines``."""
    return f"{count:,} line" if count == 1 else f"{count:,} lines"


def size(count: float) -> str:
    """Bytes, readably."""
    if count < _KIB:
        return f"{count:.0f} B"
    for power, unit in enumerate(("KiB", "MiB", "GiB"), 1):
        if count < _KIB ** (power + 1) or unit == "GiB":
            break
    return f"{count / _KIB**power:.1f} {unit}"


def span(seconds: float) -> str:
    """A duration, readably: 850 µs, 12.3 ms, 4.5 s, 3 min, 2 h, 5 d."""
    if seconds <= 0:
        return "0"
    for limit, factor, unit, digits in _SPANS:
        if seconds < limit:
            return f"{seconds * factor:.{digits}f} {unit}"
    return f"{seconds / 86_400:.1f} d"
