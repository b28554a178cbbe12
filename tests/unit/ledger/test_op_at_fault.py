"""An op that the ledger refuses fails alone, but for its queue's later draws: they can't stand without it."""

from __future__ import annotations

import pytest
from dibs.errors import LedgerUnavailable, OutcomeUnknown
from dibs.ledger.ops import Close, Pause, Take


def refused(pending):
    with pytest.raises(LedgerUnavailable, match="refused"):
        pending.result(10)


def gather(desk, *submit):
    """Submit all of these so that they make one batch, and let the engine come to it."""
    desk.busy()
    pending = [each() for each in submit]
    desk.step()
    return pending


def test_a_draw_at_fault_fails_with_its_queue_s_later_draws_and_no_others(desk):
    pending = gather(
        desk,
        lambda: desk.take(1, 1),
        lambda: desk.take(2, 7),  # out of order
        lambda: desk.take(1, 2),
        lambda: desk.take(2, 8),
        lambda: desk.submit(Pause(2, True)),
        lambda: desk.take(1, 3),
    )
    desk.engine.door.open()
    assert [pending[at].result(10) for at in (0, 2, 5)] == ["1:1+1", "1:2+1", "1:3+1"]
    assert pending[4].result(10).id == 2
    refused(pending[1])
    refused(pending[3])
    assert desk.log == [("suspend", 2), ("resume", 2, [7, 8], 0)]
    assert desk.engine.queues[1].cursor == 3


def test_later_draws_that_still_wait_in_the_line_fail_with_it(desk):
    (bad,) = gather(desk, lambda: desk.take(2, 7))
    late, other = desk.take(2, 8), desk.take(1, 1)
    desk.engine.door.open()
    refused(bad)
    refused(late)
    assert other.result(10) == "1:1+1"
    assert ("resume", 2, [7, 8], 0) in desk.log
    assert all(op.first != 8 for batch in desk.engine.batches for op in batch if isinstance(op, Take))


def test_an_op_without_a_line_fails_alone(desk):
    bad = Close(1)
    desk.engine.bad.append(bad)
    pending = gather(desk, lambda: desk.take(1, 1), lambda: desk.submit(bad), lambda: desk.take(1, 2))
    desk.engine.door.open()
    assert [pending[at].result(10) for at in (0, 2)] == ["1:1+1", "1:2+1"]
    refused(pending[1])
    assert desk.log == []


@pytest.mark.parametrize("error", [ValueError("surrogate"), KeyError("x"), OverflowError()])
def test_an_exception_that_no_engine_should_raise_is_treated_alike(desk, error):
    desk.engine.faults += [error]
    assert desk.take(1, 1).result(10) == "1:1+1"  # singly it went through
    desk.engine.faults += [error, error]
    refused(desk.take(1, 2))
    assert desk.log[-1] == ("resume", 1, [2], 1)
    assert desk.committer.down is None


def test_the_line_goes_on_before_the_callers_hear(desk):
    desk.engine.door.shut()
    pending = desk.take(2, 7)
    pending.when_done(lambda: desk.log.append("heard"))
    desk.engine.door.open()
    refused(pending)
    assert desk.log == [("suspend", 2), ("resume", 2, [7], 0), "heard"]


@pytest.mark.parametrize(("fault", "granted"), [("absent", False), ("present", True)])
def test_a_disk_that_fails_on_the_way_is_the_failure_rule_s(desk, fault, granted):
    pending = gather(
        desk,
        lambda: desk.take(1, 1),
        lambda: desk.take(2, 7),  # out of order
        lambda: desk.take(1, 2),  # here the disk fails
        lambda: desk.take(2, 8),
        lambda: desk.take(1, 3),
        lambda: desk.submit(Pause(1, True)),
    )
    desk.engine.faults += [None, None, None, fault]
    desk.engine.door.open()
    assert pending[0].result(10) == "1:1+1"
    if granted:
        assert pending[2].result(10) == "1:2+1"
    for each in [pending[1], pending[3], pending[4]] + ([] if granted else [pending[2]]):
        with pytest.raises(LedgerUnavailable):
            each.result(10)
    with pytest.raises(OutcomeUnknown):
        pending[5].result(10)
    resumed = {note[1]: note[2:] for note in desk.log if note[0] == "resume"}
    assert resumed[1] == ([3], 2) if granted else ([2, 3], 1)
    assert sorted(resumed[2][0]) == [7, 8]


def test_each_op_that_went_singly_is_observed(desk):
    pending = gather(desk, lambda: desk.take(1, 1), lambda: desk.take(2, 7), lambda: desk.take(1, 2))
    desk.engine.door.open()
    pending[2].result(10)
    refused(pending[1])
    assert desk.observed == [1, 1, 1]
