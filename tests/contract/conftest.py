"""One contract, every engine: a new engine joins by a class and a name in ``engines.py``."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

import pytest
from dibs.ledger.clock import LedgerClock
from dibs.ledger.engine import Engine
from dibs.ledger.inbox import Arrival, TakeIn, TakenIn, Unfit
from dibs.ledger.ops import Conflict, Define, OpFailed, QueueRow
from dibs.ledger.serve import After, Ask, Handed, HandOut, Holder, Key, Served
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import Entry, Parcel, Push, Pushed, QueueSettings

sys.path.append(str(Path(__file__).parent))  # ``asks``, ``words`` and the package ``workmodel``

from asks import LENGTH, ROOM, settle
from engines import ENGINES, Postgres
from words import NOTHING, apply, batch, define, drawn, serve, taken

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


class Ledger:
    """An engine, and short ways to what most tests do with it."""

    def __init__(self, kind: Any, folder: Path, time: Time) -> None:
        self.time = time
        self._folder = folder
        self._kind = kind(folder, time)
        self.engine: Engine = self._kind.open()

    def close(self) -> None:
        """Close for good, and leave nothing behind."""
        self._kind.close(self.engine)
        shutil.rmtree(self._folder)

    def restart(self) -> None:
        self.engine = self._kind.restart(self.engine)

    def tidy(self) -> None:
        """Give back what is empty in the files, as a database does now and then."""
        self._kind.tidy()

    def crash(self) -> None:
        """Kill the process that has the ledger, and start another."""
        self.engine = self._kind.crash(self.engine)

    def renews(self, gap: int) -> bool:
        """Whether all live leases begin anew, when nobody had the ledger for so long (in milliseconds)."""
        return gap >= self._kind.renews_after

    def take_in(
        self, arrivals: tuple[Arrival, ...], unfit: tuple[Unfit, ...] = (), **options: Any
    ) -> TakenIn:
        """What an inbox has found."""
        self._kind.arrive((*arrivals, *unfit))
        return self.do(TakeIn(arrivals, unfit, **options))

    @property
    def store(self) -> Any:
        """The store of the engine's transactions."""
        return self._kind.store(self.engine)

    def answers(self) -> list[tuple[str, str, int]]:
        """Of each answer that is kept its caller, its key and when it expires."""
        return self._kind.answers(self.engine)

    def change(self, statement: str) -> None:
        """Change rows behind the engine's back."""
        self._kind.change(self.engine, statement)

    def do(self, op: Any) -> Any:
        """Apply one op."""
        return apply(self.engine, op)[0]

    def define(self, name: str = "q", source: str = "count", args: str = "{}", **options: Any) -> QueueRow:
        row = self.do(Define(name, source, args, **options))
        assert isinstance(row, QueueRow)
        return row

    # -- asks

    def round(
        self, queue: int, *asks: Ask, edition: int | None = None, length: int | None = None, **options: Any
    ) -> tuple[Served, ...]:
        """Serve these asks in one batch, at the edition that the queue has now."""
        op = serve(self.engine, queue, *asks, length=length, **options)
        if edition is not None:
            op = op._replace(edition=edition)
        applied = batch(self.engine, op)
        self.balanced(queue)
        if self.engine.row(queue) is not None:
            assert applied.after[queue] == self.after(queue, applied.after[queue])
        return applied.outcomes[0]

    def after(self, queue: int, told: After) -> After:
        """What is told of a queue after a batch, as the ledger shows it."""
        row, due = self.engine.row(queue), self.next_due(queue)
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

    def refuses(self, *ops: Any) -> None:
        """All of these together are an op's fault, and change nothing."""
        before = self.all()
        with pytest.raises((OpFailed, ValueError)):
            apply(self.engine, *ops)
        assert self.all() == before

    def conflicts(self, op: Any, why: str | None = None) -> None:
        """The queue is not as this op expects it: it is told so, and changes nothing."""
        before = self.all()
        told = self.do(op)
        assert isinstance(told, Conflict)
        assert why in {None, told.why}
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

    def take(self, queue: int, count: int = 1, key: Key | None = None) -> Served:
        """Take fresh numbers for good."""
        served = taken(self.engine, queue, count, key)
        self.balanced(queue)
        return served

    def fresh(
        self, queue: int, count: int, token: str = "t", ttl: int = 30_000, worker: str = "", texts: Any = None
    ) -> Handed:
        """Lease fresh items of a source."""
        ask = Ask(HandOut(count, ROOM, Holder(token, ttl, worker)))
        given = {"length": LENGTH} if texts is None else {"drawn": drawn(self.engine, queue, *texts)}
        [served] = self.round(queue, ask, **given)
        assert served.handed is not None
        assert served.handed.fresh
        return served.handed

    def claim(
        self,
        queue: int,
        most: int = 1_000,
        token: str | None = "t",
        ttl: int = 30_000,
        worker: str = "",
        room: int = ROOM,
    ) -> Handed:
        """Lease what waits; for good where ``token`` is None."""
        holder = None if token is None else Holder(token, ttl, worker)
        [served] = self.round(queue, Ask(HandOut(most, room, holder)))
        return served.handed or NOTHING

    def settle(
        self,
        queue: int,
        *entries: Entry,
        key: Key | None = None,
        chance: float = 0.0,
        then: Ask | None = None,
        **options: Any,
    ) -> Served:
        """Settle entries; ``then`` hand out what this ask wants."""
        return self.round(queue, settle(*entries, key=key, chance=chance, then=then), **options)[0]

    def one(self, queue: int, entry: Entry, **options: Any) -> list[tuple[int | None, str]]:
        """Settle one entry: what became of each item."""
        return self.told(self.settle(queue, entry, **options))[0]

    @staticmethod
    def told(served: Served) -> list[list[tuple[int | None, str]]]:
        """For each entry the verdict of each item, however the ranges were cut."""
        return [
            [
                (seq, part.verdict)
                for part in entry
                for seq in ([None] if part.first is None else range(part.first, part.last + 1))
            ]
            for entry in served.entries
        ]

    @staticmethod
    def seqs(handed: Handed) -> list[int]:
        """The seqs that were handed out, in claim order."""
        return [seq for span in handed.spans for seq in range(span.first, span.last + 1)]

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

    def next_due(self, queue: int) -> int | None:
        """The earliest due of the items that are not dead, if these are not too many to be looked at."""
        items, _ = self.engine.items(queue, None, 0, 10_000, 1 << 30)
        return min([item.due for item in items if item.state != "dead"], default=None)

    def inside(self, queue: int) -> dict[int, str]:
        """The state of each item inside."""
        return {item.seq: item.state for item in self.items(queue)}

    def all(self) -> list:
        """Everything that can be seen of every queue."""
        return [
            (row, self.engine.counts(row.id), self.items(row.id), self.next_due(row.id))
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
    kind = request.param
    if kind is Postgres:
        kind = partial(Postgres, ledgers=request.getfixturevalue("quick_ledgers"))
    return lambda: Ledger(kind, Path(mkdtemp(dir=quick_folder)), Time())


@pytest.fixture
def ledger(new_ledger) -> Iterator[Ledger]:
    opened = new_ledger()
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path):
    """A folder with a ledger in it: one queue with three items taken."""
    data = tmp_path / "data"
    engine = SqliteEngine(data)
    taken(engine, define(engine), 3)
    engine.close()
    return data
