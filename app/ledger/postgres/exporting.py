"""A ledger in PostgreSQL becomes a file of SQLite: as of one moment, while its owner goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ...errors import LedgerDamaged, LedgerUnavailable
from ..ops import EngineFailed
from ..sqlite.built import Writer, build
from ..sqlite.copied import becoming, give_mark
from .copying import Layout, Sum, copy_out, layouts, sum_of, sum_there

if TYPE_CHECKING:
    import psycopg

    from .ledger import Ledger

_MOMENT = """
SELECT instance::text, clock, n FROM ledger, (SELECT n, clock FROM position ORDER BY n DESC LIMIT 1) AS newest
"""


class Moment(NamedTuple):
    """Which ledger it was, its time and its position, and what the tables had."""

    instance: str
    clock: int
    position: int
    sums: dict[str, Sum]


def export(
    session: psycopg.Connection[Any],
    to: Path,
    mark: Callable[[Writer, int], None],
    rows: Callable[[str, int], None] = lambda table, count: None,
) -> Moment:
    """Write the whole ledger into a file that is not there, and compare what is in it with what is here.

    ``mark`` gives it a mark, by which it is no ledger in use, as of a position; ``rows`` is told of each
    table how many rows were copied so far. The file is synced when this returns.

    Raises:
        LedgerDamaged: the file is not equal.
        psycopg.Error, apsw.Error: it can't be read, or written.
    """
    with session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        [(instance, clock, position)] = session.execute(_MOMENT).fetchall()
        tables = layouts(session)
        expected = {layout.table.name: sum_there(session, layout) for layout in tables}
        found: dict[str, Sum] = {}

        def fill(writer: Writer) -> None:
            for layout in tables:
                found[layout.table.name] = _copied(session, layout, writer, rows)

        build(to, (instance, clock, position), fill, lambda writer: mark(writer, position))
    for name, there in expected.items():
        if found[name] != there:
            raise LedgerDamaged(f"the table {name} in {to} is not what was read: {found[name].rows:,} rows")
    return Moment(instance, clock, position, expected)


def _copied(
    session: psycopg.Connection[Any],
    layout: Layout,
    writer: Writer,
    rows: Callable[[str, int], None],
) -> Sum:
    """Copy a table; the sum of what is there then."""
    table = layout.table
    columns = ", ".join(table.columns)
    places = ", ".join("?" * len(table.columns))
    source = copy_out(session, layout, lambda count: rows(table.name, count))
    writer.executemany(f"INSERT INTO {table.name} ({columns}) VALUES ({places})", source)
    return sum_of(layout, writer.execute(f"SELECT {columns} FROM {table.name}"))


def back_up(ledger: Ledger, to: str) -> int:
    """Write a checked copy of the ledger as of one moment, with the mark of a copy; its size in bytes.

    Raises:
        LedgerError: it can't be read, or the copy can't be written, or is not what was read.
    """
    import psycopg

    name, at = Path(to).name, time.time_ns() // 1_000_000
    try:
        with ledger.connect() as session, becoming(to, check=True) as file:
            export(session, file, lambda writer, _: give_mark(writer, name, at))
    except (EngineFailed, psycopg.Error) as error:
        raise LedgerUnavailable(f"the backup failed: {error}") from error
    return Path(to).stat().st_size
