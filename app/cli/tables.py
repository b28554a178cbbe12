"""Tables for people. What a server sent is shown as plain text, without markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from ..inert import inert
from .console import console
from .output import writing

_STATES = {"open": "green", "starting": "yellow", "paused": "yellow", "failed": "bold red"}
Row = Mapping[str, Any]


_WHOLE: Final = 24
"""Columns of a terminal: a name that is no longer is shown in one piece."""


class Column(NamedTuple):
    """A column: its heading, and the cell of a row. ``right``: its cells are numbers. ``name``: names.

    Numbers, and names that are not long, stand in one piece: where there is no room, others are folded.
    """

    heading: str
    cell: Callable[[Row], Text | str]
    right: bool = False
    name: bool = False


def table(rows: Iterable[Row], columns: Sequence[Column]) -> Table:
    """A table in the house style."""
    made = Table(
        box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False, collapse_padding=True
    )
    cells = [[column.cell(row) for column in columns] for row in rows]
    for at, column in enumerate(columns):
        justify: Literal["right", "left"] = "right" if column.right else "left"
        short = column.name and all(cell_len(str(row[at])) <= _WHOLE for row in cells)
        made.add_column(column.heading, justify=justify, overflow="fold", no_wrap=column.right or short)
    for row in cells:
        made.add_row(*row)
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
