"""What a transaction reads in PostgreSQL, and what it removes there by conditions.

All transactions before are committed when one reads: so it has to know itself only what it removes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from .arrays import array_of, decoded
from .by_key import found
from .pipeline import Statement
from .tables import TABLES

if TYPE_CHECKING:
    from ..state.rows import ItemKey, Name
    from .reader import Reader

Row = tuple[Any, ...]


def _found(name: str, *key: str) -> str:
    """The SELECT of whole rows of a table, which begin with these columns, by the values of those."""
    columns = ", ".join(TABLES[name].columns)
    return f"SELECT found.* FROM {found(name, key, columns)}"


EXPIRE: Final = ("answer", "item_key", "history")
"""The tables whose rows expire."""

ANSWERS: Final = _found("answer", "queue", "generation", "caller", "key")
ITEM_KEYS: Final = _found("item_key", "queue", "generation", "key")
# See by_key.py for the OFFSET.
FORGET: Final = """
DELETE FROM item_key WHERE ctid = ANY (ARRAY(
    SELECT found.ctid FROM unnest($2::int8[], $3::int8[]) AS span (first, last) CROSS JOIN LATERAL (
        SELECT ctid FROM item_key WHERE queue = $1::int8 AND seq BETWEEN span.first AND span.last OFFSET 0
    ) AS found))
"""
# The first of these are in the order of SQLite's own, so that no copy stays in memory of what is gone here.
# All begin at the first row that the look before has found: what is below that is gone, and while somebody
# holds an old snapshot each look would pass over all of it again.
LEFT: Final = """
SELECT count(*), min(seq) FROM (
    SELECT seq FROM item_key WHERE queue = %(queue)b::int8 AND seq >= %(first)b::int8
    ORDER BY seq LIMIT %(most)b::int8) AS few
"""
SWEEP: Final = """
DELETE FROM item_key WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM item_key WHERE queue = $1::int8 AND seq >= $2::int8 ORDER BY seq LIMIT $3::int8))
"""
EXPIRED: Final = " UNION ALL ".join(
    f"""
SELECT '{table}', count(*), min(expires) FROM (
    SELECT expires FROM {table}
    WHERE expires >= %({table})b::int8 AND expires <= %(now)b::int8 AND expires < 9223372036854775807
    ORDER BY expires LIMIT %(most)b::int8) AS few
"""
    for table in EXPIRE
)
PRUNE: Final = {
    table: f"""
DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table}
    WHERE expires >= $1::int8 AND expires <= $2::int8 AND expires < 9223372036854775807
    ORDER BY expires LIMIT $3::int8))
"""
    for table in EXPIRE
}


class LookUps:
    """See :class:`~..sqlite.elsewhere.LookUps`.

    ``removals`` go out with the transaction that asked for them. ``found``: how many keys of items were
    found, of which memory has copies. It remembers where what is to be removed began at the last look.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.found = 0
        self._forgotten: list[tuple[int, int, int]] = []
        self.removals: list[Statement] = []
        self.look_anew()

    def look_anew(self) -> None:
        """What was gone may be back: transactions may have been lost, and some of them written again."""
        self._unexpired = dict.fromkeys(EXPIRE, 0)
        self._unswept: dict[int, int] = {}

    def begin(self) -> None:
        """Another transaction begins."""
        self.removals.clear()
        self._forgotten.clear()

    def answers(self, names: Sequence[Name]) -> Iterable[Row]:
        """Whole rows of answers: those of these names that are on file."""
        return self._rows(ANSWERS, "answer", names)

    def item_keys(self, wanted: Collection[ItemKey]) -> Iterable[Row]:
        """Whole rows of the keys of items: those of these that there are."""
        for row in self._rows(ITEM_KEYS, "item_key", wanted):
            queue, _, _, seq, _ = row
            if not any(of == queue and first <= seq <= last for of, first, last in self._forgotten):
                self.found += 1
                yield row

    def _rows(self, text: str, name: str, wanted: Collection[Row]) -> list[Row]:
        """Whole rows of a table, by the columns that it begins with."""
        kinds = list(TABLES[name].columns.values())
        columns = zip(kinds, zip(*wanted, strict=True), strict=False)
        asked = Statement(text, [array_of(kind, values) for kind, values in columns])
        return [tuple(map(decoded, kinds, row)) for row in self._reader.raw(asked)]

    def forget_item_keys(self, queue: int, ranges: Sequence[tuple[int, int]]) -> None:
        """Remove the keys of these items with the transaction."""
        if ranges:
            firsts, lasts = zip(*ranges, strict=True)
            self._forgotten += [(queue, *span) for span in ranges]
            values = [_integer(queue), array_of("int", firsts), array_of("int", lasts)]
            self.removals.append(Statement(FORGET, values))

    def sweep_item_keys(self, queue: int, most: int) -> int:
        """Remove up to ``most`` keys of a deleted queue with the transaction; how many."""
        asked = {"queue": queue, "first": self._unswept.get(queue, 0), "most": most}
        [(left, first)] = self._reader.rows(LEFT, asked)
        if left:
            self._unswept[queue] = first
            self.removals.append(Statement(SWEEP, [*map(_integer, (queue, first, most))]))
        else:
            self._unswept.pop(queue, None)
        return int(left)

    def prune(self, now: int, most: int) -> int:
        """Remove what has expired with the transaction; of which kind most had, how many."""
        most_had = 0
        for table, expired, first in self._reader.rows(
            EXPIRED, {**self._unexpired, "now": now, "most": most}
        ):
            self._unexpired[table] = first if expired else now
            if expired:
                self.removals.append(Statement(PRUNE[table], [*map(_integer, (first, now, most))]))
            most_had = max(most_had, expired)
        return most_had


def _integer(number: int) -> bytes:
    return number.to_bytes(8, "big", signed=True)
