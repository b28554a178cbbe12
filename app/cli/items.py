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


def show_items(found: Mapping[str, Any], columns: Mapping[str, str], *, nothing: str, more: str) -> None:
    """A page of items as a table. ``columns``: a field of an item for each heading."""
    from .tables import plain, show, table

    if not found["items"]:
        show(plain(nothing))
        return
    right = [heading for heading, field in columns.items() if field in {"seq", "attempt"}]
    shown = table(*columns, right=right)
    for item in found["items"]:
        shown.add_row(*(_cell(item, field) for field in columns.values()))
    show(shown, *([] if found["next"] is None else [plain(more, "dim")]))


def _cell(item: Mapping[str, Any], field: str) -> Any:
    from .tables import plain, state

    told = item[field]
    match field:
        case "seq":
            return plain(f"{told:,}", "bold")
        case "attempt":
            return plain(f"{told:,}")
        case "value":
            return plain(short(text(told)))
        case "state":
            return state(told)
        case "error":
            return plain(short(gist(told or "")), "red")
        case _:
            return plain(when(told) if field == "due_at" else told, "dim")


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
