"""Items for people: one in a row, or one with all that is known of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..inert import inert

_LONG: Final = 60


def show_item(item: Mapping[str, Any]) -> None:
    """One item with each of its failed attempts."""
    from .tables import plain, show, state

    grid = [
        plain(f"{item['seq']:,}  ", "bold")
        + state(item["state"])
        + plain(f"  attempt {item['attempt']:,}", "dim"),
        plain(text(item["value"])),
    ]
    for failure in item["history"]:
        head = f"attempt {failure['attempt']:,}, {when(failure['at'])} UTC, {failure['worker'] or 'nobody'}"
        grid.append(plain(f"{head}\n", "dim") + plain(failure["error"], "red"))
    show(*grid)


def text(value: Any) -> str:
    """A text as it is; anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
