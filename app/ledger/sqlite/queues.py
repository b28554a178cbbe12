"""Rows of queues in SQLite."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import apsw

from ..ops import QueueRow
from ..work import DEFAULT_SETTINGS, QueueSettings
from .collected import Collected
from .runs import SPENT

COLUMNS = (
    "id, name, generation, source, args, created_at, deleted_at, paused, ending, failure_type,"
    " failure_message, mark, cursor, taken, jumped, acked, purged, configured, settings, edition, dead"
)

BY_NAME = f"SELECT {COLUMNS} FROM queue WHERE name = ?"
BY_ID = f"SELECT {COLUMNS} FROM queue WHERE id = ?"
ALL = f"SELECT {COLUMNS} FROM queue ORDER BY name"

_WORDS = (
    "generation, source, args, created_at, deleted_at, paused, ending, failure_type, failure_message, mark,"
    " configured, settings, edition"
)
CREATE = f"INSERT INTO queue ({_WORDS}, name) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"
CHANGE = f"UPDATE queue SET ({_WORDS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"

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


@lru_cache(maxsize=256)
def _settings_of(text: str) -> QueueSettings:
    return QueueSettings(**json.loads(text))


def _text_of(settings: QueueSettings) -> str:
    """The settings that differ from the defaults, so that a later default reaches the other queues."""
    default = asdict(DEFAULT_SETTINGS)
    return json.dumps({name: value for name, value in asdict(settings).items() if value != default[name]})


def read(found: Any) -> tuple[QueueRow, int]:
    """A row, and how many of its items are dead."""
    *columns, settings, edition, dead = found
    row = QueueRow(*columns)
    return replace(row, paused=bool(row.paused), settings=_settings_of(settings), edition=edition), dead


def _words(row: QueueRow) -> tuple[Any, ...]:
    told = row.ending, row.failure_type, row.failure_message, row.mark, row.configured, _text_of(row.settings)
    state = row.generation, row.source, row.args, row.created_at, row.deleted_at, row.paused
    return *state, *told, row.edition


class Queues:
    """The table of queues (see :class:`~..state.store.Queues`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        refusal = "the cursor of a queue is not where this transaction found it"
        self._moved = Collected(connection, MOVE, refusal)
        self._changed = Collected(connection, CHANGE)
        self.collected = self._changed, self._moved
        self.move = self._moved.add

    def by_id(self, queue: int) -> tuple[QueueRow, int] | None:
        """The row of a queue, a deleted one's too."""
        found = self._execute(BY_ID, (queue,)).fetchone()
        return read(found) if found else None

    def by_name(self, name: str) -> tuple[QueueRow, int] | None:
        """The row of the queue of this name, a deleted one's too."""
        found = self._execute(BY_NAME, (name,)).fetchone()
        return read(found) if found else None

    def create(self, row: QueueRow) -> int:
        """A new row with all counters at 0; its id."""
        created: int = self._execute(CREATE, (*_words(row), row.name)).get
        return created

    def change(self, row: QueueRow) -> None:
        """Write what a row says, but for its cursor and counters."""
        self._changed.add((*_words(row), row.id))
