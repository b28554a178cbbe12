"""The writer: batches in order, each reported once; after a failed COMMIT the number on disk decides."""

from __future__ import annotations

import queue
import threading
from collections import deque
from contextlib import ExitStack
from time import monotonic
from typing import Any, NamedTuple

import pytest
from dibs.errors import DibsError, LedgerDamaged, LedgerFault, LedgerFull, LedgerUnavailable, OutcomeUnknown
from dibs.ledger import recovery, writer
from dibs.ledger.ops import CommitFailed, EngineDamaged, EngineFailed
from dibs.ledger.serve import After, Applied, Ask, Key, Serve
from dibs.ledger.writer import Writer

from .conftest import PATIENCE, Door

EIO = EngineFailed("EIO")
FULL_AT_COMMIT = CommitFailed("ENOSPC", Applied(("did a",), {}, 1, 1), full=True)
FULL = EngineFailed("ENOSPC", full=True)


class Engine:
    """Applies words; ``look`` and those in ``bad`` aside, each is on ``disk`` with the next number.

    ``faults`` are for the next calls of ``apply``: an exception before COMMIT, or ``absent`` or
    ``present`` for a COMMIT that fails and is not or is on disk. ``repairs`` and ``rooms``: for the next
    reopenings and looks for room.
    """

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


def test_a_batch_is_one_transaction_and_its_report_has_all_that_came_of_it(desk):
    batch = desk.submit("a", serve(7, "b", "c"))
    report = desk.told.get(timeout=PATIENCE)
    assert report.batch is batch
    assert report.applied.outcomes == ("did a", ("did b", "did c"))
    assert report.applied.after == {7: after(7, 1)}
    assert (report.applied.now, report.seconds > 0) == (1_001, True)
    assert len(desk.engine.calls) == 1


def test_batches_are_applied_and_told_in_their_order(desk):
    desk.busy("a")
    desk.submit("b")
    desk.submit("c")
    desk.engine.door.open()
    assert [desk.next() for _ in range(3)] == [["did a"], ["did b"], ["did c"]]
    assert desk.engine.disk == ["a", "b", "c"]


def test_a_report_that_raises_harms_nobody(desk):
    told = []

    def report(batch, applied, seconds):
        told.append(applied.outcomes)
        raise ZeroDivisionError

    other = Writer(desk.engine, report=report)
    other.submit(Batch(("a",)))
    other.submit(Batch(("b",)))
    assert other.close(PATIENCE)
    assert told == [("did a",), ("did b",)]


# -- a COMMIT that failed


def test_what_is_on_disk_stands_whole_as_it_was_computed(desk):
    desk.engine.faults.append("present")
    desk.submit("a", serve(7, "b", "c"))
    assert desk.next() is LedgerUnavailable
    assert desk.next() is None  # before the outcomes: whoever hears of them may ask again at once
    assert desk.next() == ["did a", ("did b", "did c")]
    assert (desk.engine.reopenings, desk.writer.reopened, desk.writer.down) == (1, 1, None)


def test_of_what_is_not_on_disk_nothing_happened_and_it_is_not_applied_again(desk):
    desk.engine.faults.append("absent")
    desk.submit("a", serve(7, "b", "c"))
    told = [desk.told.get(timeout=PATIENCE) for _ in range(3)]
    refused, (one, two) = told[2].applied.outcomes
    assert {type(error) for error in (refused, one, two)} == {LedgerUnavailable}
    assert len({id(error) for error in (refused, one, two)}) == 3  # tracebacks pile up on a shared one
    assert "nothing was handed out" in str(one)
    assert (told[2].applied.after, told[2].applied.now) == ({}, 0)
    assert len(desk.engine.calls) == 1


def test_the_number_of_an_older_transaction_decides_nothing(desk):
    desk.engine.faults += [None, "absent"]
    desk.submit("a")
    desk.submit("b")
    assert [desk.next() for _ in range(4)] == [["did a"], LedgerUnavailable, None, [LedgerUnavailable]]


