"""When a commit fails: the lines are suspended, the engine is reopened, and the ledger's cursor decides."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic, sleep

import pytest
from dibs.errors import LedgerDamaged, LedgerFull, LedgerUnavailable, OutcomeUnknown
from dibs.ledger import committer as committer_module
from dibs.ledger.ops import Advance, Close, Define, EngineDamaged, EngineFailed, Pause, Remember, SourceEnd


def refusal(pending, kind=LedgerUnavailable):
    with pytest.raises(kind) as caught:
        pending.result(10)
    assert type(caught.value) is kind
    return caught.value


def batch_of_two_lines(desk):
    """Takes of two queues in one batch, and behind them some that wait in the line."""
    desk.engine.door.shut()
    first = desk.take(1, 1, 2)
    desk.engine.door.await_one()
    gathered = [desk.take(2, 1), desk.take(1, 3)]
    desk.step()  # the first is on disk; the engine is at these two
    waiting = [desk.take(1, 4, 3), desk.take(2, 2)]
    return first, gathered, waiting


def test_absent_values_go_back_in_the_order_of_their_seqs_and_callers_hear_no(desk):
    first, gathered, waiting = batch_of_two_lines(desk)
    desk.engine.faults.append("absent")
    desk.engine.door.open()
    assert first.result(10) == "1:1+2"
    for pending in gathered + waiting:
        assert "nothing was handed out" in str(refusal(pending))
    assert desk.log == [
        ("suspend", 2),
        ("suspend", 1),
        ("refresh", {1: 2, 2: 0}),
        ("resume", 2, [1, 2], 0),
        ("resume", 1, [3, 4], 2),
    ]
    assert (desk.engine.reopenings, desk.committer.reopened, desk.committer.down) == (1, 1, None)


def test_present_values_are_granted_and_only_what_waited_goes_back(desk):
    first, gathered, waiting = batch_of_two_lines(desk)
    desk.engine.faults.append("present")
    desk.engine.door.open()
    assert first.result(10) == "1:1+2"
    assert [pending.result(10) for pending in gathered] == ["2:1+1", "1:3+1"]
    for pending in waiting:
        refusal(pending)
    assert [note for note in desk.log if note[0] == "resume"] == [
        ("resume", 2, [2], 1),
        ("resume", 1, [4], 3),
    ]


def test_the_lines_are_suspended_before_the_engine_is_reopened_and_resumed_after(desk):
    desk.engine.repair_door.shut()
    desk.engine.faults.append("absent")
    pending = desk.take(1, 1)
    desk.engine.repair_door.await_one()
    assert desk.log == [("suspend", 1)]
    assert not pending.done
    desk.engine.repair_door.open()
    refusal(pending)


def test_a_line_goes_on_before_its_callers_hear(desk):
    """A caller that asks again at once must not meet values that are out of order."""
    desk.engine.faults.append("absent")
    desk.engine.door.shut()
    pending = desk.take(1, 1)
    pending.when_done(lambda: desk.log.append("heard"))
    desk.engine.door.open()
    refusal(pending)
    assert desk.log[-2:] == [("resume", 1, [1], 0), "heard"]


def test_while_the_ledger_is_down_nothing_enters_the_line(desk):
    desk.engine.repair_door.shut()
    desk.engine.faults.append("absent")
    pending = desk.take(1, 1)
    desk.engine.repair_door.await_one()
    assert isinstance(desk.committer.down, LedgerUnavailable)
    for attempt in (desk.committer.check, lambda: desk.take(2, 1), lambda: desk.submit(Pause(1, True))):
        with pytest.raises(LedgerUnavailable, match="nothing was handed out"):
            attempt()
    desk.engine.repair_door.open()
    refusal(pending)
    assert desk.take(1, 1).result(10) == "1:1+1"
    desk.committer.check()


def test_a_full_disk_is_told_from_every_other_fault(desk):
    desk.engine.repair_door.shut()
    desk.engine.faults.append("full")
    pending = desk.take(1, 1)
    desk.engine.repair_door.await_one()
    with pytest.raises(LedgerFull):
        desk.take(2, 1)
    desk.engine.repair_door.open()
    refusal(pending, LedgerFull)
    assert desk.take(1, 1).result(10) == "1:1+1"


def test_each_caller_has_an_error_of_its_own(desk):
    desk.busy()
    pending = [desk.take(1, 1), desk.take(1, 2)]
    desk.step()
    desk.engine.faults.append("absent")
    desk.engine.door.open()
    one, other = map(refusal, pending)
    assert one is not other
    assert str(one) == str(other)


def test_a_jump_is_decided_by_the_cursor_too(desk):
    desk.engine.faults += ["absent", "present"]
    refusal(desk.submit(Advance(1, 0, 9), line=desk.lines[1]))
    assert desk.log[-1] == ("resume", 1, [9], 0)
    assert desk.submit(Advance(1, 0, 9), line=desk.lines[1]).result(10).cursor == 9
    assert desk.log[-1] == ("resume", 1, [], 9)


@pytest.mark.parametrize(("fault", "granted"), [("absent", False), ("present", True)])
def test_a_bare_ending_is_decided_by_the_ending(desk, fault, granted):
    desk.engine.faults.append(fault)
    pending = desk.take(1, 1, 0, end=SourceEnd("exhausted"))
    if granted:
        assert pending.result(10) == "1:1+0"
    else:
        refusal(pending)


def test_a_take_behind_which_its_queue_was_deleted_stands(desk):
    """They were committed together: the tombstone's cursor counts the item, so the taker has it."""
    desk.engine.faults.append("present")
    desk.engine.door.shut()
    pending = desk.take(1, 1)
    desk.engine.door.await_one()
    original = desk.engine.rows
    desk.engine.rows = lambda: [replace(row, deleted_at=5) for row in original()]
    desk.engine.door.open()
    assert pending.result(10) == "1:1+1"


