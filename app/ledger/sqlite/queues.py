"""Rows of queues in SQLite."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

import apsw

from ..ops import QueueRow
from ..work import DEFAULT_SETTINGS, QueueSettings
from .collected import Collected, write
from .runs import SPENT

_ROWS = """
SELECT id, name, generation, source, args, created_at, deleted_at, paused, ending, failure_type,
    failure_message, mark, cursor, taken, jumped, acked, purged, configured, settings, root, edition, base,
    paused_at, ended_at, failure_place, dead
FROM queue CROSS JOIN counter ON counter.queue = queue.id
"""
BY_NAME = f"{_ROWS} WHERE name = ? ORDER BY id DESC LIMIT 1"
BY_ID = f"{_ROWS} WHERE id = ?"
ALL = f"""{_ROWS} WHERE NOT EXISTS (
    SELECT 1 FROM queue AS newer WHERE newer.name = queue.name AND newer.id > queue.id) ORDER BY name
"""

_WORDS = (
    "generation, edition, source, args, created_at, deleted_at, paused, ending, failure_type,"
    " failure_message, configured, settings, paused_at, ended_at, failure_place"
)
# The first row of a name is its own root: the next id is the largest and one.
CREATE = f"""
INSERT INTO queue ({_WORDS}, name, root)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ifnull(nullif(?, 0), ifnull(max(id), 0) + 1) FROM queue
RETURNING id
"""
COUNT = "INSERT INTO counter (queue, base, cursor, mark) VALUES (?1, ?2, ?2, ?3)"
REMOVE = ("DELETE FROM counter WHERE queue = ?", "DELETE FROM queue WHERE id = ?")
CHANGE = f"UPDATE queue SET ({_WORDS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"

# The cursor moves only from where the transaction found it, and each counter by what its own ops did. Row
# count 0 is a broken order and fails the transaction.
MOVE = """
UPDATE counter SET cursor = ?, taken = taken + ?, jumped = jumped + ?, acked = acked + ?, purged = purged + ?,
    dead = dead + ?, mark = ?, number = ?
WHERE queue = ? AND cursor = ?
"""

# What waits is what is inside, but for what is dead, or leased: so only those are summed.
GLANCE = f"""
SELECT cursor - base - taken - acked - purged - jumped, leased, dead + spent
FROM queue CROSS JOIN counter ON counter.queue = queue.id, (
    SELECT ifnull(sum(last - first + 1) FILTER (WHERE due > :now), 0) AS leased,
        ifnull(sum(last - first + 1) FILTER (WHERE {SPENT}), 0) AS spent
    FROM run INDEXED BY run_lease WHERE queue = :queue AND token IS NOT NULL)
WHERE id = :queue AND deleted_at IS NULL
"""
COUNTS = f"""
SELECT cursor, taken, acked, purged, jumped, waiting, delayed, leased, inside.dead, oldest, overlaps, base
FROM counter, (
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
WHERE counter.queue = :queue
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
    *columns, dead = found
    row = QueueRow(*columns)
    settings: Any = row.settings
    return replace(row, paused=bool(row.paused), settings=_settings_of(settings)), dead


def _words(row: QueueRow) -> tuple[Any, ...]:
    begun = row.generation, row.edition, row.source, row.args, row.created_at, row.deleted_at, row.paused
    ended = row.ending, row.failure_type, row.failure_message, row.configured, _text_of(row.settings)
    return *begun, *ended, row.paused_at, row.ended_at, row.failure_place


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
        """The newest row of this name, a deleted one's too."""
        found = self._execute(BY_NAME, (name,)).fetchone()
        return read(found) if found else None

    def create(self, row: QueueRow) -> int:
        """A new row with its cursor at its base and all counters at 0; its id."""
        write(self.collected)  # in whose place it comes is deleted
        created: int = self._execute(CREATE, (*_words(row), row.name, row.root)).get
        self._execute(COUNT, (created, row.base, row.mark))
        return created

    def remove(self, queue: int) -> None:
        """Remove a row."""
        write(self.collected)
        for statement in REMOVE:
            self._execute(statement, (queue,))

    def change(self, row: QueueRow) -> None:
        """Write what a row says, but for its cursor and counters."""
        self._changed.add((*_words(row), row.id))
