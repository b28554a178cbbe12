"""Serve: keys, of single requests and of sessions."""

from __future__ import annotations

import apsw
import pytest
from asks import LENGTH, ROOM, block, lease, seqs, settle, take, verdicts
from dibs.ledger.ops import Advance, Close, Define, Delete, OpFailed, Pause
from dibs.ledger.serve import After, Ask, Handed, HandOut, Key, Keyed, Refusal, Replay, Serve, Served
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import (
    Ack,
    Extend,
    Nack,
    Parcel,
    Push,
    Pushed,
    QueueSettings,
    Redrive,
    Span,
    Sweep,
)

K = Key("k", "d")


@pytest.fixture
def count(ledger) -> int:
    return ledger.define().id


def ask(ledger, queue, *asks, **options):
    return ledger.round(queue, *asks, length=LENGTH, **options)


def answers(ledger) -> int:
    """How many answers are kept."""
    return ledger.engine._store.answers._execute("SELECT count(*) FROM answer").get


# -- single requests


@pytest.mark.parametrize("want", [take(3, K), lease("t", 3, K), block(3, K)])
def test_a_known_key_gives_its_filed_answer_and_nothing_more(ledger, count, want):
    [first] = ask(ledger, count, want)
    assert (seqs(first), first.replayed, first.handed.fresh) == ([1, 2, 3], False, True)
    ledger.time.pass_(40_000)
    [again] = ask(ledger, count, want)
    filed = first.handed._replace(fresh=False, source=("count", "{}"))
    assert again == first._replace(handed=filed, replayed=True)
    assert ledger.engine.row(count).cursor == 3


def test_waiting_items_are_filed_with_their_attempts(ledger):
    queue = ledger.jobs("1", "2", "3", "4")
    ledger.round(queue, lease("t", 2, ttl=1_000))
    ledger.round(queue, settle(Nack("t", ((1, 1),), 1)))
    ledger.time.pass_(1_000)
    now = ledger.engine.now()
    [first] = ledger.round(queue, lease("u", 9, K))
    assert first.handed == Handed((Span(3, 4, 1), Span(1, 1, 2)), ("3", "4", "1"), "u", now + 30_000)
    assert ledger.round(queue, lease("u", 9, K)) == (first._replace(replayed=True),)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Key("k", "e"), "key-reused"),
        (Key("k", "d", 1), "key-reused"),
        (Key("k", "d", caller="bo"), None),
        (Key("l", "d"), None),
    ],
)
def test_a_key_is_one_request_of_one_caller(ledger, count, other, why):
    for together in (False, True):
        name = f"k{together}"
        mine, his = take(1, K._replace(text=name)), take(1, other._replace(text=other.text + name[1:]))
        if together:
            served = ask(ledger, count, mine, his)[1]
        else:
            ask(ledger, count, mine)
            [served] = ask(ledger, count, his)
        assert (served.why, seqs(served) is None) == (why, why is not None)


def test_of_two_with_one_key_in_a_batch_the_second_gets_the_answer_of_the_first(ledger, count):
    first, second, third = ask(ledger, count, lease("t", 2, K), lease("t", 2, K), take())
    filed = first.handed._replace(fresh=False, source=("count", "{}"))
    assert second == first._replace(handed=filed, replayed=True)
    assert (seqs(first), seqs(third)) == ([1, 2], [3])
    assert ask(ledger, count, lease("t", 2, K)) == (second,)


def test_an_answer_that_changed_nothing_is_not_kept(ledger):
    queue = ledger.jobs()
    both = ledger.round(queue, take(1, K), take(1, K))
    assert both == (Served(why="empty"),) * 2
    ledger.push(queue, "1")
    [first] = ledger.round(queue, take(1, K))  # the request runs again
    assert (seqs(first), first.replayed) == ([1], False)
    assert ledger.round(queue, take(1, K))[0].replayed


def test_stale_entries_alone_are_not_kept_and_an_ack_is(ledger, count):
    [stale] = ask(ledger, count, settle(Ack("t"), key=K))
    assert (verdicts(stale), stale.replayed) == (["stale"], False)
    ask(ledger, count, lease("t"))
    [acked] = ask(ledger, count, settle(Ack("t"), key=K))
    [again] = ask(ledger, count, settle(Ack("t"), key=K))
    assert (verdicts(acked), again) == (["acked"], acked._replace(replayed=True))


def test_an_expired_key_counts_as_unknown_and_its_row_is_replaced(ledger, count):
    ask(ledger, count, take(1, K), key_ttl=1_000)
    ledger.time.pass_(999)
    assert ask(ledger, count, take(1, K))[0].replayed
    ledger.time.pass_(1)
    assert seqs(ask(ledger, count, take(1, Key("k", "e")))[0]) == [2]
    [again] = ask(ledger, count, take(1, Key("k", "e")))
    assert (seqs(again), again.replayed) == ([2], True)


