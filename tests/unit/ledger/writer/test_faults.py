"""After a failed COMMIT the number on disk decides; what waits is applied after the reopening."""

from __future__ import annotations

import pytest
from dibs.errors import (
    LedgerUnavailable,
    OutcomeUnknown,
)
from dibs.ledger.ops import CommitFailed
from support.door import PATIENCE

from .conftest import EIO, serve

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
