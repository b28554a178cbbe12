"""A settling: its entries in their order, then the next lease, in one transaction."""

from __future__ import annotations

from asks import LENGTH, lease
from dibs.ledger.serve import Drawn, End, Handed
from dibs.ledger.work import Ack, Extend, Nack, Release, Settled, Span

NEXT = lease("next", 100, ttl=10_000)


def test_each_entry_is_answered_in_its_place(ledger):
    queue = ledger.jobs(*map(str, range(1, 9)), jitter=0.0, max_attempts=2)
    ledger.claim(queue, 1, "old")
    ledger.one(queue, Nack("old", delay=0))
    now = ledger.engine.now()
    ledger.claim(queue, 4, "a", ttl=5_000)
    ledger.claim(queue, 4, "b", ttl=5_000)
    served = ledger.settle(
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
    assert served.entries == (
        (Settled("acked", 2, 2),),
        (Settled("stale", 3, 3),),
        (served.entries[2][0],),
        (Settled("nacked", 3, 3, now + 10),),
        (Settled("extended", 4, 4, now + 9_000),),
        (served.entries[5][0],),
        (Settled("acked", 7, 8),),
        (Settled("stale"),),
    )
    assert [entry[0].verdict for entry in (served.entries[2], served.entries[5])] == [
        "dead",
        "released",
    ]
    assert served.handed is None
    assert ledger.inside(queue) == {1: "dead", 3: "waiting", 4: "leased", 5: "waiting", 6: "waiting"}


def test_an_entry_meets_what_the_entries_before_it_left(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    served = ledger.settle(
        queue,
        Ack("t", ((1, 1),)),
        Nack("t", ((1, 2),), 50),
        Ack("t", ((1, 3),)),
        Release("t"),
    )
    assert ledger.told(served) == [
        [(1, "acked")],
        [(1, "stale"), (2, "nacked")],
        [(1, "stale"), (2, "stale"), (3, "acked")],
        [(None, "stale")],
    ]


def test_nothing_to_settle_is_nothing(ledger):
    queue = ledger.jobs("1")
    served = ledger.settle(queue)
    assert (served.entries, served.handed) == ((), None)


# -- the next lease


def test_the_next_lease_is_handed_out_in_the_same_op(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue, 2)
    served = ledger.settle(queue, Ack("t"), then=NEXT)
    assert served.handed == Handed((Span(3, 3, 1),), ("3",), "next", ledger.engine.now() + 10_000)
    assert [(item.seq, item.worker) for item in ledger.items(queue)] == [(3, "ann")]
    assert ledger.one(queue, Ack("next")) == [(3, "acked")]


def test_what_an_entry_gives_back_can_be_in_the_next_lease(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue)
    handed = ledger.settle(queue, Nack("t", ((1, 1),), 0), Release("t", ((2, 2),)), then=NEXT).handed
    assert dict(zip(ledger.seqs(handed), handed.values, strict=True)) == {1: "1", 2: "2"}
    assert sorted(handed.spans) == [Span(1, 1, 2), Span(2, 2, 1)]
    assert [seq for seq, _ in ledger.one(queue, Ack("next"))] == [1, 2]


def test_a_next_lease_of_nothing_leaves_the_entries_settled(ledger):
    queue = ledger.jobs("1")
    ledger.push(queue, "2", delay=700)
    ledger.claim(queue)
    served = ledger.settle(queue, Ack("t"), then=NEXT)
    assert (ledger.told(served), served.handed, served.why) == ([[(1, "acked")]], None, "empty")
    assert ledger.inside(queue) == {2: "waiting"}


def test_a_stale_settle_can_still_give_the_next_lease(ledger):
    queue = ledger.jobs("1")
    served = ledger.settle(queue, Ack("forged"), then=NEXT)
    assert (ledger.told(served), served.handed.size) == ([[(None, "stale")]], 1)


def test_the_next_lease_can_be_of_fresh_items(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    served = ledger.settle(queue, Ack("t"), then=lease("next", 2, ttl=10_000), length=LENGTH)
    due = ledger.engine.now() + 10_000
    assert served.handed == Handed((Span(4, 5),), None, "next", due, fresh=True)
    assert [(item.seq, item.attempt, item.due, item.worker) for item in ledger.items(queue)] == [
        (4, 1, due, "ann"),
        (5, 1, due, "ann"),
    ]
    row = ledger.engine.row(queue)
    assert (row.cursor, row.acked) == (5, 3)


def test_the_next_lease_can_meet_the_end_of_the_source(ledger):
    queue = ledger.define(source="lines").id
    ledger.fresh(queue, 3, texts=('"u"', '"v"', '"w"'))
    served = ledger.settle(queue, Ack("t"), then=NEXT, drawn=Drawn(4, ('"x"',), End("exhausted")))
    assert (served.handed.values, served.state) == (('"x"',), "exhausted")
    assert ledger.engine.row(queue).ending == "exhausted"
    assert [item.text for item in ledger.items(queue)] == ['"x"']
    assert ledger.one(queue, Ack("next")) == [(4, "acked")]


def test_a_settle_of_many_ranges(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 4_000)
    odd = tuple((seq, seq) for seq in range(1, 4_000, 2))
    assert ledger.one(queue, Ack("t", odd)) == [(seq, "acked") for seq in range(1, 4_000, 2)]
    told = ledger.one(queue, Nack("t", delay=0))
    assert told == [(seq, "nacked") for seq in range(2, 4_001, 2)]
    assert ledger.seqs(ledger.claim(queue, 5_000, "u")) == list(range(2, 4_001, 2))
