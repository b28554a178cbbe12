"""Failures, keys of items and the history in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import apsw

from ..state.rows import Failed, ItemKey
from ..work import FAILURES_KEPT
from .collected import Collected, write
from .runs import LAPSED

ADD_FAILURE = (
    "INSERT INTO failure (queue, seq, attempt, at, worker, error, began) VALUES (?, ?, ?, ?, ?, ?, ?)"
)

# Of each item the last ten stay.
TRIM_FAILURES = f"""
DELETE FROM failure WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY seq ORDER BY id DESC) AS age
        FROM failure WHERE queue = ? AND seq BETWEEN ? AND ?)
    WHERE age > {FAILURES_KEPT})
"""
FORGET_FAILURES = "DELETE FROM failure WHERE queue = ? AND seq BETWEEN ? AND ?"

# An attempt whose lease has expired has failed, whether a claim has found that or not.
FAILURES = f"""
SELECT attempt, at, worker, error, began FROM (
    SELECT attempt, at, worker, error, began, id FROM failure WHERE queue = :queue AND seq = :seq
        AND EXISTS (SELECT 1 FROM queue WHERE queue.id = :queue AND deleted_at IS NULL)
    UNION ALL SELECT attempt, due, worker, :expired, began, 9223372036854775807 FROM run
    WHERE queue = :queue AND first <= :seq AND last >= :seq AND {LAPSED}
    ORDER BY id DESC LIMIT {FAILURES_KEPT})
ORDER BY id
"""

KNOWN_KEY = "SELECT key, seq FROM item_key WHERE key = ? AND queue = ? AND generation = ? AND expires > ?"
HAS_KEY = "SELECT queue, generation, key FROM item_key WHERE queue = ? AND generation = ? AND key = ?"
KNOWN_KEYS = """
SELECT key, seq FROM item_key INDEXED BY item_key_key
WHERE key >= :prefix AND key > :after AND key < :beyond AND queue = :queue AND generation = :generation
    AND expires > :now
ORDER BY key LIMIT :most
"""
KEY_OF_ITEM = "SELECT key FROM item_key WHERE queue = ? AND seq = ? AND generation = ? AND expires > ?"
LEARN_KEY = "INSERT OR REPLACE INTO item_key (queue, generation, key, seq, expires) VALUES (?, ?, ?, ?, ?)"
PRUNE_KEYS = """
DELETE FROM item_key WHERE id IN (SELECT id FROM item_key INDEXED BY item_key_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""
# An item that was purged can be pushed again under its key.
FORGET_KEYS = "DELETE FROM item_key INDEXED BY item_key_item WHERE queue = ? AND seq BETWEEN ? AND ?"
HAS_KEYS = "SELECT EXISTS (SELECT 1 FROM item_key WHERE queue = ?)"

RECORD = """
INSERT INTO history (name, generation, first, last, verb, at, caller, key, worker, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PRUNE_HISTORY = """
DELETE FROM history WHERE id IN (SELECT id FROM history INDEXED BY history_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""
HISTORY = """
SELECT id, generation, first, last, verb, at, caller, key, worker FROM history INDEXED BY history_name
WHERE name = :name AND id > :after AND expires > :now ORDER BY id LIMIT :most
"""
HISTORY_BEFORE = """
SELECT id, generation, first, last, verb, at, caller, key, worker FROM history INDEXED BY history_name
WHERE name = :name AND id > :after AND id < :before AND expires > :now ORDER BY id DESC LIMIT :most
"""

# An item is taken or acked once in a generation: the last range that begins at or before it is the only one
# to ask.
HISTORY_OF_ITEM = """
WITH RECURSIVE age (generation) AS (
    SELECT max(generation) FROM queue WHERE name = :name
    UNION ALL SELECT generation - 1 FROM age WHERE generation > 1)
SELECT h.id, h.generation, h.first, h.last, h.verb, h.at, h.caller, h.key, h.worker
FROM age CROSS JOIN history AS h ON h.id = (
    SELECT id FROM history INDEXED BY history_item
    WHERE name = :name AND history.generation = age.generation AND first <= :seq
    ORDER BY first DESC LIMIT 1)
WHERE h.last >= :seq AND h.id > :after AND h.expires > :now ORDER BY h.id LIMIT :most
"""
HISTORY_OF_ITEM_BEFORE = HISTORY_OF_ITEM.replace("> :after", "> :after AND h.id < :before").replace(
    "ORDER BY h.id", "ORDER BY h.id DESC"
)


class Failures:
    """The table of failures (see :class:`~..state.store.Failures`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._added = Collected(connection, ADD_FAILURE)
        self._trimmed = Collected(connection, TRIM_FAILURES)
        self._forgotten = Collected(connection, FORGET_FAILURES)
        # In this order: an item that has failed may be done later in a transaction.
        self.collected = self._added, self._trimmed, self._forgotten

    def add(self, queue: int, failed: Failed) -> None:
        """Add a row for each of the items."""
        first, last, *attempt = failed
        for seq in range(first, last + 1):
            self._added.add((queue, seq, *attempt))

    def trim(self, queue: int, first: int, last: int) -> None:
        """Of each of these items only the last ones stay."""
        self._trimmed.add((queue, first, last))

    def forget(self, queue: int, first: int, last: int) -> None:
        """Remove those of these items."""
        self._forgotten.add((queue, first, last))


class ItemKeys:
    """The table of the keys of items (see :class:`~..state.store.ItemKeys`)."""

    far = False

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._learned = Collected(connection, LEARN_KEY)
        self._new: dict[tuple[int, int, str], int] = {}  # of what is collected
        self.collected = (self._learned,)

    def expected(self, wanted: Collection[ItemKey]) -> None:
        """Nothing: all are here."""

    def has(self, wanted: Iterable[ItemKey]) -> set[ItemKey]:
        """Those of the keys that are here, expired ones too."""
        return {ItemKey(*row) for row in self._executemany(HAS_KEY, wanted)}

    def known(self, queue: int, generation: int, keys: Sequence[str], now: int) -> dict[str, int]:
        """Those of the keys that are known, those that were collected too, with the seqs of their items."""
        if len(keys) == 1:
            rows = self._execute(KNOWN_KEY, (keys[0], queue, generation, now))
        else:
            rows = self._executemany(KNOWN_KEY, [(key, queue, generation, now) for key in keys])
        known: dict[str, int] = dict(rows)
        if self._learned.rows:
            new = self._new
            known |= {key: new[place] for key in keys if (place := (queue, generation, key)) in new}
        return known

    def learn(self, queue: int, generation: int, keys: Iterable[tuple[str, int]], expires: int) -> None:
        """Keep keys with their seqs."""
        if not self._learned.rows:
            self._new.clear()
        for key, seq in keys:
            self._new[queue, generation, key] = seq
            self._learned.add((queue, generation, key, seq, expires))

    def forget(self, queue: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove those of these items."""
        write(self.collected)
        if self._execute(HAS_KEYS, (queue,)).get:
            self._executemany(FORGET_KEYS, [(queue, *span) for span in ranges])


class History:
    """The table of the history (see :class:`~..state.store.History`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        added = Collected(connection, RECORD)
        self.collected = (added,)
        self.add = added.add
