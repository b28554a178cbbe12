"""Ledgers in PostgreSQL, lent to one test after the other, and whether an owner's memory is what is there."""

from __future__ import annotations

import itertools
from typing import Any
from uuid import uuid4

import psycopg
from dibs.ledger.postgres.engine import PostgresEngine
from dibs.ledger.postgres.fence import Mark
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.loading import rows
from dibs.ledger.postgres.shipments import Shipments, shipment
from dibs.ledger.postgres.tables import TABLES, Table
from dibs.ledger.postgres.takeover import lock, take_over
from dibs.ledger.postgres.terms import Server
from dibs.ledger.postgres.warm import WarmCopy
from psycopg import sql


class Ledgers:
    """Schemas of one database with a ledger each, empty whenever one is lent: to make one takes longer."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._names = (f"ledger_{n}" for n in itertools.count(1))
        self._free: list[str] = []
        self._session = psycopg.connect(url, autocommit=True, connect_timeout=60)

    def lend(self) -> str:
        """The URL of an empty ledger."""
        if self._free:
            return self._url_of(self._free.pop())
        name = next(self._names)
        Ledger(self._url_of(name)).make()
        return self._url_of(name)

    def take_back(self, url: str) -> None:
        """Nobody uses this one any more."""
        name = url.rpartition("=")[2]
        asked = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename <> 'ledger'"
        tables = [table for (table,) in self._session.execute(asked, (name,))]
        # Few rows go by DELETE in a tenth of the time that TRUNCATE takes.
        deleted = [sql.SQL("DELETE FROM {}.{}").format(*map(sql.Identifier, (name, of))) for of in tables]
        begun = [
            sql.SQL("ALTER TABLE {}.history ALTER COLUMN id RESTART").format(sql.Identifier(name)),
            sql.SQL("INSERT INTO {}.position (n, term, clock) VALUES (0, 0, 0)").format(sql.Identifier(name)),
            sql.SQL("INSERT INTO {}.inbox_limits DEFAULT VALUES").format(sql.Identifier(name)),
        ]
        self._session.execute(sql.SQL(";").join([*deleted, *begun]))
        self._free.append(name)

    def close(self) -> None:
        self._session.close()

    def _url_of(self, name: str) -> str:
        return f"{self._url}{'&' if '?' in self._url else '?'}ledger={name}"


def owned(ledger: Ledger, **options: Any) -> PostgresEngine:
    """The engine of a new owner; whoever has the ledger's lock is waited for."""
    session = ledger.connect(writes=True)
    try:
        lock(ledger, session)
        return take_over(ledger, session, Server(str(uuid4()), "127.0.0.1:1", "test"), **options)
    except BaseException:
        session.close()
        raise


def begin_term(ledger: Ledger) -> PostgresEngine:
    """The engine of a new owner that has not waited for the lock."""
    session = ledger.connect(writes=True)
    try:
        return take_over(ledger, session, Server(str(uuid4()), "127.0.0.1:2", "test"))
    except BaseException:
        session.close()
        raise


class Beside:
    """A warm copy that is kept beside an owner of a test, without a thread; see ``Warm`` and ``Feeds``.

    An owner that had to find out what came of a transaction feeds it no more: it is ``closed`` then.
    """

    def __init__(self, ledger: Ledger, engine: PostgresEngine) -> None:
        self.closed = False
        self._ledger = ledger
        self._position = position = engine._keeping.position
        self._heard: list[bytes] = []
        self.copy = WarmCopy(position.term)
        position.feed = self
        with ledger.connect() as reader:
            self.copy.load(reader)

    def send(self, *shipped: Any) -> None:
        self._heard.append(shipment(*shipped))

    def close(self) -> None:
        self.closed = True

    def take(self, mark: Mark, reader: Any) -> Any:
        """The copy, unless it is closed; each row of it is compared."""
        self.copy.follow(Shipments().feed(b"".join(self._heard)))
        self._heard.clear()
        if not self.copy.reaches(mark):
            assert self.closed, (self.copy.mark, mark)
            self.copy.close()
            return None
        assert self.copy.check(reader) is None
        for table in TABLES.values():
            if table.loaded:
                there = sorted((tuple(row) for row in rows(reader, table)), key=repr)
                columns = ", ".join(table.columns)
                here = self.copy.scratch.writer.execute(f"SELECT {columns} FROM {table.name}")
                assert sorted(here, key=repr) == there, table.name
        return self.copy.scratch

    def end(self) -> None:
        """Compare it with what is there now, and remove it."""
        position = self._position
        with self._ledger.connect() as reader:
            self.take(Mark(position.n, position.term, position.clock), reader)
        self.copy.close()


def assert_same_rows(ledger: Ledger, engine: PostgresEngine) -> None:
    """What the owner has in memory is what is in PostgreSQL, row by row.

    Of answers and keys memory has copies of some; one that has expired may be gone there.
    """
    with ledger.connect() as reader:
        for table in TABLES.values():
            there = sorted((tuple(row) for row in rows(reader, table)), key=repr)
            here = sorted(in_memory(engine, table), key=repr)
            if table.loaded:
                assert here == there, table.name
            else:
                expires, now = list(table.columns).index("expires"), engine.now()
                assert [row for row in here if row[expires] > now and row not in there] == [], table.name


def in_memory(engine: PostgresEngine, table: Table) -> list[tuple[Any, ...]]:
    """All rows of a table that the owner's memory has."""
    return engine.files.readers.look(f"SELECT {', '.join(table.columns)} FROM {table.name}")
