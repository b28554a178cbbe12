"""Claims: what waits goes out by priority, due, seq; never before its due; with its values."""

from __future__ import annotations

import pytest
from asks import lease
from dibs.ledger.looks import ItemRow
from dibs.ledger.ops import Delete
from dibs.ledger.work import Ack, Extend, Nack, Parcel, Push, Release
from words import NOTHING, batch, serve


def test_waiting_items_go_out_in_the_order_of_their_pushes(ledger):
    queue = ledger.jobs()
    for first in (1, 4, 7):
        ledger.push(queue, *(f'"{seq}"' for seq in range(first, first + 3)))
    claimed = ledger.claim(queue, 5)
    assert ledger.seqs(claimed) == [1, 2, 3, 4, 5]
    assert claimed.values == ('"1"', '"2"', '"3"', '"4"', '"5"')
    assert {span.attempt for span in claimed.spans} == {1}
    assert (claimed.size, claimed.due) == (5, ledger.engine.now() + 30_000)
    assert ledger.seqs(ledger.claim(queue, 5, "u")) == [6, 7, 8, 9]


def test_claims_go_by_priority_then_due_then_seq(ledger):
    queue = ledger.jobs()
    for priority, delay in ((9, 0), (0, 20), (5, 10), (0, 10), (5, 0), (0, 10)):
        ledger.push(queue, f'"{priority} {delay}"', priority=priority, delay=delay)
    ledger.time.pass_(20)
    assert ledger.seqs(ledger.claim(queue)) == [4, 6, 2, 5, 3, 1]


def test_each_priority_level_is_in_order_and_a_later_push_can_overtake(ledger):
    queue = ledger.jobs()
    for seq in range(1, 21):
        ledger.push(queue, str(seq), priority=(seq * 7) % 10)
    expected = sorted(range(1, 21), key=lambda seq: ((seq * 7) % 10, seq))
    handed = []
    for token in "abcdefghij":
        handed += ledger.seqs(ledger.claim(queue, 2, token))
    assert handed == expected


def test_a_better_priority_does_not_go_out_before_its_due(ledger):
    queue = ledger.jobs()
    ledger.push(queue, "1", priority=0, delay=100)
    ledger.push(queue, "2", priority=9)
    assert ledger.seqs(ledger.claim(queue)) == [2]
    ledger.time.pass_(100)
    assert ledger.seqs(ledger.claim(queue, token="u")) == [1]


def test_an_expired_lease_a_nack_and_a_release_wait_by_their_dues(ledger):
    queue = ledger.jobs("1", "2", "3", "4")
    now = ledger.engine.now()
    ledger.claim(queue, 1, "expires", ttl=300)
    ledger.claim(queue, 1, "nacked")
    ledger.claim(queue, 1, "released")
    ledger.one(queue, Nack("nacked", delay=200))
    ledger.time.pass_(100)
    ledger.one(queue, Release("released"))
    assert {item.seq: item.due - now for item in ledger.items(queue)} == {1: 300, 2: 200, 3: 100, 4: 0}
    ledger.time.pass_(300)
    assert ledger.seqs(ledger.claim(queue)) == [4, 3, 2, 1]


@pytest.mark.parametrize("delay", [1, 1_000, 2_592_000_000])
def test_a_delayed_item_is_claimed_at_its_due_to_the_millisecond(ledger, delay):
    queue = ledger.jobs()
    due = ledger.engine.now() + delay
    assert ledger.push(queue, "1", delay=delay).due == due
    counts = ledger.engine.counts(queue)
    assert (counts.waiting, counts.delayed, counts.oldest) == (1, 1, None)
    ledger.time.pass_(delay - 1)
    assert (ledger.claim(queue), ledger.next_due(queue)) == (NOTHING, due)
    ledger.time.pass_(1)
    counts = ledger.engine.counts(queue)
    assert (counts.waiting, counts.delayed, counts.oldest) == (1, 0, due)
    assert ledger.seqs(ledger.claim(queue)) == [1]


