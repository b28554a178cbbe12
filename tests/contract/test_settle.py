"""A settle: its entries in their order, then the next lease, in one transaction."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Close, Delete, Pause, SourceEnd, Take
from dibs.ledger.work import Ack, Claim, Claimed, Extend, Nack, Release, Settle, Settled, Span, Terms

NEXT = Terms("next", 10_000, "ann")


def claim_of(queue: int, most: int = 100) -> Claim:
    return Claim(queue, most, 1 << 20, NEXT)


def test_each_entry_is_answered_in_its_place(ledger):
    queue = ledger.jobs(*map(str, range(1, 9)), jitter=0.0, max_attempts=2)
    ledger.claim(queue, 1, "old")
    ledger.one(queue, Nack("old", delay=0))
    now = ledger.engine.now()
    ledger.claim(queue, 4, "a", ttl=5_000)
    ledger.claim(queue, 4, "b", ttl=5_000)
    settlement = ledger.settle(
        queue,
        Ack("a", ((2, 2),)),
        Nack("forged", ((3, 3),)),
        Nack("a", ((1, 1),), 10, "no"),
        Nack("a", ((3, 3),), 10, "no"),
        Extend("a", 9_000, ((4, 4),)),
        Release("b", ((5, 6),)),
        Ack("b"),
        Ack("b"),
    )
    assert settlement.entries == (
        (Settled("acked", 2, 2),),
        (Settled("stale", 3, 3),),
        (settlement.entries[2][0],),
        (Settled("nacked", 3, 3, now + 10),),
        (Settled("extended", 4, 4, now + 9_000),),
        (settlement.entries[5][0],),
        (Settled("acked", 7, 8),),
        (Settled("stale"),),
    )
    assert [entry[0].verdict for entry in (settlement.entries[2], settlement.entries[5])] == [
        "dead",
        "released",
    ]
    assert settlement.claimed is None
    assert ledger.inside(queue) == {1: "dead", 3: "waiting", 4: "leased", 5: "waiting", 6: "waiting"}


def test_an_entry_meets_what_the_entries_before_it_left(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    settlement = ledger.settle(
        queue,
        Ack("t", ((1, 1),)),
        Nack("t", ((1, 2),), 50),
        Ack("t", ((1, 3),)),
        Release("t"),
    )
    assert ledger.told(settlement) == [
        [(1, "acked")],
        [(1, "stale"), (2, "nacked")],
        [(1, "stale"), (2, "stale"), (3, "acked")],
        [(None, "stale")],
    ]


def test_nothing_to_settle_is_nothing(ledger):
    queue = ledger.jobs("1")
    settlement = ledger.settle(queue)
    assert (settlement.entries, settlement.claimed) == ((), None)


# -- the next lease


def test_the_next_lease_is_handed_out_in_the_same_op(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue, 2)
    settlement = ledger.settle(queue, Ack("t"), lease=claim_of(queue))
    due = ledger.engine.now() + 10_000
    assert settlement.claimed == Claimed((Span(3, 3, 1),), ("3",), due, due)
    assert [(item.seq, item.worker) for item in ledger.items(queue)] == [(3, "ann")]
    assert ledger.one(queue, Ack("next")) == [(3, "acked")]


def test_what_an_entry_gives_back_can_be_in_the_next_lease(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue)
    settlement = ledger.settle(queue, Nack("t", ((1, 1),), 0), Release("t", ((2, 2),)), lease=claim_of(queue))
    claimed = settlement.claimed
    assert dict(zip(ledger.seqs(claimed), claimed.values, strict=True)) == {1: "1", 2: "2"}
    assert sorted(claimed.spans) == [Span(1, 1, 2), Span(2, 2, 1)]
    assert [seq for seq, _ in ledger.one(queue, Ack("next"))] == [1, 2]


def test_a_next_lease_of_nothing_says_when(ledger):
    queue = ledger.jobs("1")
    ledger.push(queue, "2", delay=700)
    ledger.claim(queue)
    settlement = ledger.settle(queue, Ack("t"), lease=claim_of(queue))
    assert settlement.claimed == Claimed(next_due=ledger.engine.now() + 700)
    ledger.time.pass_(700)
    ledger.claim(queue)
    assert ledger.settle(queue, Ack("t"), lease=claim_of(queue)).claimed == Claimed()


def test_a_stale_settle_can_still_give_the_next_lease(ledger):
    queue = ledger.jobs("1")
    settlement = ledger.settle(queue, Ack("forged"), lease=claim_of(queue))
    assert (ledger.told(settlement), settlement.claimed.count) == ([[(None, "stale")]], 1)


def test_the_next_lease_can_be_of_fresh_items(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    settlement = ledger.settle(queue, Ack("t"), lease=Take(queue, 4, 2, mark="m", terms=NEXT))
    due = ledger.engine.now() + 10_000
    assert settlement.claimed == Claimed(due=due)
    assert [(item.seq, item.attempt, item.due, item.worker) for item in ledger.items(queue)] == [
        (4, 1, due, "ann"),
        (5, 1, due, "ann"),
    ]
    row = ledger.engine.row(queue)
    assert (row.cursor, row.acked, row.mark) == (5, 3, "m")


def test_the_next_lease_can_meet_the_end_of_the_source(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    take = Take(queue, 4, 1, end=SourceEnd("exhausted"), terms=NEXT, texts=('"x"',))
    ledger.settle(queue, Ack("t"), lease=take)
    assert ledger.engine.row(queue).ending == "exhausted"
    assert [item.text for item in ledger.items(queue)] == ['"x"']
    assert ledger.one(queue, Ack("next")) == [(4, "acked")]


@pytest.mark.parametrize("first", [3, 5])
def test_a_draw_that_does_not_follow_the_cursor_undoes_the_whole_settle(ledger, first):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    ledger.refuses(Settle(queue, (Ack("t"),), lease=Take(queue, first, 2, terms=NEXT)))
    assert ledger.one(queue, Ack("t")) == [(1, "acked"), (2, "acked"), (3, "acked")]


def test_draws_and_settles_of_one_batch_are_in_order(ledger):
    queue = ledger.define().id
    ledger.engine.apply(
        [
            Take(queue, 1, 2, terms=Terms("a", 1_000)),
            Take(queue, 3, 1),
            Settle(queue, (Ack("a", ((1, 1),)),), lease=Take(queue, 4, 2, terms=Terms("b", 1_000))),
            Take(queue, 6, 4),
            Settle(queue, (Ack("b"),)),
            Take(queue, 10, 1, terms=Terms("c", 1_000)),
        ]
    )
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.acked) == (10, 5, 3)
    assert ledger.inside(queue) == {2: "leased", 10: "leased"}
    ledger.balanced(queue)


def test_a_paused_queue_is_settled_but_gives_no_next_lease(ledger):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 1)
    ledger.do(Pause(queue, True))
    settlement = ledger.settle(queue, Ack("t"), lease=claim_of(queue))
    assert ledger.told(settlement) == [[(1, "acked")]]
    assert settlement.claimed.spans == ()
    assert ledger.inside(queue) == {2: "waiting"}


def test_a_closed_queue_is_settled_and_gives_on(ledger):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 1)
    ledger.do(Close(queue))
    assert ledger.settle(queue, Ack("t"), lease=claim_of(queue)).claimed.values == ("2",)


def test_a_queue_that_is_not_there_says_stale(ledger):
    queue = ledger.jobs("1")
    ledger.claim(queue)
    ledger.do(Delete(queue))
    for gone in (queue, 99):
        settlement = ledger.settle(gone, Ack("t"), Nack("t", ((1, 1),)), lease=claim_of(gone))
        assert ledger.told(settlement) == [[(None, "stale")], [(1, "stale")]]
        assert settlement.claimed == Claimed()


# -- who is woken


def test_where_items_came_to_wait_is_told(ledger):
    queue = ledger.jobs(*"1234", max_attempts=2, jitter=0.0)
    now = ledger.engine.now()
    ledger.claim(queue)
    assert ledger.settle(queue, Ack("t", ((1, 1),))).woken == ()
    woken = ledger.settle(queue, Nack("t", ((2, 3),), 400)).woken
    assert [tuple(one) for one in woken] == [(queue, now + 400, 2)]
    woken = ledger.settle(queue, Release("t")).woken
    assert [tuple(one) for one in woken] == [(queue, now, 1)]
    ledger.time.pass_(400)
    ledger.claim(queue, token="u")
    woken = ledger.settle(queue, Nack("u", ((2, 3),), 0), Nack("u", delay=900)).woken
    assert sum(one.items for one in woken) == 1  # the dead don't wait
    assert {(one.queue, one.due) for one in woken} == {(queue, now + 1_300)}
    assert ledger.settle(queue, Ack("forged")).woken == ()


def test_a_settle_of_many_ranges(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 4_000)
    odd = tuple((seq, seq) for seq in range(1, 4_000, 2))
    assert ledger.one(queue, Ack("t", odd)) == [(seq, "acked") for seq in range(1, 4_000, 2)]
    told = ledger.one(queue, Nack("t", delay=0))
    assert told == [(seq, "nacked") for seq in range(2, 4_001, 2)]
    assert ledger.seqs(ledger.claim(queue, 5_000, "u")) == list(range(2, 4_001, 2))


def test_an_extend_tells_when_its_lease_ends_and_wakes_nobody(ledger):
    """It may be earlier than before, and then it is the next thing that can be claimed."""
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue)
    now = ledger.engine.now()
    woken = ledger.settle(
        queue, Extend("t", 10, ((2, 2),)), Extend("t", 10, ((3, 3),)), Extend("no", 5)
    ).woken
    assert [tuple(one) for one in woken] == [(queue, now + 10, 0)]
    assert ledger.engine.next_due(queue) == now + 10
