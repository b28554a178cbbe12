"""An engine that does what a test tells it to, a line that notes what it hears, doors to stop threads at."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from time import monotonic
from typing import Any

import pytest
from dibs.errors import LedgerError
from dibs.ledger.committer import Committer
from dibs.ledger.entry import Entry
from dibs.ledger.ops import Advance, Define, EngineFailed, Op, OpFailed, Outcome, QueueRow, Recalled, Take
from dibs.ledger.pending import Pending

PATIENCE = 10.0  # seconds; only a test that fails waits for so long


class Door:
    """Threads stop here, one by one, until the test lets them go. Open at first."""

    def __init__(self) -> None:
        self._shut = False
        self._came = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        """For good: who stands here goes, who comes passes."""
        self._shut = False
        self._go.release(1_000)

    def pass_(self) -> None:
        if self._shut:
            self._came.release()
            assert self._go.acquire(timeout=PATIENCE)

    def await_one(self) -> None:
        """Until a thread stands here."""
        assert self._came.acquire(timeout=PATIENCE)

    def let_one(self) -> None:
        self._go.release()


class ScriptedEngine:
    """Cursors in a dict. ``faults`` are for the next calls of ``apply``, ``repairs`` of ``reopen``.

    A fault is ``absent`` or ``present`` (the commit fails, and is not or is on disk), ``full``, or an
    exception.
    """

    kind = "scripted"
    path = "nowhere"
    folder = None
    durable = False

    def __init__(self) -> None:
        self.faults: deque[Any] = deque()
        self.repairs: deque[Exception | None] = deque()
        self.rooms: deque[Exception | None] = deque()
        self.door, self.repair_door, self.room_door = Door(), Door(), Door()
        self.batches: list[list[Op]] = []
        self.bad: list[Op] = []
        self.queues: dict[int, QueueRow] = {}
        self.answers: dict[tuple, Recalled] = {}
        self.reopenings = 0
        self.against: LedgerError | None = None
        self.rescues: list[LedgerError | None] = []  # what was the trouble at each
        self.closed = False
        self.unheard_for: float | None = None
        self.kept = threading.Event()
        self.stopped: Exception | None = None

    def add(self, queue: int, cursor: int = 0) -> None:
        self.queues[queue] = QueueRow(
            queue, f"q{queue}", 1, "count", "{}", 0, None, False, *[None] * 4, cursor, cursor, 0
        )

    def trouble(self) -> LedgerError | None:
        return self.against

    def rescue(self) -> str | None:
        self.rescues.append(self.against)
        return None if self.against is None else "saved"

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        self.door.pass_()
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if fault in ("absent", "full"):
            raise EngineFailed("EIO", full=fault == "full")
        before = dict(self.queues), dict(self.answers)
        try:
            outcomes = [self._apply(op) for op in ops]
        except OpFailed:
            self.queues, self.answers = before
            raise
        self.batches.append(list(ops))
        if fault == "present":
            raise EngineFailed("EIO")
        return outcomes

    def _apply(self, op: Op) -> Outcome:
        if any(op is bad for bad in self.bad):
            raise OpFailed("bad")
        if isinstance(op, Define):
            row = replace(next(iter(self.queues.values())), id=len(self.queues) + 1, name=op.name)
        else:
            row = self.queues[op.queue]
        if isinstance(op, Take | Advance):
            first, last = (op.first, op.last) if isinstance(op, Take) else (op.cursor + 1, op.to_seq)
            if first != row.cursor + 1:
                raise OpFailed("order")
            row = replace(row, cursor=last, ending=getattr(getattr(op, "end", None), "ending", None))
        self.queues[row.id] = row
        if op.remember is not None:
            self.answers[row.id, op.remember.key] = Recalled(op.remember.request, asdict(row))
        return None if isinstance(op, Take) else row

    def reopen(self) -> None:
        self.repair_door.pass_()
        self.reopenings += 1
        error = self.repairs.popleft() if self.repairs else None
        if error is not None:
            raise error

    def unheard(self) -> float | None:
        return self.unheard_for

    def keep_time(self) -> None:
        self.unheard_for = None
        self.kept.set()
        if self.stopped is not None:
            raise self.stopped

    def reserve(self) -> None:
        self.room_door.pass_()
        error = self.rooms.popleft() if self.rooms else None
        if error is not None:
            raise error

    def rows(self) -> list[QueueRow]:
        return list(self.queues.values())

    def row(self, queue: int) -> QueueRow | None:
        return self.queues.get(queue)

    def recall(self, queue: int, generation: int, caller: str, key: str) -> Recalled | None:
        return self.answers.get((queue, key))

    def now(self) -> int:
        return 0

    def size(self) -> int:
        return 0

    def backup(self, to: str) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


class ScriptedLine:
    """Notes what the committer tells it, in order, with what else happens, in ``log``."""

    def __init__(self, queue: int, log: list) -> None:
        self.queue, self.log = queue, log
        self._resumed = threading.Semaphore(0)

    def suspend(self) -> None:
        self.log.append(("suspend", self.queue))

    def resume(self, back: Sequence[Entry], cursor: int | None) -> None:
        seqs = [entry.op.first if isinstance(entry.op, Take) else entry.op.to_seq for entry in back]
        self.log.append(("resume", self.queue, seqs, cursor))
        self._resumed.release()

    def await_resume(self) -> None:
        assert self._resumed.acquire(timeout=PATIENCE)


class Desk:
    """A committer on a scripted engine with the queues 1 and 2, and short ways to submit."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.engine.add(1)
        self.engine.add(2)
        self.log: list = []
        self.observed: list[int] = []
        self.lines = {queue: ScriptedLine(queue, self.log) for queue in (1, 2)}
        self.committer = Committer(
            self.engine,
            observe=lambda batch, _: self.observed.append(batch),
            refresh=lambda rows: self.log.append(("refresh", {row.id: row.cursor for row in rows})),
        )

    def submit(self, op: Op, **options: Any) -> Pending[Any]:
        pending: Pending[Any] = Pending()
        self.committer.submit(Entry(op, pending, **options))
        return pending

    def take(self, queue: int, first: int, count: int = 1, **options: Any) -> Pending[Any]:
        op = Take(queue, first, count, **options)
        values = range(first, first + count)
        told = f"{queue}:{first}+{count}"
        return self.submit(op, line=self.lines[queue], values=values, answer=lambda _: told)

    def busy(self, op: Op | None = None) -> Pending[Any]:
        """Submit an op and return when the engine is at it, behind its shut door."""
        self.engine.door.shut()
        pending = self.submit(op or Define("x", "count", "{}"))
        self.engine.door.await_one()
        return pending

    def await_up(self) -> None:
        """Until the committer takes ops again."""
        until = monotonic() + PATIENCE
        while self.committer.down is not None:
            assert monotonic() < until

    def step(self) -> None:
        """Let the engine finish what it is at, and come to the next."""
        self.engine.door.let_one()
        self.engine.door.await_one()

    def close(self) -> None:
        self.engine.door.open()
        self.engine.repair_door.open()
        self.engine.room_door.open()
        assert self.committer.close(PATIENCE)


@pytest.fixture
def desk() -> Iterator[Desk]:
    with ExitStack() as stack:
        desk = Desk()
        stack.callback(desk.close)
        yield desk


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Callable[[], Any]]]:
    """Run a function in a thread; what is returned waits for its result."""
    threads: list[threading.Thread] = []

    def run(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        outcome: Pending[Any] = Pending()

        def target() -> None:
            try:
                outcome.settle(function(*args))
            except BaseException as error:
                outcome.fail(error)

        threads.append(threading.Thread(target=target, daemon=True))
        threads[-1].start()
        return lambda: outcome.result(PATIENCE)

    yield run
    for thread in threads:
        thread.join(PATIENCE)
