"""Tables for people, JSON for programs. What a server sent is shown as plain text, without markup."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..inert import inert, inert_json
from .output import put, writing

if TYPE_CHECKING:
    from rich.table import Table

_STATES = {"open": "green", "starting": "yellow", "paused": "yellow", "failed": "bold red"}
_KIB = 1024


def print_json(value: Any) -> None:
    """Print one JSON document, for programs."""
    put(f"{json_text(value)}\n")


def json_text(value: Any) -> str:
    """The text of a JSON document; nothing in it acts on a terminal."""
    return inert_json(json.dumps(value, indent=2, ensure_ascii=False))


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """A table in the house style; the columns in ``right`` are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def show(*parts: Any) -> None:
    """Print what rich can render, with a line between; plain and wide where it is not a terminal."""
    from .console import console

    out = console(width=200)
    with writing():
        for number, part in enumerate(parts):
            if number:
                out.print()
            out.print(part)


def state(word: str) -> Any:
    """A queue's state in its colour."""
    from rich.text import Text

    return Text(inert(word), style=_STATES.get(word, "dim"))


def number(name: str, count: int) -> Any:
    """A count in its column: 0 is dim, dead items are red."""
    return plain(f"{count:,}", "dim" if not count else "red" if name == "dead" else "")


def plain(text: object, style: str = "") -> Any:
    """Text that is not markup, and that can't act on the terminal; it may have several lines."""
    from rich.text import Text

    return Text(inert(str(text), lines=True), style=style)


def source(queue: Mapping[str, Any]) -> str:
    """``count(start=100)`` from a queue's fields; ``pushed`` where producers push."""
    if queue["source"] is None:
        return "pushed"
    args = ", ".join(
        f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in queue["args"].items()
    )
    return f"{queue['source']}({args})" if args else str(queue["source"])


def present(found: Sequence[Mapping[str, Any]], *names: str) -> list[str]:
    """Those of these numbers that are not zero everywhere: a table has no columns of nothing."""
    return [name for name in names if any(queue.get(name) for queue in found)]


def failure(queue: Mapping[str, Any]) -> str:
    """Why a queue failed, in one line; empty for the others."""
    cause = queue.get("failure")
    return f"at {cause['seq']:,}: {cause['type']}: {cause['message']}" if cause else ""


def size(count: float) -> str:
    """Bytes, readably."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB or unit == "GiB":
            break
        count /= _KIB
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """A duration, readably: 850 µs, 12.3 ms, 4.5 s, 3 min, 2 h, 5 d."""
    if seconds <= 0:
        return "0"
    for limit, factor, unit, digits in (
        (1e-3, 1e6, "µs", 0),
        (1, 1e3, "ms", 1),
        (60, 1, "s", 1),
        (3600, 1 / 60, "min", 0),
        (86_400, 1 / 3600, "h", 1),
    ):
        if seconds < limit:
            return f"{seconds * factor:.{digits}f} {unit}"
    return f"{seconds / 86_400:.1f} d"
