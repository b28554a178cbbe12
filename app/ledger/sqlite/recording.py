"""What a transaction changes, row by row, in the terms of a store elsewhere, as SQLite tells of each change.

Changes to one row are netted: one that came and went is no change. SQLite's session extension records the
same, but reads all of it back from the tables in the end: for one row that costs as much as its transaction.
See https://sqlite.org/c3ref/preupdate_blobwrite.html.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, NamedTuple

import apsw

from ..ops import OpFailed

Row = tuple[Any, ...]


class Changed(NamedTuple):
    """What a transaction did to a table: the keys of rows that are gone, and whole rows that are new.

    A row that was changed is both.
    """

    table: str
    gone: list[Row]
    rows: list[Row]


class Touched(NamedTuple):
    """The rows of a table that a transaction touched, by their primary keys: before it, and now.

    None: it was not there, or is not.
    """

    table: str
    before: dict[Row, Row | None]
    after: dict[Row, Row | None]


class _Table:
    """A table: its ``primary`` key, its ``wanted`` columns and its ``key`` elsewhere, out of a whole row.

    ``touched``: the rows of this transaction.
    """

    def __init__(self, writer: apsw.Connection, name: str, wanted: Sequence[str], key: Sequence[str]) -> None:
        found = writer.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
        columns = [column for column, _ in found]
        self.primary = _taker([at for at, (_, pk) in enumerate(found) if pk])
        self.wanted = _taker([columns.index(column) for column in wanted])
        self.key = _taker([columns.index(column) for column in key])
        where = " AND ".join(f"{column} = ?" for column, pk in found if pk)
        self.find = f"SELECT * FROM {name} WHERE {where}"
        self.remove = f"DELETE FROM {name} WHERE {where}"
        self.insert = f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns))})"
        self._name = name
        self.begin()

    def begin(self) -> None:
        """Nothing was touched yet."""
        self.touched = Touched(self._name, {}, {})

    def changed(self) -> Changed:
        """What has changed, in the end."""
        _, before, after = self.touched
        gone, rows = [], []
        for primary, new in after.items():
            old = before[primary]
            if old == new:
                continue
            if old is not None:
                gone.append(self.key(old))
            if new is not None:
                rows.append(self.wanted(new))
        return Changed(self._name, gone, rows)


def _taker(places: Sequence[int]) -> Callable[[Row], Row]:
    """What takes the values at these places out of a row, always as a tuple."""
    if len(places) == 1:
        return lambda row: (row[places[0]],)
    return itemgetter(*places)


class Recording:
    """Records what a connection changes in some tables, for one transaction after the other.

    ``tables``: of each its columns that count, and those by which its rows are found elsewhere.
    """

    def __init__(
        self, writer: apsw.Connection, tables: Mapping[str, tuple[Sequence[str], Sequence[str]]]
    ) -> None:
        self._writer = writer
        self._tables = {name: _Table(writer, name, *described) for name, described in tables.items()}
        self._on = False

    def begin(self) -> None:
        """Record from here on, in the place of what was recorded before."""
        for table in self._tables.values():
            if table.touched.after:
                table.begin()
        self._listen(on=True)

    def end(self) -> None:
        """Record no more, and forget what was recorded."""
        self._listen(on=False)
        for table in self._tables.values():
            table.begin()

    def _listen(self, *, on: bool) -> None:
        if on != self._on:
            self._on = on
            self._writer.preupdate_hook(self._note if on else None)

    def _note(self, change: apsw.PreUpdate) -> None:
        """A row is about to change."""
        table = self._tables.get(change.table_name)
        if table is None:
            return
        _, before, after = table.touched
        old, new = change.old, change.new
        if old is not None:
            primary = table.primary(old)
            if primary not in after:
                before[primary] = old
            after[primary] = None
        if new is not None:
            primary = table.primary(new)
            if primary not in after:
                before[primary] = None
            after[primary] = new

    @contextmanager
    def paused(self) -> Iterator[apsw.Connection]:
        """Within this what the connection writes is not recorded."""
        on = self._on
        self._listen(on=False)
        try:
            yield self._writer
        finally:
            self._listen(on=on)

    @property
    def empty(self) -> bool:
        """Whether no row was touched."""
        return not any(table.touched.after for table in self._tables.values())

    def touched(self) -> list[Touched]:
        """What was touched since the beginning, to be done again where it was undone here."""
        return [table.touched for table in self._tables.values() if table.touched.after]

    def redo(self, touched: Sequence[Touched], tables: Collection[str]) -> None:
        """Do again what was undone, in some of the tables, in the caller's transaction.

        Raises:
            OpFailed: the rows are not as they were.
        """
        self.end()
        for name, before, after in touched:
            if name not in tables:
                continue
            table, execute = self._tables[name], self._writer.execute
            for primary, old in before.items():
                if execute(table.find, primary).fetchone() != old:
                    raise OpFailed(f"a row of {name} is not as it was")
            self._writer.executemany(table.remove, before)
            self._writer.executemany(table.insert, [row for row in after.values() if row is not None])

    def changes(self) -> list[Changed]:
        """What has changed since the beginning, in the order of the tables."""
        found = [table.changed() for table in self._tables.values() if table.touched.after]
        return [changed for changed in found if changed.gone or changed.rows]
