"""What is told of a move while it goes on, and when it is done."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Progress(Protocol):
    """Is told how far a move is."""

    def warn(self, warning: str) -> None:
        """An operator should know this."""

    def step(self, done: str) -> None:
        """A step was done."""

    def begin(self, total: int) -> None:
        """So many rows will be copied; 0: that is not known."""

    def rows(self, table: str, done: int) -> None:
        """So many rows of a table were copied."""


class Done(NamedTuple):
    """What was moved: how many rows of each table, none where that was done before. ``to``: where it is."""

    to: str
    rows: dict[str, int]
    position: int
