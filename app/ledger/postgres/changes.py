"""The statements by which the changes of a transaction go to PostgreSQL.

For each table that was touched one DELETE, by exact keys, and one INSERT: their number depends on the tables,
not on the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from ..sqlite.recording import Changed
from .arrays import array_of, columns_of
from .by_key import found
from .pipeline import Statement
from .tables import TABLES, Kind


class Packed(NamedTuple):
    """What a transaction did to a table, as it goes out: an array for each column; ``less`` rows are gone."""

    table: str
    less: int
    gone: Sequence[bytes]
    rows: Sequence[bytes]


def packed(changes: Iterable[Changed]) -> Iterator[Packed]:
    """The changes with their columns as arrays (see ``arrays.py``)."""
    for name, gone, rows in changes:
        table = TABLES[name]
        keys = [table.columns[column] for column in table.key]
        yield Packed(name, len(gone), _arrays_of(keys, gone), _arrays_of(table.columns.values(), rows))


def _arrays_of(kinds: Iterable[Kind], rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
    if not rows:
        return []
    return [array_of(kind, values) for kind, values in zip(kinds, zip(*rows, strict=True), strict=True)]


def statements_of(changes: Iterable[Packed]) -> Iterator[Statement]:
    """The statements for some changes; what is gone of a table goes first, as a new row may have its key."""
    for name, less, gone, rows in changes:
        if gone:
            expected = [less.to_bytes(8, "big")] if TABLES[name].exact else []
            yield Statement(deletion(name), [*gone, *expected])
        if rows:
            yield Statement(insertion(name), rows)


@cache
def deletion(name: str) -> str:
    """The DELETE of the rows of a table that are gone."""
    table = TABLES[name]
    rows = found(name, table.key, "row.ctid")
    delete = f"DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT found.ctid FROM {rows}))"
    if not table.exact:
        return delete
    # A row that is not there means that memory and database differ: the division by 0 undoes the transaction.
    expected = f"${len(table.key) + 1}::int8"
    return f"WITH done AS ({delete} RETURNING 1) SELECT 1 / (count(*) = {expected})::int4 FROM done"


@cache
def insertion(name: str) -> str:
    """The INSERT of the rows of a table that are new."""
    columns = TABLES[name].columns
    return f"INSERT INTO {name} ({', '.join(columns)}) SELECT {columns_of(columns.items())}"