# -- ops without items


OPS = {
    "pause": lambda remember: Pause(1, True, remember),
    "close": lambda remember: Close(1, remember),
    "define": lambda remember: Define("new", "count", "{}", remember=remember),
}


@pytest.mark.parametrize("make", OPS.values(), ids=OPS.keys())
def test_with_a_key_it_is_looked_up(desk, make):
    desk.engine.faults += ["absent", "present"]
    refusal(desk.submit(make(Remember("k", "r", 1))))
    row = desk.submit(make(Remember("k", "r", 1))).result(10)
    assert row == desk.engine.queues[row.id]


@pytest.mark.parametrize("fault", ["absent", "present"])
@pytest.mark.parametrize("make", OPS.values(), ids=OPS.keys())
def test_without_a_key_nobody_can_tell(desk, make, fault):
    desk.engine.faults.append(fault)
    refusal(desk.submit(make(None)), OutcomeUnknown)


@pytest.mark.parametrize("make", OPS.values(), ids=OPS.keys())
def test_one_that_only_waited_is_not_on_disk(desk, make):
    desk.busy()
    waiting = desk.submit(make(None))
    desk.engine.faults.append("absent")
    desk.engine.door.open()
    refusal(waiting)


# -- a disk that stays away


def test_it_tries_until_the_disk_is_back(desk):
    desk.engine.faults.append("present")
    desk.engine.repairs += [EngineFailed("EIO"), LedgerUnavailable("no"), EngineFailed("EIO")]
    assert desk.take(1, 1).result(10) == "1:1+1"
    assert (desk.engine.reopenings, desk.committer.reopened) == (4, 1)


@pytest.mark.parametrize(("fault", "back"), [("absent", [1, 2]), ("present", [2])])
def test_after_the_grace_callers_hear_maybe_and_it_is_still_decided_later(desk, monkeypatch, fault, back):
    monkeypatch.setattr(committer_module, "GRACE", -1.0)
    desk.engine.repairs += [EngineFailed("EIO")] * 3
    desk.engine.faults.append(fault)
    desk.engine.door.shut()
    doubtful = desk.take(1, 1)
    desk.engine.door.await_one()
    waiting = desk.take(1, 2)
    desk.engine.repair_door.shut()
    desk.engine.door.open()
    desk.engine.repair_door.await_one()
    desk.engine.repair_door.let_one()
    refusal(doubtful, OutcomeUnknown)
    refusal(waiting)
    assert desk.log == [("suspend", 1)]
    assert desk.committer.down is not None
    desk.engine.repair_door.open()
    desk.lines[1].await_resume()
    assert desk.log[-1] == ("resume", 1, back, 2 - len(back))
    refusal(doubtful, OutcomeUnknown)  # what it heard first stands


def test_within_the_grace_nobody_hears_anything(desk):
    desk.engine.repairs += [EngineFailed("EIO")]
    desk.engine.faults.append("present")
    desk.engine.repair_door.shut()
    pending = desk.take(1, 1)
    for _ in range(2):
        desk.engine.repair_door.await_one()
        assert not pending.done
        desk.engine.repair_door.let_one()
    assert pending.result(10) == "1:1+1"


def test_close_while_the_disk_is_down_ends_and_tells_everybody(desk):
    desk.engine.repairs += [EngineFailed("EIO")] * 1_000
    desk.engine.faults.append("absent")
    desk.engine.door.shut()
    doubtful = desk.take(1, 1)
    desk.engine.door.await_one()
    waiting = desk.take(1, 2)
    desk.engine.door.open()
    assert desk.committer.close(10)
    refusal(doubtful, OutcomeUnknown)
    refusal(waiting)
    assert desk.engine.closed
    with pytest.raises(LedgerUnavailable):
        desk.take(1, 3)


