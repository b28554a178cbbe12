"""Of which trace pushed items are, in SQLite."""

from __future__ import annotations

import apsw

from ..work import Traced
from .collected import Collected, write

ADD = "INSERT INTO trace (queue, first, last, parent) VALUES (?, ?, ?, ?)"

# Ranges don't overlap, so of those that begin in or before the first of these items the last is the only one
# to ask.
FIND = """
SELECT first, last, parent FROM trace
WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM trace WHERE queue = ?1 AND first <= ?2), ?2)
ORDER BY first
"""
LAST = "SELECT last FROM trace WHERE queue = ? ORDER BY first DESC LIMIT 1"

# A range is deleted with the last item of it that is inside. Runs don't overlap, so the last one that begins
# in or before the range is the only one to ask.
FORGET = """
DELETE FROM trace
WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM trace WHERE queue = ?1 AND first <= ?2), ?2)
    AND ifnull((SELECT run.last FROM run WHERE run.queue = ?1 AND run.first <= trace.last
                ORDER BY run.first DESC LIMIT 1), 0) < trace.first
"""


class Traces:
    """The table of traces (see :class:`~..state.store.Traces`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._added = Collected(connection, ADD)
        self._gone = Collected(connection, FORGET)
        self.collected = (self._added,)
        self.vacated = self._gone.rows

    def add(self, queue: int, traced: Traced) -> None:
        """Add a row."""
        self._added.add((queue, *traced))

    def last(self, queue: int) -> int:
        """The last item that is in a row; 0: none is."""
        write(self.collected)
        found = self._execute(LAST, (queue,)).fetchone()
        return found[0] if found else 0

    def find(self, queue: int, first: int, last: int) -> list[Traced]:
        """The rows that have some of these items, in order."""
        write(self.collected)
        return [Traced(*found) for found in self._execute(FIND, (queue, first, last))]

    def gone(self, queue: int, first: int, last: int) -> None:
        """These items are gone; so are rows that no run overlaps any more, at the end of the transaction."""
        self._gone.add((queue, first, last))

    def sweep(self) -> None:
        """Delete the rows of items that are gone and of no other that is inside."""
        self._gone.write()