def test_a_claim_without_terms_is_for_good(ledger):
    queue = ledger.jobs('"a"', '"b"', '"c"')
    claimed = ledger.claim(queue, 2, None)
    assert (ledger.seqs(claimed), claimed.values, claimed.due) == ([1, 2], ('"a"', '"b"'), None)
    row = ledger.engine.row(queue)
    assert (row.taken, row.acked, row.inside) == (2, 0, 1)
    ledger.claim(queue, 2, None)
    assert ledger.claim(queue, 2, None) == NOTHING
    assert ledger.engine.row(queue).taken == 3


def test_what_a_source_computes_has_no_values_in_the_ledger(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    ledger.one(queue, Release("t"))
    claimed = ledger.claim(queue, 2, "u")
    assert (ledger.seqs(claimed), claimed.values) == ([1, 2], None)
    assert [item.text for item in ledger.items(queue)] == [None] * 3


def test_values_leased_from_a_source_are_kept_where_it_can_not_compute_them(ledger):
    queue = ledger.define("q", "lines").id
    ledger.fresh(queue, 3, texts=('"ä"', '"b"', '"c"'))
    assert [item.text for item in ledger.items(queue)] == ['"ä"', '"b"', '"c"']
    ledger.settle(queue, Ack("t", ((2, 2),)), Release("t"))
    assert ledger.claim(queue, token="u").values == ('"ä"', '"c"')


def test_a_queue_that_is_not_there_gives_nothing(ledger):
    queue = ledger.jobs("1")
    ledger.do(Delete(queue))
    assert ledger.claim(queue) == NOTHING
    assert ledger.claim(99) == NOTHING
    assert ledger.next_due(99) is None
    assert ledger.engine.glance(99) == (0, 0, 0)
    assert ledger.items(99) == []


# -- bounds


def test_the_bytes_of_a_claim_are_bounded(ledger):
    queue = ledger.jobs(*(f'"{"x" * 98}"' for _ in range(10)))
    assert ledger.claim(queue, 10, "t", room=350).size == 3
    assert ledger.claim(queue, 10, "u", room=350).size == 3
    assert ledger.claim(queue, 2, "v", room=350).size == 2


def test_bytes_are_those_of_utf_8(ledger):
    queue = ledger.jobs(*(f'"{"ä" * 49}"' for _ in range(10)))
    assert ledger.claim(queue, 10, "t", room=350).size == 3


@pytest.mark.parametrize("most_bytes", [0, 1, 50])
def test_one_item_goes_out_however_large_it_is(ledger, most_bytes):
    big = f'"{"x" * 1_000}"'
    queue = ledger.jobs(big, "2")
    claimed = ledger.claim(queue, 10, "t", room=most_bytes)
    assert (ledger.seqs(claimed), claimed.values) == ([1], (big,))


def test_the_bound_stops_at_a_large_one_and_skips_nothing(ledger):
    queue = ledger.jobs("1", f'"{"x" * 1_000}"', "3")
    assert ledger.seqs(ledger.claim(queue, 10, "t", room=500)) == [1]
    assert ledger.seqs(ledger.claim(queue, 10, "u", room=500)) == [2]


def test_computed_values_weigh_nothing(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1_000)
    ledger.one(queue, Release("t"))
    assert ledger.claim(queue, 1_000, "u", room=1).size == 1_000


# -- when the next can go out


def test_the_next_due_is_exact(ledger):
    queue = ledger.jobs()
    now = ledger.engine.now()
    assert ledger.next_due(queue) is None
    assert ledger.claim(queue) == NOTHING
    ledger.push(queue, "1", "2", delay=700, priority=3)
    ledger.push(queue, "3", delay=500, priority=9)
    assert ledger.next_due(queue) == now + 500
    assert ledger.claim(queue) == NOTHING
    ledger.time.pass_(600)
    assert ledger.seqs(ledger.claim(queue, ttl=1_000)) == [3]
    assert ledger.next_due(queue) == now + 700
    ledger.time.pass_(200)
    ledger.claim(queue, 1, "u", ttl=5_000)
    assert ledger.next_due(queue) <= ledger.engine.now()  # more waits
    ledger.claim(queue, 1, "v", ttl=6_000)
    assert ledger.next_due(queue) == now + 1_600  # the first lease's end
    ledger.one(queue, Extend("t", 90_000))
    assert ledger.next_due(queue) == now + 5_800
    ledger.one(queue, Ack("u"))
    assert ledger.next_due(queue) == now + 6_800
    ledger.settle(queue, Ack("t"), Ack("v"))
    assert ledger.next_due(queue) is None


def test_the_dead_are_not_due(ledger):
    queue = ledger.jobs("1", max_attempts=1)
    ledger.claim(queue)
    ledger.one(queue, Nack("t"))
    assert ledger.inside(queue) == {1: "dead"}
    assert ledger.next_due(queue) is None
    assert ledger.claim(queue, token="u") == NOTHING


# -- looking


def test_items_are_looked_at_in_order_by_state_and_in_pages(ledger):
    queue = ledger.jobs("1", "2", "3", "4", "5", max_attempts=1)
    now = ledger.engine.now()
    ledger.claim(queue, 3, "t", worker="ann")
    ledger.one(queue, Nack("t", ((2, 2),), error="why"))
    ledger.push(queue, "6", delay=50, priority=2)
    rows = {
        1: ItemRow(1, "leased", 1, 0, now + 30_000, "ann", "1", now),
        2: ItemRow(2, "dead", 1, 0, now, "ann", "2"),
        3: ItemRow(3, "leased", 1, 0, now + 30_000, "ann", "3", now),
        4: ItemRow(4, "waiting", 0, 0, now, "", "4"),
        5: ItemRow(5, "waiting", 0, 0, now, "", "5"),
        6: ItemRow(6, "waiting", 0, 2, now + 50, "", "6"),
    }
    look = ledger.engine.items
    assert look(queue, None, 0, 100, 1 << 20) == (list(rows.values()), False)
    assert look(queue, "waiting", 0, 100, 1 << 20) == ([rows[4], rows[5], rows[6]], False)
    assert look(queue, "leased", 0, 100, 1 << 20) == ([rows[1], rows[3]], False)
    assert look(queue, "dead", 0, 100, 1 << 20) == ([rows[2]], False)
    assert look(queue, None, 2, 2, 1 << 20) == ([rows[3], rows[4]], True)
    assert look(queue, None, 4, 2, 1 << 20) == ([rows[5], rows[6]], False)
    assert look(queue, "waiting", 0, 1, 1 << 20) == ([rows[4]], True)
    assert look(queue, "dead", 0, 1, 1 << 20) == ([rows[2]], False)
    assert look(queue, "leased", 1, 1, 1 << 20) == ([rows[3]], False)
    assert look(queue, None, 6, 100, 1 << 20) == ([], False)
    assert look(queue, None, 0, 100, 2) == ([rows[1], rows[2]], True)
    assert look(queue, None, 0, 100, 0) == ([rows[1]], True)
    assert look(queue, None, 5, 100, 0) == ([rows[6]], False)
    assert ledger.engine.glance(queue) == (3, 2, 1)


def test_a_page_begins_in_the_middle_of_a_run(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1_000_000)
    rows, more = ledger.engine.items(queue, "leased", 499_999, 3, 1 << 20)
    assert more
    assert [row.seq for row in rows] == [500_000, 500_001, 500_002]


def test_the_oldest_is_the_one_that_could_be_claimed_first(ledger):
    queue = ledger.jobs()
    now = ledger.engine.now()
    ledger.push(queue, "1", delay=30)
    ledger.push(queue, "2", delay=20, priority=9)
    ledger.claim(queue)
    ledger.time.pass_(40)
    assert ledger.engine.counts(queue).oldest == now + 20
    ledger.claim(queue)
    assert ledger.engine.counts(queue).oldest is None


def test_pushes_and_claims_of_one_batch_see_each_other(ledger):
    """Pushes come first, wherever they stand."""
    queue = ledger.jobs()
    asks = serve(ledger.engine, queue, lease("t", 9), lease("u", 9))
    push = Push(queue, (Parcel(("1",)), Parcel(("2",), priority=1)))
    first, second = batch(ledger.engine, asks, push).outcomes[0]
    assert (first.handed.values, second.why) == (("1", "2"), "empty")
    ledger.balanced(queue)