# -- a disk that is full


@pytest.mark.parametrize("fault", ["full", "present"])
def test_callers_hear_at_once_and_the_line_opens_when_there_is_room_again(desk, monkeypatch, fault):
    """What is on disk is decided already; only new ops have to wait for room."""
    monkeypatch.setattr(committer_module, "ROOM_EVERY", 0.0)
    desk.engine.rooms += [EngineFailed("ENOSPC", full=True)] * 3
    desk.engine.faults.append(fault)
    desk.engine.room_door.shut()
    pending = desk.take(1, 1)
    desk.engine.room_door.await_one()
    desk.engine.room_door.let_one()
    if fault == "present":
        assert pending.result(10) == "1:1+1"
    else:
        refusal(pending, LedgerFull)
    with pytest.raises(LedgerFull, match="nothing was handed out"):
        desk.take(1, 2)
    desk.engine.room_door.await_one()
    assert isinstance(desk.committer.down, LedgerFull)
    desk.engine.room_door.open()
    desk.await_up()
    first = 2 if fault == "present" else 1
    assert desk.take(1, first).result(10) == f"1:{first}+1"


def test_close_while_the_disk_is_full_ends(desk):
    desk.engine.rooms += [EngineFailed("ENOSPC", full=True)] * 10_000
    desk.engine.faults.append("full")
    refusal(desk.take(1, 1), LedgerFull)
    assert desk.committer.close(10)
    assert desk.engine.closed


# -- when the files are at fault, though the disk is not


def test_while_the_files_are_gone_nothing_is_applied_and_values_go_back(desk, monkeypatch, caplog):
    monkeypatch.setattr(committer_module, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(committer_module, "LOOK_BUSY", 0.0)
    assert desk.take(1, 1).result(10) == "1:1+1"
    desk.engine.against = LedgerUnavailable("dibs.db is missing from data")
    assert str(desk.committer.down) == "dibs.db is missing from data"
    assert str(refusal(desk.take(1, 2))) == "dibs.db is missing from data"
    assert desk.log[-2:] == [("suspend", 1), ("resume", 1, [2], 1)]
    with pytest.raises(LedgerUnavailable, match=r"dibs\.db is missing"):
        desk.committer.check()
    assert (len(desk.engine.batches), desk.engine.reopenings) == (1, 0)
    until = monotonic() + 10
    while len(desk.engine.rescues) < 3 and monotonic() < until:
        sleep(0.001)  # what could not be saved yet is tried again
    desk.engine.against = None
    desk.await_up()
    assert desk.engine.rescues[-1] is None  # it is told of their return before anything is handed out
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("CRITICAL", "dibs.db is missing from data"),
        ("CRITICAL", "saved"),  # once
        ("WARNING", "the files of the ledger are back; it goes on"),
    ]
    assert desk.take(1, 2).result(10) == "1:2+1"


def test_missing_files_are_noticed_while_nobody_asks(desk, monkeypatch):
    monkeypatch.setattr(committer_module, "LOOK_EVERY", 0.01)
    assert desk.take(1, 1).result(10) == "1:1+1"  # so that it waits with the shorter time
    desk.engine.against = LedgerUnavailable("gone")
    until = monotonic() + 10
    while not desk.engine.rescues and monotonic() < until:
        desk.committer.down  # noqa: B018
    assert desk.engine.rescues


def test_a_damaged_ledger_refuses_all_and_is_not_reopened(desk):
    desk.engine.faults.append(EngineDamaged("a page is wrong"))
    damaged = desk.take(1, 1)
    desk.engine.against = LedgerDamaged("a page is wrong")
    assert str(refusal(damaged, LedgerDamaged)) == "a page is wrong"
    assert str(refusal_of_submit(desk)) == "a page is wrong"
    assert desk.engine.reopenings == 0


def refusal_of_submit(desk):
    with pytest.raises(LedgerDamaged) as caught:
        desk.take(1, 1).result(10)
    return caught.value


@pytest.mark.parametrize("remember", [None, Remember("k", "close", 60_000)], ids=["keyless", "keyed"])
def test_what_had_no_room_is_not_on_disk_and_nobody_is_left_in_doubt(desk, remember):
    desk.engine.faults.append("full")
    refusal(desk.submit(Close(1, remember)), LedgerFull)
    assert type(desk.committer.interruption()) is LedgerFull


def test_what_had_no_room_is_told_so_while_the_reopening_takes_long(desk, monkeypatch):
    monkeypatch.setattr(committer_module, "GRACE", 0.0)
    desk.engine.repairs.append(EngineFailed("not yet"))
    desk.engine.faults.append("full")
    refusal(desk.submit(Close(1)), LedgerFull)