def test_one_that_changed_nothing_and_failed_is_told_no_outcome(desk):
    desk.engine.faults.append("present")
    desk.submit("look")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, None, [LedgerUnavailable]]


@pytest.mark.parametrize("fault", ["present", "absent"])
def test_what_waits_is_applied_after_the_reopening(desk, fault):
    desk.busy("a")
    desk.submit("look")
    desk.engine.faults.append(fault)
    desk.engine.repair_door.shut()
    desk.engine.door.open()
    desk.engine.repair_door.await_one()
    assert desk.next() is LedgerUnavailable
    assert isinstance(desk.writer.down, LedgerUnavailable)
    assert desk.told.empty()  # not even what changes nothing is told before all before it is on disk
    desk.engine.repair_door.open()
    assert [desk.next() for _ in range(3)] == [
        None,
        ["did a"] if fault == "present" else [LedgerUnavailable],
        ["did look"],
    ]


def test_it_reopens_until_the_disk_is_back(desk):
    desk.engine.faults.append("present")
    desk.engine.repairs += [EIO, LedgerUnavailable("no"), EIO]
    desk.submit("a")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, None, ["did a"]]
    assert (desk.engine.reopenings, desk.writer.reopened) == (4, 1)


def test_a_batch_may_be_submitted_while_the_ledger_is_reopened_and_is_applied_then(desk):
    desk.engine.faults.append("absent")
    desk.engine.repair_door.shut()
    desk.submit("a")
    desk.engine.repair_door.await_one()
    desk.submit("b")
    desk.engine.repair_door.open()
    assert [desk.next() for _ in range(4)] == [LedgerUnavailable, None, [LedgerUnavailable], ["did b"]]


def test_an_engine_that_did_not_say_what_it_computed_leaves_only_doubt(desk):
    desk.engine.faults.append(CommitFailed("EIO"))
    desk.submit("a")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, None, [OutcomeUnknown]]


# -- an error before COMMIT


def test_a_batch_that_was_rolled_back_is_applied_once_more_after_the_reopening(desk):
    desk.engine.faults.append(EIO)
    desk.submit("a")
    desk.submit("b")
    assert [desk.next() for _ in range(4)] == [LedgerUnavailable, None, ["did a"], ["did b"]]
    assert desk.engine.disk == ["a", "b"]


def test_one_that_fails_again_is_refused(desk):
    desk.engine.faults += [EIO, EIO]
    desk.submit("a")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, None, [LedgerUnavailable]]
    assert (len(desk.engine.calls), desk.engine.disk) == (2, [])


# -- a full disk


@pytest.mark.parametrize("fault", [FULL_AT_COMMIT, FULL], ids=["at COMMIT", "before"])
def test_while_there_is_no_room_all_are_refused_and_then_it_goes_on(desk, monkeypatch, fault):
    monkeypatch.setattr(writer, "ROOM_EVERY", 0.0)
    desk.busy("a")
    desk.submit("b")
    desk.engine.faults.append(fault)
    desk.engine.rooms += [FULL] * 3
    desk.engine.door.open()
    assert [desk.next() for _ in range(4)] == [LedgerFull, [LedgerFull], [LedgerFull], None]
    assert desk.writer.down is None
    desk.submit("c")
    assert desk.next() == ["did c"]
    assert desk.engine.disk == ["c"]


def test_what_is_submitted_while_the_disk_is_full_is_refused_at_once(desk):
    desk.engine.rooms += [FULL] * 3
    desk.engine.faults.append(FULL_AT_COMMIT)
    desk.submit("a")
    assert [desk.next() for _ in range(2)] == [LedgerFull, [LedgerFull]]
    desk.submit("b")  # it wakes the writer, which looks for room again, in vain
    assert desk.next() == [LedgerFull]


def test_a_commit_on_a_full_disk_that_is_there_stands(desk):
    desk.engine.rooms.append(FULL)
    desk.engine.faults.append("present")
    desk.submit("a")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, LedgerFull, ["did a"]]


