"""Tables for people. What a server sent is shown as plain text, without markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rich import box
from rich.table import Table
from rich.text import Text

from ..inert import inert
from .console import console
from .output import writing

_STATES = {"open": "green", "starting": "yellow", "paused": "yellow", "failed": "bold red"}
Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column: its heading, and the cell of a row. ``right``: its cells are numbers."""

    heading: str
    cell: Callable[[Row], Text | str]
    right: bool = False


def table(rows: Iterable[Row], columns: Sequence[Column]) -> Table:
    """A table in the house style."""
    made = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(column.cell(row) for column in columns))
    return made


def show(*parts: Any) -> None:
    """Print what rich can render, with a line between; plain and wide where it is not a terminal."""
    out = console(width=200)
    with writing():
        for number, part in enumerate(parts):
            if number:
                out.print()
            out.print(part)


def plain(text: object, style: str = "") -> Text:
    """Text that is not markup, and that can't act on the terminal; it may have several lines."""
    return Text(inert(str(text), lines=True), style=style)


def state(word: str) -> Text:
    """A state in its colour."""
    return Text(inert(word), style=_STATES.get(word, "dim"))
