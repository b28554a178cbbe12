"""Looks at what only PostgreSQL has: keys of items, the history, and its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...errors import LedgerUnavailable
from ..looks import HistoryRow
from ..ops import EngineFailed
from .reader import Reader

# Keys are compared by their bytes, as in SQLite; a prefix ends before the first key that is larger.
_KEYS: Final = """
SELECT key, seq FROM item_key
WHERE queue = %(queue)b::int8 AND generation = %(generation)b::int8 AND key >= %(prefix)b::bytea
    AND key > %(after)b::bytea AND key < %(beyond)b::bytea AND expires > %(now)b::int8
ORDER BY key LIMIT %(most)b::int8
"""
_KEY_OF_ITEM: Final = """
SELECT key FROM item_key
WHERE queue = %(queue)b::int8 AND seq = %(seq)b::int8 AND generation = %(generation)b::int8
    AND expires > %(now)b::int8
"""
_UNSWEPT: Final = """
SELECT id FROM queue
WHERE deleted_at IS NOT NULL AND EXISTS (SELECT 1 FROM item_key WHERE item_key.queue = id)
"""
_HISTORY: Final = """
SELECT id, generation, first, last, verb, at, caller, key, worker FROM history
WHERE name = %(name)b::text AND id > %(after)b::int8 AND expires > %(now)b::int8
ORDER BY id LIMIT %(most)b::int8
"""
_HISTORY_BEFORE: Final = """
SELECT id, generation, first, last, verb, at, caller, key, worker FROM history
WHERE name = %(name)b::text AND id > %(after)b::int8 AND id < %(before)b::int8 AND expires > %(now)b::int8
ORDER BY id DESC LIMIT %(most)b::int8
"""
# An item is taken or acked once in a generation: the last range that begins at or before it is the only one
# to ask.
_HISTORY_OF_ITEM: Final = """
SELECT h.id, h.generation, h.first, h.last, h.verb, h.at, h.caller, h.key, h.worker
FROM generate_series(1, %(generations)b::int8) AS age (generation) CROSS JOIN LATERAL (
    SELECT * FROM history
    WHERE name = %(name)b::text AND generation = age.generation AND first <= %(seq)b::int8
    ORDER BY first DESC LIMIT 1) AS h
WHERE h.last >= %(seq)b::int8 AND h.id > %(after)b::int8 AND h.expires > %(now)b::int8
ORDER BY h.id LIMIT %(most)b::int8
"""
_HISTORY_OF_ITEM_BEFORE: Final = _HISTORY_OF_ITEM.replace(
    "> %(after)b::int8", "> %(after)b::int8 AND h.id < %(before)b::int8"
).replace("ORDER BY h.id", "ORDER BY h.id DESC")
_SIZE: Final = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::int8 FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
"""


class Looks:
    """See :class:`~..engine.Engine`; ``now`` is ledger time."""

    def __init__(self, reader: Reader, now: Callable[[], int]) -> None:
        self._reader = reader
        self._now = now

    def _rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._reader.rows(statement, values)
        except EngineFailed as error:
            raise LedgerUnavailable(str(error)) from error

    def item_keys(
        self, queue: int, generation: int, prefix: str, *, after: str, most: int
    ) -> list[tuple[str, int]]:
        """The keys of items that are known, with their seqs: those that begin so and come after ``after``."""
        begin = prefix.encode()
        asked = {"prefix": begin, "beyond": begin + b"\xff", "after": after.encode(), "most": most}
        found = self._rows(_KEYS, queue=queue, generation=generation, now=self._now(), **asked)
        return [(key.decode(), seq) for key, seq in found]

    def item_key(self, queue: int, generation: int, seq: int) -> str | None:
        """The key with which an item was pushed."""
        found = self._rows(_KEY_OF_ITEM, queue=queue, generation=generation, seq=seq, now=self._now())
        return found[0][0].decode() if found else None

    def unswept(self) -> list[int]:
        """The deleted queues that have left keys of items."""
        return [queue for (queue,) in self._rows(_UNSWEPT)]

    def history(
        self, name: str, generations: int, seq: int | None, after: int, most: int, *, before: int | None
    ) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name, from oldest to newest, or back."""
        asked: dict[str, Any] = {"name": name, "after": after, "most": most, "now": self._now()}
        if before is not None:
            asked["before"] = before
        if seq is not None:
            statement = _HISTORY_OF_ITEM if before is None else _HISTORY_OF_ITEM_BEFORE
            found = self._rows(statement, seq=seq, generations=generations, **asked)
        elif before is not None:
            found = self._rows(_HISTORY_BEFORE, **asked)
        else:
            found = self._rows(_HISTORY, **asked)
        return [
            HistoryRow(
                id_,
                generation,
                first,
                last,
                verb,
                at,
                caller.decode(),
                None if key is None else key.decode(),
                worker.decode(),
            )
            for id_, generation, first, last, verb, at, caller, key, worker in found
        ]

    def size(self) -> int:
        """Bytes that the ledger's tables and their indexes occupy."""
        [(size,)] = self._rows(_SIZE)
        return int(size)
