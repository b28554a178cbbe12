"""A writer on an engine whose commits, reopenings and room are what a test says."""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from dibs.ledger.ops import CommitFailed, EngineFailed
from dibs.ledger.serve import After, Applied, Ask, Key, Serve
from dibs.ledger.writer import Writer
from support.door import PATIENCE, Door

if TYPE_CHECKING:
    from dibs.errors import DibsError

EIO = EngineFailed("EIO")
FULL_AT_COMMIT = CommitFailed("ENOSPC", Applied(("did a",), {}, 1, 1), full=True)
FULL = EngineFailed("ENOSPC", full=True)


class Engine:
    """Applies words; ``look`` and those in ``bad`` aside, each is on ``disk`` with the next number.

    ``faults`` are for the next calls of ``apply``: an exception before COMMIT, or ``absent`` or
    ``present`` for a COMMIT that fails and is not or is on disk. ``repairs`` and ``rooms``: for the next
    reopenings and looks for room.
    """

    returns = False

    def __init__(self) -> None:
        self.faults: deque[Any] = deque()
        self.repairs: deque[Exception] = deque()
        self.rooms: deque[Exception] = deque()
        self.door, self.repair_door = Door(), Door()
        self.calls: list[list[Any]] = []
        self.disk: list[Any] = []
        self.bad: dict[Any, Exception] = {}
        self.against: DibsError | None = None
        self.saves: list[str] = []
        self.reopenings = self.transactions = 0
        self.unheard_for: float | None = None
        self.kept = threading.Event()
        self.keeping: Exception | None = None
        self.closed = False

    def apply(self, ops):
        self.door.pass_()
        self.calls.append(list(ops))
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        words = [word for op in ops for word in ([a.key.text for a in op.asks] if self.serves(op) else [op])]
        for word in words:
            if word in self.bad:
                raise self.bad[word]
        changes = [word for word in words if word != "look"]
        number = self.transactions + 1 if changes else 0
        done = tuple(
            tuple(f"did {a.key.text}" for a in op.asks) if self.serves(op) else f"did {op}" for op in ops
        )
        touched = {op.queue: after(op.queue, number) for op in ops if self.serves(op)}
        applied = Applied(done, touched, 1_000 + len(self.calls), number)
        if fault != "absent":
            self.disk += changes
            self.transactions += bool(changes)
        if fault is not None:
            raise CommitFailed("EIO", applied)
        return applied

    @staticmethod
    def serves(op):
        return isinstance(op, Serve)

    def number(self):
        return self.transactions

    def reopen(self):
        self.repair_door.pass_()
        self.reopenings += 1
        if self.repairs:
            raise self.repairs.popleft()

    def reserve(self):
        if self.rooms:
            raise self.rooms.popleft()

    def trouble(self):
        return self.against

    def rescue(self):
        self.saves.append("gone" if self.against else "back")
        return "saved" if self.against else None

    def unheard(self):
        return self.unheard_for

    def keep_time(self):
        self.unheard_for = None
        self.kept.set()
        if self.keeping is not None:
            raise self.keeping

    def close(self):
        self.closed = True


def after(row: int, edition: int) -> After:
    return After(row, edition, 0, None, None, False, False, None, False)


def serve(row: int, *keys: str) -> Serve:
    return Serve(row, 1, tuple(Ask(key=Key(key, "")) for key in keys))


class Batch(NamedTuple):
    ops: tuple[Any, ...]


class Report(NamedTuple):
    batch: Batch
    applied: Applied
    seconds: float


class Desk:
    """A writer on a scripted engine; what it tells, in order."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.told: queue.Queue[Any] = queue.Queue()
        self.writer = Writer(
            self.engine, report=lambda *report: self.told.put(Report(*report)), troubled=self.told.put
        )

    def submit(self, *ops: Any) -> Batch:
        batch = Batch(ops)
        self.writer.submit(batch)
        return batch

    def next(self) -> Any:
        """What the writer tells next, in short: the outcomes of a batch, or the kind of trouble."""
        told = self.told.get(timeout=PATIENCE)
        if isinstance(told, Report):
            return [short(outcome) for outcome in told.applied.outcomes]
        return told if told is None else type(told)

    def busy(self, *ops: Any) -> None:
        """Submit a batch and return when the engine is at it, behind its shut door."""
        self.engine.door.shut()
        self.submit(*ops)
        self.engine.door.await_one()

    def close(self) -> None:
        self.engine.door.open()
        self.engine.repair_door.open()
        assert self.writer.close(PATIENCE)


def short(outcome: Any) -> Any:
    if isinstance(outcome, tuple):
        return tuple(short(one) for one in outcome)
    return type(outcome) if isinstance(outcome, Exception) else outcome


@pytest.fixture
def desk():
    with ExitStack() as stack:
        desk = Desk()
        stack.callback(desk.close)
        yield desk
