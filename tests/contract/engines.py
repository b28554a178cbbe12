"""The engines of the contract: how each is opened and started again, and how a test looks into its rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dibs.ledger.engine import Engine
from dibs.ledger.postgres.ledger import Ledger as PostgresLedger
from dibs.ledger.sqlite.engine import SqliteEngine
from support.ledgers import Beside, Ledgers, assert_same_rows, owned

ARRIVE = """
INSERT INTO inbox (tx, n, queue, value, priority) OVERRIDING SYSTEM VALUE
VALUES (%s::text::xid8, %s, %s, '', 0)
ON CONFLICT DO NOTHING
"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
END_OWNER = "SELECT pg_terminate_backend(session, 60000) FROM term ORDER BY term DESC LIMIT 1"
ANSWERS = "SELECT caller, key, expires FROM answer ORDER BY caller, key, expires"


class SqliteFile:
    """SQLite in a folder; a restart is a close and an open, as of two processes."""

    starts = True
    renews_after = 0  # milliseconds without an owner, after which all live leases begin anew

    def __init__(self, folder: Path, time: Any) -> None:
        self._folder, self._time = folder / "data", time

    def open(self) -> Engine:
        return SqliteEngine(self._folder, clock=self._time.clock)

    def restart(self, engine: Engine) -> Engine:
        engine.close()
        return self.open()

    def crash(self, engine: Engine) -> Engine:
        engine.files.close()
        return self.open()

    def tidy(self) -> None:
        """Give back what is empty in the files, where that is done beside the engine."""

    def arrive(self, arrivals: Iterable[Any]) -> None:
        """What programs have pushed, by whatever this engine has for an inbox; most have nothing."""

    def store(self, engine: Engine) -> Any:
        """The store of the transactions."""
        return engine._store

    def answers(self, engine: Engine) -> list[tuple[str, str, int]]:
        """Of each answer that is kept its caller, its key and when it expires."""
        return engine.files.readers.look(ANSWERS)

    def change(self, engine: Engine, statement: str) -> None:
        """Change rows behind the engine's back."""
        engine.files.writer.execute(statement)

    def close(self, engine: Engine) -> None:
        engine.close()


class SqliteMemory(SqliteFile):
    """SQLite in memory: it lives as long as its engine, so that what it survives is a reopening."""

    starts = False

    def open(self) -> Engine:
        return SqliteEngine(None, clock=self._time.clock)

    def restart(self, engine: Engine) -> Engine:
        engine.reopen()
        return engine


class Postgres:
    """PostgreSQL; a restart is the end of an owner's term and the beginning of the next one's.

    A warm copy is kept beside each owner, and the next one begins with it.
    """

    starts = True
    renews_after = 60_001

    def __init__(self, folder: Path, time: Any, ledgers: Ledgers) -> None:
        self._time = time
        self._ledgers = ledgers
        self._url = ledgers.lend()
        self._ledger = PostgresLedger(self._url)
        self._copy: Beside | None = None

    def open(self) -> Engine:
        engine = owned(self._ledger, clock=self._time.clock, warm=self._copy)
        self._copy = Beside(self._ledger, engine)
        return engine

    def restart(self, engine: Engine) -> Engine:
        assert_same_rows(self._ledger, engine)
        engine.close()
        return self.open()

    def crash(self, engine: Engine) -> Engine:
        with self._ledger.connect() as session:
            session.execute(
                "SELECT pg_terminate_backend(session, 60000) FROM term ORDER BY term DESC LIMIT 1"
            )
        opened = self.open()
        engine.close()
        return opened

    def arrive(self, arrivals: Iterable[Any]) -> None:
        with self._ledger.connect() as session:
            for arrival in arrivals:
                session.execute(ARRIVE, [*arrival.place[:2], getattr(arrival, "queue", "unfit")])

    def tidy(self) -> None:
        with self._ledger.connect() as session:
            for (name,) in session.execute(TABLES).fetchall():
                session.execute(f'VACUUM (FULL) "{name}"')

    def store(self, engine: Engine) -> Any:
        return engine._memory._store

    def answers(self, engine: Engine) -> list[tuple[str, str, int]]:
        with self._ledger.connect() as session:
            found = session.execute(ANSWERS).fetchall()
        return [(caller.decode(), key.decode(), expires) for caller, key, expires in found]

    def change(self, engine: Engine, statement: str) -> None:
        engine.files.writer.execute(statement)
        with self._ledger.connect() as session:
            session.execute(statement.replace("x'00'", "'\\x00'"))
        if self._copy is not None:
            self._copy.copy.close()
            self._copy = Beside(self._ledger, engine)

    def close(self, engine: Engine) -> None:
        assert_same_rows(self._ledger, engine)
        engine.close()
        if self._copy is not None:
            self._copy.end()
        self._ledgers.take_back(self._url)


ENGINES = {"sqlite-file": SqliteFile, "sqlite-memory": SqliteMemory, "postgresql": Postgres}
