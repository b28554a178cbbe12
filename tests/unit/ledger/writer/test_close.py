"""The end of the writer: nobody is left waiting."""

from __future__ import annotations

import pytest
from dibs.errors import (
    LedgerFull,
    LedgerUnavailable,
    OutcomeUnknown,
)
from support.door import PATIENCE

from .conftest import EIO, FULL, FULL_AT_COMMIT

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
