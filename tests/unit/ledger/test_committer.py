"""The committer at work: one line, one order, one sync for all that gathers meanwhile."""

from __future__ import annotations

import threading

import pytest
from dibs.errors import LedgerUnavailable, OutcomeUnknown
from dibs.ledger import committer as committer_module
from dibs.ledger.committer import Committer
from dibs.ledger.entry import Entry
from dibs.ledger.ops import Define, EngineFailed, Pause, Take
from dibs.ledger.pending import Pending
from dibs.ledger.work import Parcel, Push


def test_an_op_that_comes_alone_is_committed_alone_and_at_once(desk):
    assert desk.take(1, 1).result(10) == "1:1+1"
    assert desk.take(1, 2).result(10) == "1:2+1"
    assert [len(batch) for batch in desk.engine.batches] == [1, 1] == desk.observed


def test_what_gathers_during_a_sync_shares_the_next_one_in_its_order(desk):
    desk.busy()
    pending = [desk.take(1, 1), desk.take(2, 1), desk.take(1, 2), desk.submit(Pause(2, True))]
    desk.step()  # now the engine is at the second batch
    later = desk.take(2, 2)
    desk.engine.door.open()
    assert [each.result(10) for each in pending[:3]] == ["1:1+1", "2:1+1", "1:2+1"]
    later.result(10)
    assert [[(type(op), op.queue) for op in batch] for batch in desk.engine.batches[1:]] == [
        [(Take, 1), (Take, 2), (Take, 1), (Pause, 2)],
        [(Take, 2)],
    ]
    assert desk.observed == [1, 4, 1]


def test_a_batch_is_bounded_and_the_line_goes_on_in_order(desk, monkeypatch):
    monkeypatch.setattr(committer_module, "BATCH_MOST", 3)
    desk.busy()
    pending = [desk.take(1, first) for first in range(1, 9)]
    desk.engine.door.open()
    assert [each.result(10) for each in pending] == [f"1:{first}+1" for first in range(1, 9)]
    assert desk.observed == [1, 3, 3, 2]


def test_many_threads_each_op_once_and_each_thread_in_its_order(desk, in_thread):
    for queue in range(3, 11):
        desk.engine.add(queue)
        desk.lines[queue] = desk.lines[1]
    begin = threading.Barrier(8)

    def work(queue: int) -> None:
        begin.wait()
        for each in [desk.take(queue, first) for first in range(1, 101)]:
            each.result(10)

    for done in [in_thread(work, queue) for queue in range(3, 11)]:
        done()
    ops = [op for batch in desk.engine.batches for op in batch]
    for queue in range(3, 11):
        assert [op.first for op in ops if op.queue == queue] == list(range(1, 101))
    assert len(ops) == 800 == sum(desk.observed)


def test_without_an_answer_of_its_own_the_caller_gets_the_engine_s_outcome(desk):
    assert desk.submit(Pause(2, True)).result(10).id == 2


def test_settled_runs_on_the_committer_s_thread_before_the_caller_wakes(desk):
    seen = []

    def settled(outcome):
        seen.append((threading.current_thread().name, outcome.id, pending.done))

    pending: Pending = Pending()
    desk.committer.submit(Entry(Pause(1, True), pending, settled=settled))
    pending.result(10)
    assert seen == [("dibs-committer", 1, False)]


def test_what_an_owner_makes_of_an_outcome_harms_nobody(desk):
    def settled(_):
        raise ZeroDivisionError

    assert desk.submit(Pause(1, True), settled=settled).result(10).id == 1
    assert desk.take(1, 1).result(10)


def test_a_caller_that_goes_away_changes_nothing_in_the_line(desk):
    first = desk.busy()
    given_up, behind = desk.take(1, 1), desk.take(1, 2)
    with pytest.raises(TimeoutError):
        given_up.result(0)
    desk.engine.door.open()
    assert behind.result(10) == "1:2+1"
    assert given_up.result(10) == "1:1+1"
    assert first.result(10)


# -- going down


def test_close_commits_what_is_in_the_line_and_refuses_what_comes_after(desk):
    desk.busy()
    pending = [desk.take(1, first) for first in range(1, 4)]
    desk.engine.door.open()
    assert desk.committer.close(10)
    assert all(each.done for each in pending)
    assert [each.result(0) for each in pending] == ["1:1+1", "1:2+1", "1:3+1"]
    assert desk.engine.closed
    with pytest.raises(LedgerUnavailable, match="going down"):
        desk.take(1, 4)
    with pytest.raises(LedgerUnavailable, match="going down"):
        desk.committer.check()


def test_close_with_nothing_to_do_and_close_again(desk):
    assert desk.committer.close(10)
    assert desk.committer.close(10)
    assert desk.engine.closed


def test_close_does_not_wait_longer_than_it_was_told_to(desk):
    pending = desk.busy()
    assert desk.committer.close(0) is False
    assert not desk.engine.closed
    desk.engine.door.open()
    pending.result(10)
    assert desk.committer.close(10)


def test_a_committer_that_can_not_go_on_says_so_to_everybody(desk, in_thread):
    """A bug, not a fault of the disk: even then nobody hangs and nothing is promised."""

    def refresh(rows):
        raise ZeroDivisionError

    engine = desk.engine.__class__()
    engine.add(1)
    committer = Committer(engine, refresh=refresh)
    engine.door.shut()
    doubtful, waiting = Pending(), Pending()
    committer.submit(Entry(Take(1, 1, 1), doubtful))
    engine.door.await_one()
    committer.submit(Entry(Take(1, 2, 1), waiting))
    engine.faults.append("absent")
    engine.door.open()
    with pytest.raises(OutcomeUnknown):
        doubtful.result(10)
    with pytest.raises(LedgerUnavailable):
        waiting.result(10)
    assert committer.close(10)
    assert engine.closed
    with pytest.raises(LedgerUnavailable, match="restart"):
        committer.submit(Entry(Define("x", "count", "{}"), Pending()))
    assert committer.down is not None


# -- ledger time, while nothing else is written


def test_ledger_time_is_kept_when_it_is_due_and_nothing_else_is_written(desk):
    desk.engine.unheard_for = 0.0
    desk.take(1, 1).result(10)
    assert desk.engine.kept.wait(10)
    assert desk.take(1, 2).result(10) == "1:2+1"
    assert len(desk.engine.batches) == 2


def test_a_disk_that_fails_at_that_is_met_as_at_any_commit(desk):
    desk.engine.unheard_for, desk.engine.stopped = 0.0, EngineFailed("EIO")
    desk.take(1, 1).result(10)
    assert desk.engine.kept.wait(10)
    while desk.committer.reopened == 0:
        threading.Event().wait(0.001)
    while desk.committer.down is not None:
        threading.Event().wait(0.001)
    assert desk.take(1, 2).result(10) == "1:2+1"


def test_a_batch_is_bounded_in_bytes_too(desk, monkeypatch):
    monkeypatch.setattr(committer_module, "BATCH_BYTES", 25)
    desk.busy()
    pushes = [desk.submit(Push(1, (Parcel(("x" * size,)),))) for size in (10, 10, 10, 40, 1)]
    desk.engine.door.open()
    for each in pushes:
        each.result(10)
    assert [len(batch) for batch in desk.engine.batches[1:]] == [3, 1, 1]