# -- an op at fault


def test_one_at_fault_fails_alone_ask_by_ask(desk, caplog):
    desk.engine.bad["bad"] = KeyError("x")
    desk.submit(serve(7, "b", "bad", "c"), "a", serve(8, "d"))
    assert desk.next() == [("did b", LedgerFault, "did c"), "did a", ("did d",)]
    assert desk.engine.disk == ["a", "b", "c", "d"]  # what is no Serve comes first, as in one transaction
    assert "refused by the ledger" in caplog.text
    desk.submit("e")
    assert desk.next() == ["did e"]  # the ledger was never down


def test_what_is_refused_for_a_reason_of_its_own_hears_it(desk):
    desk.engine.bad["bad"] = LedgerDamaged("the answer kept under the key 'k' is damaged", "maybe")
    desk.submit(serve(7, "bad", "c"), "bad")
    report = desk.told.get(timeout=PATIENCE)
    (one, two), three = report.applied.outcomes
    assert (one.handed_out, two, three.handed_out) == ("maybe", "did c", "maybe")
    assert report.applied.after == {7: after(7, 1)}


def test_the_end_of_a_source_that_nobody_asks_is_recorded_beside_one_at_fault(desk):
    desk.engine.bad["bad"] = KeyError("x")
    desk.submit("bad", serve(7))
    applied = desk.told.get(timeout=PATIENCE).applied
    assert [desk.engine.calls[-1], applied.outcomes[1]] == [[serve(7)], ()]
    assert applied.after == {7: after(7, 0)}


@pytest.mark.parametrize("fault", ["present", "absent"])
def test_a_commit_that_fails_on_the_way_concerns_that_ask_alone(desk, fault):
    desk.engine.bad["bad"] = KeyError("x")
    desk.engine.faults += [None, None, fault]
    desk.submit(serve(7, "b", "c", "bad", "d"))
    assert [desk.next() for _ in range(2)] == [LedgerUnavailable, None]
    second = "did c" if fault == "present" else LedgerUnavailable
    assert desk.next() == [("did b", second, LedgerFault, "did d")]


def test_a_disk_that_fills_up_on_the_way_is_not_tried_for_each_ask(desk, monkeypatch):
    monkeypatch.setattr(writer, "ROOM_EVERY", 0.0)
    desk.engine.bad["bad"] = KeyError("x")
    desk.engine.faults += [None, None, FULL]
    desk.engine.rooms += [FULL] * 4
    desk.submit(serve(7, "b", "c", "d", "bad"))
    assert desk.next() is LedgerFull
    assert desk.next() == [("did b", LedgerFull, LedgerFull, LedgerFull)]
    assert desk.engine.reopenings == 1


# -- files


def test_while_the_files_are_gone_nothing_is_applied_and_what_is_open_is_saved(desk, monkeypatch, caplog):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(recovery, "LOOK_BUSY", 0.0)
    desk.submit("a")
    assert desk.next() == ["did a"]
    desk.engine.against = LedgerUnavailable("dibs.db is missing from data")
    assert str(desk.writer.down) == "dibs.db is missing from data"
    desk.submit("b")
    assert [desk.next() for _ in range(2)] == [LedgerUnavailable, [LedgerUnavailable]]
    while len(desk.engine.saves) < 3:
        threading.Event().wait(0.001)  # what could not be saved yet is tried again
    desk.engine.against = None
    assert desk.next() is None
    assert desk.engine.saves[-1] == "back"  # it is told of their return before anything is handed out
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("CRITICAL", "dibs.db is missing from data"),
        ("CRITICAL", "saved"),  # once
        ("WARNING", "the ledger can be written again; it goes on"),
    ]
    desk.submit("c")
    assert desk.next() == ["did c"]
    assert (desk.engine.disk, desk.engine.reopenings) == (["a", "c"], 0)


