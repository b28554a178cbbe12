"""Rows that wait to be written: all that one statement writes goes out together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from ..ops import OpFailed


class Collected:
    """Values for one statement that writes; ``add`` collects them.

    Each row that the algorithms change, but for those that a condition finds, comes through here: the room
    for who ships the changes of a transaction to another place. ``refusal``: what it means if one of the
    rows changes nothing; without it that is nothing.
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


def write(collected: Iterable[Collected]) -> None:
    """Write whatever waits, one kind after the other."""
    for kind in collected:
        if kind.rows:
            kind.write()
