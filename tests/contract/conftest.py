"""One contract, every engine: a new engine joins by a class with ``open`` and a name in ``ENGINES``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
from dibs.ledger.clock import LedgerClock
from dibs.ledger.ops import Define, Engine, Op, OpFailed, Outcome, QueueRow, Remember, Take
from dibs.ledger.serve import After, Ask, Serve, Served
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import (
    Claim,
    Claimed,
    Entry,
    Parcel,
    Push,
    Pushed,
    QueueSettings,
    Settle,
    Settlement,
    Terms,
)

sys.path.append(str(Path(__file__).parent))  # the package ``workmodel``

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

    starts = True

    def __init__(self, folder: Path, time: Time) -> None:
        self._folder, self._time = folder / "data", time

    def open(self) -> Engine:
        return SqliteEngine(self._folder, clock=self._time.clock)

    def restart(self, engine: Engine) -> Engine:
        engine.close()
        return self.open()


class SqliteMemory:
    """SQLite in memory: it lives as long as its engine, so that what it survives is a reopening."""

    starts = False

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
        self._folder = folder
        self._kind = kind(folder, time)
        self.engine: Engine = self._kind.open()

    def close(self) -> None:
        """Close for good, and leave nothing behind."""
        self.engine.close()
        shutil.rmtree(self._folder)

    def restart(self) -> None:
        self.engine = self._kind.restart(self.engine)

    def do(self, op: Op) -> Outcome:
        """Apply one op."""
        return self.engine.apply([op])[0]

    def define(self, name: str = "q", source: str = "count", args: str = "{}", **options: Any) -> QueueRow:
        row = self.do(Define(name, source, args, **options))
        assert row is not None
        return row

    # -- asks

    def round(
        self, queue: int, *asks: Ask, edition: int | None = None, length: int | None = None, **options: Any
    ) -> tuple[Served, ...]:
        """Serve these asks in one batch, at the edition that the queue has now."""
        if edition is None:
            edition = self.engine.row(queue).edition
        serve = Serve(queue, edition, asks, length=length, **options)
        applied = self.engine.apply_batch([serve])
        self.balanced(queue)
        assert applied.after[queue] == self.after(queue, applied.after[queue])
        return applied.outcomes[0]

    def after(self, queue: int, told: After) -> After:
        """What is told of a queue after a batch, as the ledger shows it."""
        row, due = self.engine.row(queue), self.engine.next_due(queue)
        failure = None if row.failure_type is None else (row.failure_type, row.failure_message)
        over = row.ending is not None and row.inside == self.engine.glance(queue)[2]
        assert (told.next_due is None) <= (due is None)
        assert told.next_due is None or due is None or told.next_due <= due
        return After(
            queue,
            row.edition,
            row.cursor,
            row.ending,
            failure,
            row.paused,
            row.deleted_at is not None,
            told.next_due,
            over,
        )

    def refuses(self, *ops: Op) -> None:
        """All of these together are an op's fault, and change nothing."""
        before = self.all()
        with pytest.raises((OpFailed, ValueError)):
            self.engine.apply(ops)
        assert self.all() == before

    # -- work

    @property
    def starts(self) -> bool:
        """Whether a restart is a start, at which live leases begin again."""
        return self._kind.starts

    def jobs(self, *texts: str, name: str = "jobs", **settings: Any) -> int:
        """A queue that producers push to, with these items in it."""
        queue = self.define(name, "", settings=QueueSettings(**settings)).id
        if texts:
            self.push(queue, *texts)
        return queue

    def push(
        self, queue: int, *texts: str, delay: int = 0, priority: int = 0, keys: Any = None, **options: Any
    ) -> Pushed:
        """Push one parcel."""
        pushed = self.do(Push(queue, (Parcel(texts, delay, priority, keys),), **options))
        self.balanced(queue)
        return pushed

    def fresh(
        self, queue: int, count: int, token: str = "t", ttl: int = 30_000, worker: str = "", **options: Any
    ) -> Claimed:
        """Lease fresh items of a source."""
        first = self.engine.row(queue).cursor + 1
        return self.do(Take(queue, first, count, terms=Terms(token, ttl, worker), **options))

    def claim(
        self,
        queue: int,
        most: int = 1_000,
        token: str | None = "t",
        ttl: int = 30_000,
        worker: str = "",
        most_bytes: int = 1 << 22,
    ) -> Claimed:
        """Lease what waits; for good where ``token`` is None."""
        terms = None if token is None else Terms(token, ttl, worker)
        claimed = self.do(Claim(queue, most, most_bytes, terms))
        self.balanced(queue)
        return claimed

    def settle(self, queue: int, *entries: Entry, **options: Any) -> Settlement:
        """Settle entries in one op."""
        settlement = self.do(Settle(queue, entries, **options))
        self.balanced(queue)
        return settlement

    def one(self, queue: int, entry: Entry, **options: Any) -> list[tuple[int | None, str]]:
        """Settle one entry: what became of each item."""
        return self.told(self.settle(queue, entry, **options))[0]

    @staticmethod
    def told(settlement: Settlement) -> list[list[tuple[int | None, str]]]:
        """For each entry the verdict of each item, however the ranges were cut."""
        return [
            [
                (seq, part.verdict)
                for part in entry
                for seq in ([None] if part.first is None else range(part.first, part.last + 1))
            ]
            for entry in settlement.entries
        ]

    @staticmethod
    def seqs(claimed: Claimed) -> list[int]:
        """The seqs of a claim, in claim order."""
        return [seq for span in claimed.spans for seq in range(span.first, span.last + 1)]

    def dead(self, queue: int) -> list[int]:
        """The dead items; every look at them says the same."""
        dead = [item.seq for item in self.items(queue, "dead")]
        assert self.engine.glance(queue)[2] == self.engine.counts(queue).dead == len(dead)
        assert dead == [seq for seq, state in self.inside(queue).items() if state == "dead"]
        return dead

    def items(self, queue: int, state: Any = None) -> list:
        """All items inside."""
        items, more = self.engine.items(queue, state, 0, 100_000, 1 << 30)
        assert not more
        return items

    def inside(self, queue: int) -> dict[int, str]:
        """The state of each item inside."""
        return {item.seq: item.state for item in self.items(queue)}

    def all(self) -> list:
        """Everything that can be seen of every queue."""
        return [
            (row, self.engine.counts(row.id), self.items(row.id), self.engine.next_due(row.id))
            for row in self.engine.rows()
        ]

    def balanced(self, queue: int) -> None:
        """Every seq up to the cursor has been accounted for once."""
        row, counts = self.engine.row(queue), self.engine.counts(queue)
        moved = (counts.cursor, counts.taken, counts.acked, counts.purged, counts.jumped)
        assert moved == (
            (0,) * 5 if row is None else (row.cursor, row.taken, row.acked, row.purged, row.jumped)
        )
        base = 0 if row is None else row.base
        assert counts.base == base
        assert sum(moved[1:]) + counts.waiting + counts.leased + counts.dead == counts.cursor - base
        assert counts.overlaps == 0
        assert self.engine.glance(queue)[2] == counts.dead  # one is a counter, the other is counted
        assert counts.delayed <= counts.waiting
        if row is not None:
            assert row.inside == counts.waiting + counts.leased + counts.dead


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(scope="session")
def quick_folder(tmp_path_factory) -> Iterator[Path]:
    """A folder in memory where the system has one: these tests need files, and no disk."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("ledgers")
        return
    with TemporaryDirectory(dir="/dev/shm", prefix="dibs-contract-") as folder:
        yield Path(folder)


@pytest.fixture(params=ENGINES.values(), ids=ENGINES.keys())
def new_ledger(request, quick_folder) -> Callable[[], Ledger]:
    """As many ledgers as a test wants, each with a time of its own; closing them is the test's part."""
    return lambda: Ledger(request.param, Path(mkdtemp(dir=quick_folder)), Time())


@pytest.fixture
def ledger(new_ledger) -> Iterator[Ledger]:
    opened = new_ledger()
    yield opened
    opened.close()


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