def test_missing_files_are_noticed_while_nobody_asks(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.submit("a")
    assert desk.next() == ["did a"]  # so that it waits with the shorter time
    desk.engine.against = LedgerUnavailable("gone")
    assert desk.next() is LedgerUnavailable
    desk.engine.against = None


def test_a_damaged_ledger_refuses_all_and_is_not_reopened(desk):
    desk.engine.faults.append(EngineDamaged("a page is wrong"))
    desk.engine.door.shut()
    desk.submit("a")
    desk.engine.door.await_one()
    desk.engine.against = LedgerDamaged("a page is wrong")
    desk.engine.door.open()
    assert [desk.next() for _ in range(2)] == [LedgerDamaged, [LedgerDamaged]]
    desk.submit("b")
    assert desk.next() == [LedgerDamaged]
    assert desk.engine.reopenings == 0


# -- ledger time


def test_ledger_time_is_kept_while_nothing_is_written(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.unheard_for = 0
    desk.submit("look")
    assert desk.next() == ["did look"]
    assert desk.engine.kept.wait(PATIENCE)


def test_ledger_time_is_kept_while_batches_come_that_write_nothing(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.unheard_for = 0
    until = monotonic() + PATIENCE
    while not desk.engine.kept.is_set():
        assert monotonic() < until
        desk.submit("look")
        assert desk.next() == ["did look"]


def test_a_disk_that_fails_to_keep_time_is_reopened(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.keeping = EIO
    desk.engine.unheard_for = 0
    desk.submit("look")
    assert [desk.next() for _ in range(3)] == [["did look"], LedgerUnavailable, None]
    assert desk.engine.reopenings == 1


# -- going down


def test_close_commits_what_was_submitted_and_takes_no_more(desk):
    desk.busy("a")
    desk.submit("b")
    desk.engine.door.open()
    assert desk.writer.close(PATIENCE)
    assert [desk.next() for _ in range(2)] == [["did a"], ["did b"]]
    assert desk.engine.closed
    with pytest.raises(LedgerUnavailable, match="going down"):
        desk.submit("c")


def test_close_does_not_wait_for_ever_for_a_silent_disk(desk):
    desk.busy("a")
    assert not desk.writer.close(0.0)
    desk.engine.door.open()
    assert desk.next() == ["did a"]


def test_close_while_the_disk_is_down_tells_all(desk):
    desk.engine.repairs += [EIO] * 1_000
    desk.engine.faults.append("absent")
    desk.busy("a")
    desk.submit("b")
    desk.engine.door.open()
    assert desk.next() is LedgerUnavailable
    assert desk.writer.close(PATIENCE)
    assert [desk.next() for _ in range(2)] == [[OutcomeUnknown], [LedgerUnavailable]]
    assert desk.told.empty()
    assert desk.engine.closed


def test_close_while_the_disk_is_full_ends(desk):
    desk.engine.rooms += [FULL] * 10_000
    desk.engine.faults.append(FULL_AT_COMMIT)
    desk.submit("a")
    assert [desk.next() for _ in range(2)] == [LedgerFull, [LedgerFull]]
    assert desk.writer.close(PATIENCE)


def test_whatever_a_reopening_raises_it_is_tried_again(desk):
    """Else a batch that may be on disk would be taken for one at fault, and applied again."""
    desk.engine.faults.append("present")
    desk.engine.repairs.append(ZeroDivisionError())
    desk.submit("a")
    assert [desk.next() for _ in range(3)] == [LedgerUnavailable, None, ["did a"]]
    assert desk.engine.disk == ["a"]


def test_a_writer_that_ends_by_its_own_fault_leaves_nobody_waiting(desk, caplog):
    desk.engine.bad["a"] = SystemExit()  # what no engine should raise
    desk.busy("a")
    desk.submit("b")
    desk.engine.door.open()
    assert [desk.next() for _ in range(3)] == [[OutcomeUnknown], [LedgerUnavailable], LedgerUnavailable]
    with pytest.raises(LedgerUnavailable):
        desk.submit("c")
