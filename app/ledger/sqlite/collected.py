"""Rows that wait to be written: all that one statement writes goes out together.

Each row that the algorithms change, but for those that a condition finds, comes through here: the room for
who ships the changes of a transaction to another place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import apsw

from ..ops import OpFailed

ROWS = 16
"""Rows of runs that one INSERT has, or tokens that one DELETE looks for, at most; more save nothing more."""


class Waiting(Protocol):
    """Rows that wait to be written; there are some where ``rows`` has any."""

    @property
    def rows(self) -> list[Any]:
        """What was collected."""

    def write(self) -> None:
        """Write what was collected, in its order."""


class Collected:
    """Values for one statement that changes or deletes rows; ``add`` collects them.

    ``refusal``: what it means if one of the rows changes nothing; without it that is nothing.
    """

    __slots__ = ("_executemany", "_refusal", "_statement", "_total", "add", "rows")

    def __init__(self, connection: apsw.Connection, statement: str, refusal: str = "") -> None:
        self._executemany = connection.cursor().executemany  # quicker than execute, and than a new cursor
        self._total = connection.total_changes
        self._statement = statement
        self._refusal = refusal
        self.rows: list[tuple[Any, ...]] = []
        self.add = self.rows.append

    def write(self) -> None:
        """Write what was collected, in its order.

        Raises:
            OpFailed: with the refusal.
        """
        rows = self.rows
        if not self._refusal:
            self._executemany(self._statement, rows)
        else:
            expected = self._total() + len(rows)
            self._executemany(self._statement, rows)
            if self._total() != expected:
                raise OpFailed(self._refusal)
        rows.clear()


class Inserted:
    """Values for an INSERT of several rows; ``add`` collects a row's, ``rows`` has them one after the other.

    ``statement`` inserts one row, and all of its parameters are the values of that. A run costs half as much
    as by a statement for each row; rows of long texts, as those of answers, cost more.
    """

    __slots__ = ("_after", "_before", "_execute", "_places", "_texts", "_width", "add", "rows")

    def __init__(self, connection: apsw.Connection, statement: str) -> None:
        self._execute = connection.cursor().execute
        self._width = statement.count("?")
        self._places = f"({', '.join('?' * self._width)})"
        self._before, _, self._after = statement.partition(self._places)
        self._texts: dict[int, str] = {}
        self.rows: list[Any] = []
        self.add = self.rows.extend

    def write(self) -> None:
        """Write what was collected, in its order."""
        rows, step = self.rows, ROWS * self._width
        for begin in range(0, len(rows), step):
            values = rows[begin : begin + step]
            self._execute(self._texts.get(len(values)) or self._text(len(values)), values)
        rows.clear()

    def _text(self, values: int) -> str:
        places = ", ".join([self._places] * (values // self._width))
        text = self._texts[values] = f"{self._before}{places}{self._after}"
        return text


def write(collected: Iterable[Waiting]) -> None:
    """Write whatever waits, one kind after the other."""
    for kind in collected:
        if kind.rows:
            kind.write()