def test_the_setting_of_a_queue_says_how_long_its_answers_are_kept(ledger):
    queue = ledger.define(settings=QueueSettings(key_ttl=1_000)).id
    ask(ledger, queue, take(1, K))
    ledger.time.pass_(1_000)
    assert seqs(ask(ledger, queue, take(1, K))[0]) == [2]


def test_keys_are_known_of_a_deleted_queue_too_and_belong_to_the_generation(ledger, count):
    ask(ledger, count, take(1, K))
    ledger.do(Delete(count))
    known, other = ask(ledger, count, take(1, K), take(1, Key("l", "d")))
    assert (seqs(known), known.replayed, other.why) == ([1], True, "deleted")
    assert ask(ledger, ledger.define().id, take(1, K))[0].replayed
    reset = ledger.define(reset=True).id
    assert seqs(ask(ledger, reset, take(1, K))[0]) == [1]
    assert ledger.engine.row(reset).taken == 1


def test_a_known_key_is_answered_while_a_queue_is_paused_or_ended(ledger, count):
    ask(ledger, count, take(1, K))
    ledger.do(Pause(count, True))
    assert ask(ledger, count, take(1, K))[0].replayed
    ledger.do(Close(count))
    assert ask(ledger, count, take(1, K))[0].replayed


def test_a_damaged_answer_is_refused_and_stays(folder):
    engine = SqliteEngine(folder)
    serve = Serve(1, 1, (take(1, K), take(1, Key("l", "d"))), length=LENGTH)
    engine.apply([serve])
    engine.close()
    with apsw.Connection(str(folder / "dibs.db")) as file:
        file.execute("UPDATE answer SET outcome = replace(outcome, '4', '3') WHERE key = 'k'")
    file.close()
    engine = SqliteEngine(folder)
    [(bad, good)] = engine.apply([serve]).outcomes
    assert (bad, good.replayed) == (Served(why="damaged"), True)
    assert engine.row(1).cursor == 5
    engine.close()


# -- sessions


def test_the_answer_of_n_takes_the_place_of_the_one_before(ledger, count):
    for n in (1, 2, 7):
        key = Key("s", f"d{n}", n)
        [first] = ask(ledger, count, take(1, key))
        [again] = ask(ledger, count, take(1, key))
        assert (first.replayed, again.replayed, seqs(first) == seqs(again)) == (False, True, True)
    [below] = ask(ledger, count, take(1, Key("s", "d2", 2)))
    assert below == Served(why="key-superseded")
    assert ledger.engine.row(count).cursor == 3


@pytest.mark.parametrize("forget", [False, True])
def test_a_number_is_one_request(ledger, count, forget):
    ask(ledger, count, take(1, Key("s", "d", 4)))
    if forget:
        ledger.engine.reopen()
    for key, why in [
        (Key("s", "e", 4), "key-reused"),
        (Key("s", "d"), "key-reused"),
        (Key("s", "d", 3), "key-superseded"),
        (Key("s", "d", 4), None),
    ]:
        [served] = ask(ledger, count, take(1, key))
        assert (served.why, served.replayed) == (why, why is None)


def test_the_ledger_grows_with_the_sessions_not_with_their_calls(ledger, count):
    for n in range(1, 50):
        ask(ledger, count, *[take(1, Key(s, "d", n)) for s in "abc"])
    assert answers(ledger) == 3


def test_an_answer_of_a_session_lives_a_day_up_to_a_full_hour(ledger, count):
    hour = 3_600_000
    ask(ledger, count, take(1, Key("s", "d", 1)), key_ttl=2**63 - 1)
    ask(ledger, count, take(1, Key("t", "d", 1)), key_ttl=2 * hour)
    rows = dict(ledger.engine._store.answers._execute("SELECT key, expires FROM answer"))
    for key, ttl in (("s", 24 * hour), ("t", 2 * hour)):
        assert rows[key] % hour == 0
        assert 0 <= rows[key] - ledger.engine.now() - ttl < hour
    ledger.time.pass_(3 * hour)
    [anew, kept] = ask(ledger, count, take(1, Key("t", "e", 1)), take(1, Key("s", "d", 1)))
    assert (anew.replayed, kept.replayed) == (False, True)


def test_the_expiry_moves_with_the_hour(ledger, count):
    hour = 3_600_000
    for n in (1, 2, 3):
        ask(ledger, count, take(1, Key("s", "d", n)), key_ttl=2 * hour)
        ledger.time.pass_(90 * 60_000)
    [kept] = ask(ledger, count, take(1, Key("s", "d", 3)))
    assert kept.replayed
    ledger.time.pass_(2 * hour)
    [anew] = ask(ledger, count, take(1, Key("s", "d", 1)))
    assert (seqs(anew), anew.replayed) == ([4], False)


