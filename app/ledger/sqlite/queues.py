"""Rows of queues in SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import apsw

from ..state.store import QueueMove, QueueWords
from .collected import Collected
from .runs import SPENT

COLUMNS = (
    "id, name, generation, source, args, created_at, deleted_at, paused, ending,"
    " failure_type, failure_message, mark, cursor, taken, jumped, acked, purged, configured, settings, dead"
)

BY_NAME = f"SELECT {COLUMNS} FROM queue WHERE name = ?"
BY_ID = f"SELECT {COLUMNS} FROM queue WHERE id = ?"
ALL = f"SELECT {COLUMNS} FROM queue ORDER BY name"

_WORDS = ", ".join(QueueWords._fields)
CREATE = f"""
INSERT INTO queue (name, {_WORDS}) VALUES (?{", ?" * len(QueueWords._fields)}) RETURNING {COLUMNS}
"""
CHANGE = f"UPDATE queue SET {', '.join(f'{name} = ?' for name in QueueWords._fields)} WHERE id = ?"

# The cursor moves only from where the transaction found it, and each counter by what its own ops did. Row
# count 0 is a broken order and fails the transaction.
MOVE = """
UPDATE queue SET cursor = ?, taken = taken + ?, jumped = jumped + ?, acked = acked + ?, purged = purged + ?,
    dead = dead + ?, mark = ?
WHERE id = ? AND cursor = ?
"""

# What waits is what is inside, but for what is dead, or leased: so only those are summed.
GLANCE = f"""
SELECT cursor - taken - acked - purged - jumped, leased, dead + spent
FROM queue, (
    SELECT ifnull(sum(last - first + 1) FILTER (WHERE due > :now), 0) AS leased,
        ifnull(sum(last - first + 1) FILTER (WHERE {SPENT}), 0) AS spent
    FROM run INDEXED BY run_lease WHERE queue = :queue AND token IS NOT NULL)
WHERE id = :queue AND deleted_at IS NULL
"""
COUNTS = f"""
SELECT cursor, taken, acked, purged, jumped, waiting, delayed, leased, inside.dead, oldest, overlaps
FROM queue, (
    SELECT ifnull(sum(size) FILTER (WHERE state = 0), 0) AS waiting,
        ifnull(sum(size) FILTER (WHERE state = 0 AND due > :now), 0) AS delayed,
        ifnull(sum(size) FILTER (WHERE state = 1), 0) AS leased,
        ifnull(sum(size) FILTER (WHERE state = 2), 0) AS dead,
        min(due) FILTER (WHERE state = 0 AND due <= :now) AS oldest,
        ifnull(sum(first <= reach), 0) AS overlaps
    FROM (SELECT CASE WHEN {SPENT} THEN 2 WHEN state = 1 AND due <= :now THEN 0 ELSE state END AS state,
            due, first, last - first + 1 AS size, max(last) OVER
            (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS reach
          FROM run WHERE queue = (SELECT id FROM queue WHERE id = :queue AND deleted_at IS NULL))) AS inside
WHERE id = :queue
"""


class Queues:
    """The table of queues (see :class:`~..state.store.Queues`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._moved = Collected(
            connection, MOVE, "the cursor of a queue is not where this transaction found it"
        )
        self._changed = Collected(connection, CHANGE)
        self.collected = self._changed, self._moved

    def by_id(self, queue: int) -> Sequence[Any] | None:
        """The row of a queue, a deleted one's too."""
        return cast("Sequence[Any] | None", self._execute(BY_ID, (queue,)).fetchone())

    def by_name(self, name: str) -> Sequence[Any] | None:
        """The row of the queue of this name, a deleted one's too."""
        return cast("Sequence[Any] | None", self._execute(BY_NAME, (name,)).fetchone())

    def create(self, name: str, words: QueueWords) -> Sequence[Any]:
        """A new row, with all counters at 0."""
        return cast("Sequence[Any]", self._execute(CREATE, (name, *words)).fetchone())

    def move(self, move: QueueMove) -> None:
        """Move counters."""
        self._moved.add(move)

    def change(self, queue: int, words: QueueWords) -> None:
        """Write what a row says."""
        self._changed.add((*words, queue))
