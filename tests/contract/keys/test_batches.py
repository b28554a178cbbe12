"""Keys of other ops, and of several in one batch."""

from __future__ import annotations

import pytest
from asks import LENGTH, lease, seqs, settle, take
from dibs.ledger.ops import Advance, Close, Define, Delete, Pause
from dibs.ledger.serve import After, Key, Keyed, Refusal, Replay, Serve
from dibs.ledger.work import (
    Extend,
    Parcel,
    Push,
    Pushed,
    Redrive,
    Sweep,
)

from .conftest import answers, ask

# -- all other ops


def test_any_other_op_is_applied_once_for_its_key(ledger):
    defining = Keyed(Define("jobs", "", "{}"), Key("k", "define"))
    first, second = ledger.engine.apply([defining, defining]).outcomes
    queue = first.id
    assert second == Replay(first)
    pushing = Keyed(Push(queue, (Parcel(("1", "2")),)), Key("p", "push"))
    batch = [pushing, pushing, Keyed(Push(queue, ()), Key("p", "other")), defining]
    pushed, again, other, defined = ledger.engine.apply(batch).outcomes
    assert (pushed, again, other, defined) == (
        Pushed(range(1, 3), (), ledger.engine.now()),
        Replay(pushed),
        Refusal("key-reused"),
        Replay(first),
    )
    assert ledger.engine.apply([pushing]).outcomes == (Replay(pushed),)
    for op in (Pause(queue, True), Close(queue), Delete(queue)):
        [row], [replay] = (
            ledger.engine.apply([Keyed(op, Key(type(op).__name__, "d"))]).outcomes for _ in range(2)
        )
        assert replay == Replay(row)


def test_an_op_that_changed_nothing_is_not_kept(ledger):
    queue = ledger.jobs("1", max_ready=1)
    full = Keyed(Push(queue, (Parcel(("2",)),)), Key("p", "push"))
    held = Keyed(Delete(queue, confirmed=False), Key("x", "delete"))
    begun = Keyed(Define("jobs", "", "{}", reset=True, confirmed=False), Key("y", "define"))
    none = Keyed(Redrive(queue), Key("z", "redrive"))
    batch = [full, held, begun, none]
    [pushed, row, defined, moved] = ledger.engine.apply(batch).outcomes
    assert (pushed.refused, row.why, defined.why, moved.count) == ("full", "not-empty", "not-empty", 0)
    ledger.round(queue, take())
    [pushed, row, *_] = ledger.engine.apply(batch[:2]).outcomes
    assert (list(pushed.seqs), row.why) == ([2], "not-empty")


def test_ops_with_keys_and_asks_are_one_batch(ledger, count):
    jobs = ledger.jobs()
    applied = ledger.engine.apply(
        [
            Serve(jobs, 1, (lease("t", 9),)),
            Keyed(Push(jobs, (Parcel(("1", "2")),)), Key("k", "push")),
            Serve(count, 1, (take(2),), length=LENGTH),
        ]
    )
    [leased], pushed, [taken] = applied.outcomes
    assert (seqs(leased), pushed.seqs, seqs(taken)) == ([1, 2], range(1, 3), [1, 2])
    due = ledger.engine.now() + 30_000
    assert applied.after == {
        jobs: After(jobs, 1, 2, None, None, False, False, due, False),
        count: After(count, 1, 2, None, None, False, False, None, False),
    }
    assert applied.number == ledger.engine.number()


def test_a_repeat_and_the_next_request_of_a_session_are_one_batch(ledger, count):
    [first] = ask(ledger, count, take(1, Key("s", "d", 1)))
    ask(ledger, count, take(1, Key("s", "d", 1)))  # how far it has come is known now
    again, second = ask(ledger, count, take(1, Key("s", "d", 1)), take(1, Key("s", "e", 2)))
    assert (seqs(again), again.replayed) == (seqs(first), True)
    assert (seqs(second), second.replayed) == ([2], False)


@pytest.mark.parametrize("n", [1, 5, 6])
def test_a_session_whose_answer_was_pruned_begins_again_at_any_number(ledger, count, n):
    ask(ledger, count, take(1, Key("s", "d", 5)))
    ask(ledger, count, take(1, Key("s", "d", 5)))  # how far it has come is known now, and until when
    ledger.time.pass_(26 * 3_600_000)
    ask(ledger, count, take(1))
    assert answers(ledger) == 0
    [served] = ask(ledger, count, take(1, Key("s", "e", n)))
    assert (seqs(served), served.replayed) == ([3], False)


def test_of_two_ops_of_a_session_in_a_batch_the_later_is_filed_whatever_their_times(ledger):
    jobs = ledger.jobs()

    def push(n: int, ttl: int) -> Keyed:
        return Keyed(Push(jobs, (Parcel((str(n),)),)), Key("s", f"d{n}", n), ttl)

    ledger.engine.apply([push(1, 3_600_000)])
    ledger.engine.apply([push(2, 36_000_000), push(3, 3_600_000)])
    ledger.engine.reopen()
    [told] = ledger.engine.apply([push(3, 3_600_000)]).outcomes
    assert told == Replay(Pushed(range(3, 4), (), ledger.engine.now()))


def test_a_batch_that_changes_nothing_has_no_number(ledger, count):
    number = ledger.engine.number()
    ledger.do(Advance(count, 4))
    assert ledger.engine.number() == number + 1
    applied = ledger.engine.apply([Serve(count, 1, ())])
    assert (applied.number, ledger.engine.number()) == (0, number + 1)
    ledger.engine.reopen()
    assert ledger.engine.number() == number + 1


def test_whatever_a_batch_changes_its_number_is_on_disk_with_it(ledger, count):
    jobs = ledger.jobs("1", name="jobs")

    def numbered(*ops) -> None:
        applied = ledger.engine.apply(ops)
        assert applied.number > 0
        ledger.engine.reopen()
        assert ledger.engine.number() == applied.number

    numbered(Serve(count, 1, (take(1),), length=9))
    numbered(Serve(count, 1, (take(1),), length=9), Serve(jobs, 1, (lease("t"),)))
    numbered(Serve(jobs, 1, (settle(Extend("t", 90_000)),)))
    numbered(Pause(jobs, True))
    numbered(Define("other", "", "{}"))
    numbered(Define("jobs", "", "{}", reset=True))
    numbered(Serve(count, 1, (take(1),), length=9))
    numbered(Define("q", "count", "{}", reset=True))
    numbered(Push(ledger.define("other", "").id, (Parcel(("1",)),)))
    numbered(Define("other", "", "{}", reset=True))
    for row in (count, jobs, 3, 4):
        if ledger.engine.apply([Sweep(row)]).number:
            number = ledger.engine.number()
            ledger.engine.reopen()
            assert ledger.engine.number() == number  # the row with the last number may have gone