def test_a_later_request_of_a_session_in_a_batch_ends_the_earlier(ledger, count):
    ask(ledger, count, lease("t", 2))
    [old, again, new] = ask(
        ledger,
        count,
        settle(Ack("t"), key=Key("s", "d1", 1), then=take()),
        settle(Ack("t"), key=Key("s", "d1", 1), then=take()),
        take(1, Key("s", "d2", 2)),
    )
    assert (old, again.why) == (Served(why="key-superseded"), "key-superseded")
    assert seqs(new) == [3]
    assert ledger.inside(count) == {1: "leased", 2: "leased"}


def test_a_transaction_that_fails_leaves_no_position_behind(ledger, count):
    serve = Serve(count, 1, (take(1, Key("s", "d", 1)),), length=LENGTH)
    ledger.engine.apply([serve])
    with pytest.raises(OpFailed, match="no engine knows"):
        ledger.engine.apply([serve._replace(asks=(take(1, Key("s", "d", 2)),)), "no op"])
    [served] = ask(ledger, count, take(1, Key("s", "d", 2)))
    assert (seqs(served), served.replayed) == ([2], False)
    [below] = ask(ledger, count, take(1, Key("s", "d", 1)))
    assert below.why == "key-superseded"


# -- a settling whose lease came later


def test_a_settling_is_filed_before_its_lease_and_the_lease_into_it(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u", 2))
    [first] = ledger.round(queue, want)
    assert (verdicts(first), first.why, first.replayed) == (["acked"], "empty", False)
    later = want._replace(settled=first.entries)
    assert ledger.round(queue, later) == (first._replace(replayed=True),)
    ledger.push(queue, "2", "3", "4")
    [leased] = ledger.round(queue, later)
    assert (verdicts(leased), seqs(leased)) == (["acked"], [2, 3])
    assert (leased.replayed, leased.known) == (False, True)
    for again in ledger.round(queue, later, want):
        assert again == leased._replace(
            replayed=True, known=False
        )  # a lease that is there already is the answer
    assert ledger.inside(queue) == {2: "leased", 3: "leased", 4: "waiting"}


def test_a_repeat_of_a_settling_without_its_lease_asks_for_the_lease_again(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u", 2))
    [first] = ledger.round(queue, want)
    assert ledger.round(queue, want) == (first._replace(replayed=True),)
    ledger.push(queue, "2")
    [leased, second] = ledger.round(queue, want, want)
    assert (verdicts(leased), seqs(leased), leased.replayed) == (["acked"], [2], False)
    assert second == leased._replace(replayed=True)
    assert ledger.engine.row(queue).acked == 1


@pytest.mark.parametrize(
    ("meanwhile", "why"), [(Key("s", "e", 2), "key-superseded"), (Key("s", "e", 9), "key-superseded")]
)
def test_nothing_is_leased_into_the_answer_of_a_later_request(ledger, meanwhile, why):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=Key("s", "d", 1), then=lease("u"))
    [first] = ledger.round(queue, want)
    ledger.push(queue, "2", "3")
    ledger.round(queue, take(1, meanwhile))
    [refused] = ledger.round(queue, want._replace(settled=first.entries))
    assert (refused.why, seqs(refused)) == (why, None)
    assert ledger.inside(queue) == {3: "waiting"}


def test_nothing_is_leased_where_another_request_has_the_key(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.round(queue, take(1, K))
    other = Ask(HandOut(1, ROOM), (Ack("t"),), Key("k", "e"), settled=((),))
    assert ledger.round(queue, other)[0].why == "key-reused"
    assert ledger.inside(queue) == {2: "waiting", 3: "waiting"}


def test_a_pruned_settling_is_written_anew_with_its_lease(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u"))
    [first] = ledger.round(queue, want, key_ttl=2_000)
    ledger.time.pass_(10_000)
    ledger.push(queue, "2")
    assert answers(ledger) == 0
    [leased] = ledger.round(queue, want._replace(settled=first.entries))
    assert (verdicts(leased), seqs(leased), leased.replayed) == (["acked"], [2], False)
    assert ledger.round(queue, want) == (leased._replace(replayed=True),)


def test_a_settling_without_a_key_goes_on_for_its_lease_alone(ledger):
    queue = ledger.jobs("1", "2")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), then=lease("u"))._replace(settled=((),))
    [served] = ledger.round(queue, want)
    assert (served.entries, seqs(served)) == (((),), [2])
    assert ledger.engine.row(queue).acked == 0


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
