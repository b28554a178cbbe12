"""An owner's memory is filled: the tables that it needs, out of one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from .arrays import TYPES, decoder
from .fence import Mark
from .tables import TABLES, Table

if TYPE_CHECKING:
    import psycopg


_LAST: Final = "SELECT n, term, clock FROM position ORDER BY n DESC LIMIT 1"


class Fills(Protocol):
    """A connection to the memory; it is apsw's."""

    def execute(self, statements: str) -> Any:
        """Run a statement."""

    def executemany(self, statements: str, sequenceofbindings: Any) -> Any:
        """Run a statement for each of the rows."""


def load(
    reader: psycopg.Connection[Any],
    memory: Fills,
    paced: Callable[[Iterable[Any]], Iterator[Any]] = iter,
) -> Mark:
    """Copy all tables that are loaded, as of one moment; the caller's transaction in memory has them then.

    Returns:
        The last transaction that is there.
    """
    with reader.transaction():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        [mark] = reader.execute(_LAST)
        for table in TABLES.values():
            if table.loaded:
                memory.executemany(insert_of(table), paced(rows(reader, table)))
    return Mark(*mark)


def insert_of(table: Table) -> str:
    """The statement that puts a row into memory."""
    columns, places = ", ".join(table.columns), ", ".join("?" * len(table.columns))
    return f"INSERT INTO {table.name} ({columns}) VALUES ({places})"


def empty(memory: Fills) -> None:
    """Remove all rows, before others are loaded in the same transaction."""
    for name in reversed(TABLES):
        memory.execute(f"DELETE FROM {name}")


def rows(reader: psycopg.Connection[Any], table: Table) -> Iterator[list[Any]]:
    """All rows of a table, as SQLite takes them."""
    columns = ", ".join(f"{column}::{TYPES[kind]}" for column, kind in table.columns.items())
    decoders: list[tuple[int, Callable[[Any], Any]]] = []
    for at, kind in enumerate(table.columns.values()):
        if (decode := decoder(kind)) is not None:
            decoders.append((at, decode))
    with reader.cursor() as cursor:
        copied = f"COPY (SELECT {columns} FROM {table.name}) TO STDOUT (FORMAT binary)"
        with cursor.copy(copied) as copy:
            copy.set_types([TYPES[kind] for kind in table.columns.values()])
            for row in copy.rows():
                values = list(row)
                for at, decode in decoders:
                    values[at] = decode(values[at])
                yield values
