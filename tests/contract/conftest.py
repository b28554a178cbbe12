"""One contract, every engine: a new engine joins by a class with ``open`` and a name in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.ledger.clock import LedgerClock
from app.ledger.ops import Define, Engine, Op, OpFailed, Outcome, QueueRow, Remember, Take
from app.ledger.sqlite import SqliteEngine

NOON = 1_750_000_000_000  # milliseconds since 1970


class Time:
    """A wall clock and a monotonic clock that move when they are told to; milliseconds."""

    def __init__(self) -> None:
        self.wall = NOON
        self.monotonic = 5_000

    def pass_(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.monotonic += milliseconds

    def clock(self, persisted: int) -> LedgerClock:
        """What an engine makes its clock from."""
        return LedgerClock(
            persisted, wall=lambda: self.wall * 1_000_000, monotonic=lambda: self.monotonic * 1_000_000
        )


class SqliteFile:
    """SQLite in a folder; a restart is a close and an open, as of two processes."""

    def __init__(self, folder: Path, time: Time) -> None:
        self._folder, self._time = folder / "data", time

    def open(self) -> Engine:
        return SqliteEngine(self._folder, clock=self._time.clock)

    def restart(self, engine: Engine) -> Engine:
        engine.close()
        return self.open()


class SqliteMemory:
    """SQLite in memory: it lives as long as its engine, so that what it survives is a reopening."""

    def __init__(self, folder: Path, time: Time) -> None:
        self._time = time

    def open(self) -> Engine:
        return SqliteEngine(None, clock=self._time.clock)

    def restart(self, engine: Engine) -> Engine:
        engine.reopen()
        return engine


ENGINES = {"sqlite-file": SqliteFile, "sqlite-memory": SqliteMemory}


class Ledger:
    """An engine, and short ways to what most tests do with it."""

    def __init__(self, kind: Any, folder: Path, time: Time) -> None:
        self.time = time
        self._kind = kind(folder, time)
        self.engine: Engine = self._kind.open()

    def restart(self) -> None:
        self.engine = self._kind.restart(self.engine)

    def do(self, op: Op) -> Outcome:
        """Apply one op."""
        return self.engine.apply([op])[0]

    def define(self, name: str = "q", source: str = "count", args: str = "{}", **options: Any) -> QueueRow:
        row = self.do(Define(name, source, args, **options))
        assert row is not None
        return row

    def refuses(self, *ops: Op) -> None:
        """All of these together are an op's fault, and change nothing."""
        before = self.engine.rows()
        with pytest.raises(OpFailed):
            self.engine.apply(ops)
        assert self.engine.rows() == before


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def ledger(request, tmp_path, time) -> Iterator[Ledger]:
    opened = Ledger(request.param, tmp_path, time)
    yield opened
    opened.engine.close()


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def new_ledger(request, tmp_path_factory) -> Callable[[], Ledger]:
    """As many ledgers as a test wants, each with a time of its own; closing them is the test's part."""
    return lambda: Ledger(request.param, tmp_path_factory.mktemp("ledger"), Time())


@pytest.fixture
def under() -> Callable[..., Remember]:
    """File an outcome under a key, for a minute."""
    return lambda key, request="take 1", **options: Remember(key, request, **{"ttl": 60_000, **options})


@pytest.fixture
def folder(tmp_path):
    """A folder with a ledger in it: one queue with three items taken."""
    data = tmp_path / "data"
    engine = SqliteEngine(data)
    queue = engine.apply([Define("q", "count", "{}")])[0].id
    engine.apply([Take(queue, 1, 3)])
    engine.close()
    return data
