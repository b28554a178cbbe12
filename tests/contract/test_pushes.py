"""Pushes: at the end of a queue, whole or not at all, each key once, bounded by what waits."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Advance, Close, Define, Delete, Pause
from dibs.ledger.work import FOREVER, MAX_SEQ, Ack, Nack, Parcel, Purge, Push, Result
from words import apply


def test_items_are_pushed_at_the_end_with_their_seqs(ledger):
    queue = ledger.jobs()
    pushed = ledger.push(queue, '"a"', '"b"')
    assert (list(pushed.seqs), pushed.known, pushed.refused) == ([1, 2], (), None)
    assert pushed.due == ledger.engine.now()
    assert list(ledger.push(queue, '"c"').seqs) == [3]
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.inside) == (3, 0, 3)
    assert [(item.seq, item.state, item.attempt, item.text) for item in ledger.items(queue)] == [
        (1, "waiting", 0, '"a"'),
        (2, "waiting", 0, '"b"'),
        (3, "waiting", 0, '"c"'),
    ]


def test_parcels_of_one_push_have_delays_and_priorities_of_their_own(ledger):
    queue = ledger.jobs()
    now = ledger.engine.now()
    parcels = (Parcel(("1", "2"), 500, 9), Parcel(("3",), 200, 0), Parcel(("4",), 900, 4))
    pushed = ledger.do(Push(queue, parcels))
    assert (list(pushed.seqs), pushed.due) == ([1, 2, 3, 4], now + 200)
    assert [(item.seq, item.due - now, item.priority) for item in ledger.items(queue)] == [
        (1, 500, 9),
        (2, 500, 9),
        (3, 200, 0),
        (4, 900, 4),
    ]
    counts = ledger.engine.counts(queue)
    assert (counts.waiting, counts.delayed) == (4, 4)


# -- refusals


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Close, "closed"),
        (Delete, "unknown"),
    ],
)
def test_a_queue_that_takes_no_more_refuses_with_the_reason(ledger, spoil, reason):
    queue = ledger.jobs("1")
    ledger.do(spoil(queue))
    before = ledger.all()
    pushed = ledger.push(queue, "2")
    assert (list(pushed.seqs), pushed.known, pushed.refused) == ([], (), reason)
    assert ledger.all() == before


def test_a_source_and_a_queue_that_never_was_refuse_too(ledger):
    queue = ledger.define().id
    assert ledger.push(queue, "1").refused == "source"
    assert ledger.push(99, "1").refused == "unknown"
    assert ledger.items(queue) == []


def test_a_refusal_undoes_nothing_else_of_its_batch(ledger):
    queue, closed = ledger.jobs(name="a"), ledger.jobs(name="b")
    ledger.do(Close(closed))
    ops = [Push(queue, (Parcel(("1",)),)), Push(closed, (Parcel(("1",)),)), Push(queue, (Parcel(("2",)),))]
    assert [pushed.refused for pushed in apply(ledger.engine, *ops)] == [None, "closed", None]
    assert sorted(ledger.inside(queue)) == [1, 2]


def test_a_paused_queue_takes_pushes(ledger):
    queue = ledger.jobs()
    ledger.do(Pause(queue, True))
    assert ledger.push(queue, "1").refused is None


# -- how much may wait


def test_a_push_that_would_pass_max_ready_is_refused_whole(ledger):
    queue = ledger.jobs("1", "2", max_ready=3)
    ledger.push(queue, "3", delay=10_000)
    before = ledger.all()
    pushed = ledger.push(queue, "4", keys=("k",))
    assert (list(pushed.seqs), pushed.refused, pushed.ready) == ([], "full", 3)
    assert ledger.all() == before
    ledger.claim(queue, 1)
    pushed = ledger.push(queue, "4", "5")
    assert (pushed.refused, pushed.ready) == ("full", 2)
    assert list(ledger.push(queue, "4", keys=("k",)).seqs) == [4]  # its key was not kept by the refusal


def test_exactly_full_is_not_over(ledger):
    queue = ledger.jobs(max_ready=3)
    assert ledger.push(queue, "1", "2", "3", "4").refused == "full"
    assert ledger.push(queue, "1", "2", "3").refused is None
    assert ledger.push(queue, "4").refused == "full"


def test_what_comes_back_counts_as_ready_and_what_is_dead_or_leased_does_not(ledger):
    queue = ledger.jobs("1", "2", max_ready=2, max_attempts=2)
    ledger.claim(queue)
    assert ledger.push(queue, "3").refused is None
    ledger.one(queue, Nack("t", ((1, 1),)))
    assert ledger.push(queue, "4").refused == "full"
    ledger.claim(queue, token="u")
    ledger.time.pass_(1_000)
    ledger.claim(queue, token="v")
    assert ledger.one(queue, Nack("v")) == [(1, "dead")]
    assert ledger.push(queue, "4", "5").refused is None


def test_an_unbounded_push_passes_max_ready(ledger):
    queue = ledger.jobs("1", max_ready=1)
    assert ledger.push(queue, "2", bounded=False).refused is None


def test_known_items_take_no_room(ledger):
    queue = ledger.jobs(max_ready=2)
    ledger.push(queue, "1", "2", keys=("a", "b"))
    pushed = ledger.push(queue, "1", "2", keys=("a", "b"))
    assert (list(pushed.seqs), pushed.known, pushed.refused) == ([1, 2], (0, 1), None)
    assert ledger.push(queue, "1", "3", keys=("a", "c")).refused == "full"


def test_no_bound_is_any_number(ledger):
    queue = ledger.jobs()
    assert len(ledger.push(queue, *map(str, range(10_000))).seqs) == 10_000
    assert ledger.engine.counts(queue).waiting == 10_000


# -- keys


def test_a_known_key_is_not_pushed_again_and_its_seq_is_told(ledger):
    queue = ledger.jobs()
    ledger.push(queue, '"a"', '"b"', keys=("k", None))
    pushed = ledger.push(queue, '"c"', '"other"', '"d"', keys=(None, "k", "l"))
    assert (list(pushed.seqs), pushed.known) == ([3, 1, 4], (1,))
    assert [item.text for item in ledger.items(queue)] == ['"a"', '"b"', '"c"', '"d"']
    assert ledger.engine.row(queue).cursor == 4


def test_a_key_twice_in_one_push_is_pushed_once(ledger):
    queue = ledger.jobs()
    parcels = (Parcel(("1", "2", "3"), keys=("k", "k", "l")), Parcel(("4", "5"), 700, keys=("l", "m")))
    pushed = ledger.do(Push(queue, parcels))
    assert (list(pushed.seqs), pushed.known) == ([1, 1, 2, 2, 3], (1, 3))
    assert [item.text for item in ledger.items(queue)] == ["1", "3", "5"]
    ledger.balanced(queue)


def test_a_key_twice_in_one_transaction_is_pushed_once(ledger):
    queue = ledger.jobs()
    first, second = (Push(queue, (Parcel(texts, keys=("k", None)),)) for texts in (("1", "2"), ("3", "4")))
    pushed, again = apply(ledger.engine, first, second)
    assert (list(pushed.seqs), list(again.seqs), again.known) == ([1, 2], [1, 3], (0,))
    assert [item.text for item in ledger.items(queue)] == ["1", "2", "4"]


def test_only_known_items_push_nothing(ledger):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("k",))
    before = ledger.all()
    pushed = ledger.push(queue, "1", keys=("k",))
    assert (list(pushed.seqs), pushed.known, pushed.due) == ([1], (0,), None)
    assert ledger.all() == before


def test_a_key_is_known_after_its_item_is_done(ledger):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("k",))
    ledger.claim(queue)
    ledger.one(queue, Ack("t"))
    assert list(ledger.push(queue, "1", keys=("k",)).seqs) == [1]
    assert ledger.items(queue) == []


@pytest.mark.parametrize("ttl", [1, 5_000])
def test_a_key_is_known_for_its_ttl_and_not_a_millisecond_more(ledger, ttl):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("k",), key_ttl=ttl)
    ledger.time.pass_(ttl - 1)
    assert ledger.push(queue, "1", keys=("k",), key_ttl=ttl).known == (0,)  # and this does not renew it
    ledger.time.pass_(1)
    pushed = ledger.push(queue, "2", keys=("k",), key_ttl=ttl)
    assert (list(pushed.seqs), pushed.known) == ([2], ())
    assert ledger.push(queue, "2", keys=("k",), key_ttl=ttl).known == (0,)


def test_keys_belong_to_queue_and_generation(ledger):
    queue, other = ledger.jobs(name="a"), ledger.jobs(name="b")
    ledger.push(queue, "1", keys=("k",))
    assert ledger.push(other, "1", keys=("k",)).known == ()
    ledger.do(Delete(queue))
    queue = ledger.do(Define("a", "", "{}")).id
    assert ledger.push(queue, "1", keys=("k",)).known == ()  # deleting forgets what was done and what was not
    assert ledger.push(queue, "1", keys=("k",)).known == (0,)
    queue = ledger.do(Define("a", "", "{}", reset=True)).id
    assert ledger.push(queue, "1", keys=("k",)).known == ()
    assert ledger.push(other, "1", keys=("k",)).known == (0,)


def test_an_item_that_was_purged_can_be_pushed_again(ledger):
    queue = ledger.jobs(max_attempts=1)
    names = ("done", "dead", "leased", "waits")
    ledger.push(queue, *"12345", keys=(*names, None))
    ledger.claim(queue, 1, None)
    ledger.claim(queue, 1, "dead")
    ledger.one(queue, Nack("dead"))
    ledger.claim(queue, 1, "held")
    assert ledger.do(Purge(queue, ("dead",))).count == 1
    assert ledger.push(queue, *"1234", keys=names).known == (0, 2, 3)
    assert ledger.do(Purge(queue, ("waiting",))).count == 3
    assert ledger.push(queue, *"1234", keys=names).known == (0, 2)


def test_a_queue_knows_keys_for_its_own_time(ledger):
    for ttl, known in ((1_000, ()), (FOREVER, (0,)), (None, ())):
        queue = ledger.jobs(name=f"q{ttl}", item_key_ttl=ttl)
        ledger.push(queue, "1", keys=("k",), key_ttl=60_000)
        ledger.time.pass_(60_000)
        assert ledger.push(queue, "1", keys=("k",), key_ttl=60_000).known == known


def test_a_key_keeps_the_time_that_it_was_given(ledger):
    queue = ledger.jobs(item_key_ttl=1_000)
    ledger.push(queue, "1", keys=("before",))
    ledger.jobs(item_key_ttl=FOREVER)
    ledger.push(queue, "1", keys=("after",))
    ledger.time.pass_(1_000)
    assert ledger.push(queue, "1", "1", keys=("before", "after")).known == (1,)


def test_the_keys_of_results_follow_the_queue_that_they_go_to(ledger):
    jobs, done = ledger.jobs("1", "2"), ledger.jobs(name="done", item_key_ttl=FOREVER)
    for token in "ab":
        ledger.claim(jobs, 1, token)
        ledger.one(jobs, Ack(token, push=(Result("done", "9", key="k"),)), item_key_ttl=1)
        ledger.time.pass_(10)
    assert ledger.engine.row(done).cursor == 1


@pytest.mark.parametrize("key", ["", "x" * 255, "ä", "K", "k ", "k\0", "%", "🔑"])
def test_keys_are_told_apart_exactly(ledger, key):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("k",))
    assert ledger.push(queue, "2", keys=(key,)).known == ()
    assert list(ledger.push(queue, "2", keys=(key,)).seqs) == [2]


def test_keys_live_over_a_restart(ledger):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("k",))
    ledger.restart()
    assert ledger.push(queue, "1", keys=("k",)).known == (0,)


def test_keys_are_found_by_how_they_begin(ledger):
    queue, other = ledger.jobs(), ledger.jobs(name="other")
    ledger.push(queue, *"12345", keys=("a-2", "a-1", "ab", "A-1", "a-\U0010fffe"))
    ledger.push(other, "1", keys=("a-3",))
    ledger.do(Push(queue, (Parcel(("6",), keys=("a-5",)),), 1_000))

    def found(prefix, after="", most=9, generation=1):
        return ledger.engine.item_keys(queue, generation, prefix, after=after, most=most)

    assert found("a-") == [("a-1", 2), ("a-2", 1), ("a-5", 6), ("a-\U0010fffe", 5)]
    assert found("a-", most=1) == [("a-1", 2)]
    assert found("a-", after="a-1", most=2) == [("a-2", 1), ("a-5", 6)]
    assert found("a%") == found("a-", generation=2) == []
    assert found("")[0] == ("A-1", 4)
    ledger.time.pass_(1_000)
    assert ("a-5", 6) not in found("a-")
    ledger.do(Purge(queue, ("waiting",)))
    assert found("") == []


def test_a_thousand_keys_of_which_half_are_known(ledger):
    queue = ledger.jobs()
    keys = [f"k{n}" for n in range(1_000)]
    ledger.push(queue, *map(str, range(500)), keys=tuple(keys[::2]))
    pushed = ledger.push(queue, *map(str, range(1_000)), keys=tuple(keys))
    assert pushed.known == tuple(range(0, 1_000, 2))
    assert list(pushed.seqs[::2]) == list(range(1, 501))
    assert list(pushed.seqs[1::2]) == list(range(501, 1_001))
    assert [item.text for item in ledger.items(queue)[500:]] == [str(n) for n in range(1, 1_000, 2)]


def test_no_seq_goes_beyond_what_every_reader_of_json_keeps(ledger):
    """A queue that counted that far, was deleted, and then defined anew for producers."""
    counting = ledger.define("jobs").id
    ledger.do(Advance(counting, MAX_SEQ - 2))
    ledger.do(Delete(counting))
    queue = ledger.jobs()
    assert ledger.push(queue, "1", "2", "3").refused == "end"
    assert list(ledger.push(queue, "1").seqs) == [MAX_SEQ - 1]
    other = ledger.jobs("1", name="other")
    ledger.claim(other)
    results = (Result("jobs", "2"), Result("jobs", "3"))
    served = ledger.settle(other, Ack("t", ((1, 1),), results))
    assert [(settled.verdict, settled.reason) for settled in served.entries[0]] == [("refused", "end")]
    assert ledger.told(ledger.settle(other, Ack("t", ((1, 1),), results[:1]))) == [[(1, "acked")]]
    assert ledger.engine.row(queue).cursor == MAX_SEQ
    assert ledger.push(queue, "1").refused == "end"
    ledger.balanced(queue)
