"""Rows that wait to be written: all that one statement writes goes out together."""

from __future__ import annotations

from typing import Any

import apsw


class Collected:
    """Values for one statement that writes; ``add`` collects them.

    Each row that the algorithms change, but for those that a condition finds, comes through here: the room
    for who ships the changes of a transaction to another place.
    """

    __slots__ = ("_execute", "_executemany", "_rows", "_statement", "_total", "add")

    def __init__(self, connection: apsw.Connection, statement: str) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._total = connection.total_changes
        self._statement = statement
        self._rows: list[tuple[Any, ...]] = []
        self.add = self._rows.append

    def __bool__(self) -> bool:
        return bool(self._rows)

    def write(self) -> None:
        """Write what was collected, in its order."""
        rows = self._rows
        if not rows:
            return
        if len(rows) == 1:
            self._execute(self._statement, rows[0])
        else:
            self._executemany(self._statement, rows)
        rows.clear()

    def write_each(self) -> bool:
        """Write what was collected; whether each of it has changed a row."""
        expected = self._total() + len(self._rows)
        self.write()
        return self._total() == expected
