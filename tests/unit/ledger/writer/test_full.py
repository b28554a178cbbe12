"""A disk without room, and an owner that is one no more."""

from __future__ import annotations

import pytest
from dibs.errors import (
    LedgerFull,
    LedgerMoved,
    LedgerUnavailable,
)
from dibs.ledger import writer

from .conftest import EIO, FULL, FULL_AT_COMMIT

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


# -- another owner


@pytest.mark.parametrize("fault", [EIO, "absent", "present"])
def test_whoever_asks_an_owner_that_is_none_any_more_hears_that_it_moved(desk, fault):
    desk.engine.faults.append(fault)
    desk.engine.repair_door.shut()
    desk.submit("a")
    desk.engine.repair_door.await_one()
    desk.engine.against = LedgerMoved("another server owns the ledger now")
    desk.engine.repair_door.open()
    told = [desk.next() for _ in range(3)]
    outcome = ["did a"] if fault == "present" else [LedgerMoved]
    assert told == [LedgerUnavailable, LedgerMoved, outcome]
    desk.submit("b")
    assert desk.next() == [LedgerMoved]
