"""Purges, deletions and resets: what was inside is gone, counted, and its tokens mean nothing."""

from __future__ import annotations

import pytest
from asks import lease, settle, take, verdicts
from dibs.ledger.ops import Define, Delete
from dibs.ledger.work import Ack, Moved, Nack, Purge, Release
from words import apply, batch, serve


@pytest.fixture
def full(ledger):
    """1 leased, 2 expired, 3 dead, 4 nacked and delayed, 5 waiting, 6 delayed; and 7 acked."""
    queue = ledger.jobs(*"1234567", max_attempts=2)
    ledger.claim(queue, 3, "a")
    ledger.settle(queue, Release("a", ((1, 2),)), Nack("a", delay=0))
    assert ledger.seqs(ledger.claim(queue, 1_000, "b")) == [1, 2, 3, 4, 5, 6, 7]
    ledger.settle(
        queue,
        Nack("b", ((3, 3),)),
        Nack("b", ((4, 4),), 60_000),
        Ack("b", ((7, 7),)),
        Release("b", ((1, 2), (5, 6))),
    )
    ledger.claim(queue, 1, "leased")
    ledger.claim(queue, 1, "expires", ttl=10)
    ledger.claim(queue, 2, "c")
    ledger.settle(queue, Release("c", ((5, 5),)), Nack("c", delay=90_000))
    ledger.time.pass_(10)
    assert ledger.inside(queue) == {
        1: "leased",
        2: "waiting",
        3: "dead",
        4: "waiting",
        5: "waiting",
        6: "waiting",
    }
    return queue


@pytest.mark.parametrize(
    ("states", "left"),
    [
        ((), {1: "leased", 2: "waiting", 3: "dead", 4: "waiting", 5: "waiting", 6: "waiting"}),
        (("waiting",), {1: "leased", 3: "dead"}),
        (("dead",), {1: "leased", 2: "waiting", 4: "waiting", 5: "waiting", 6: "waiting"}),
        (("waiting", "dead"), {1: "leased"}),
        (("dead", "waiting"), {1: "leased"}),
    ],
)
def test_a_purge_drops_what_is_in_its_states_and_counts_it(ledger, full, states, left):
    gone = 6 - len(left)
    assert ledger.do(Purge(full, states)) == Moved(gone)
    assert ledger.inside(full) == left
    assert ledger.engine.row(full).purged == gone
    assert [item.text for item in ledger.items(full)] == [str(seq) for seq in left]
    ledger.balanced(full)
    assert ledger.do(Purge(full, states)).count == 0


def test_a_purge_drops_nothing_behind_the_items_that_were_seen(ledger, full):
    assert ledger.do(Purge(full, ("waiting", "dead"), upto=4)) == Moved(3)
    assert ledger.inside(full) == {1: "leased", 5: "waiting", 6: "waiting"}
    assert ledger.do(Purge(full, ("waiting",), upto=99)) == Moved(2)
    ledger.balanced(full)


def test_what_is_leased_stays_with_its_holder(ledger, full):
    ledger.do(Purge(full, ("waiting", "dead")))
    assert ledger.one(full, Ack("leased")) == [(1, "acked")]
    assert ledger.one(full, Ack("expires")) == [(None, "stale")]
    assert ledger.engine.failures(full, 3) == []


def test_a_purge_of_what_is_not_there_moves_nothing(ledger):
    assert ledger.do(Purge(99, ("waiting", "dead"))).count == 0


def test_a_million_items_are_purged_as_one(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1_000_000)
    ledger.one(queue, Release("t"))
    assert ledger.do(Purge(queue, ("waiting",))) == Moved(1_000_000)
    assert ledger.engine.row(queue).purged == 1_000_000
    ledger.balanced(queue)


# -- deletion and reset


def test_a_deletion_purges_what_was_inside(ledger, full):
    row = ledger.do(Delete(full))
    assert (row.cursor, row.acked, row.purged, row.inside) == (7, 1, 6, 0)
    assert ledger.items(full) == []
    assert ledger.engine.glance(full) == (0, 0, 0)
    assert ledger.next_due(full) is None
    assert ledger.engine.failures(full, 3) == []
    ledger.balanced(full)
    row = ledger.do(Define("jobs", "", "{}"))
    assert (row.base, row.cursor, row.acked, row.purged, row.inside) == (7, 7, 0, 0, 0)
    assert list(ledger.push(row.id, '"new"').seqs) == [8]
    assert ledger.claim(row.id, token="u").values == ('"new"',)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_reset_purges_what_was_inside_and_counts_from_0(ledger, full, deleted):
    if deleted:
        ledger.do(Delete(full))
    row = ledger.do(Define("jobs", "", "{}", reset=True))
    assert (row.generation, row.cursor, row.taken, row.acked, row.purged, row.jumped) == (2, 0, 0, 0, 0, 0)
    assert (row.base, ledger.items(full), ledger.items(row.id)) == (0, [], [])
    ledger.balanced(full)
    assert ledger.engine.row(full).purged == 6
    assert list(ledger.push(row.id, '"new 1"', '"new 2"').seqs) == [1, 2]
    assert ledger.engine.failures(row.id, 1) == []
    assert ledger.claim(row.id, token="u").values == ('"new 1"', '"new 2"')


@pytest.mark.parametrize("again", [{}, {"reset": True}], ids=["goes on", "reset"])
@pytest.mark.parametrize("source", ["", "count"], ids=["pushed", "source"])
def test_tokens_from_before_a_deletion_mean_nothing_after_it(ledger, again, source):
    queue = ledger.define("q", source).id
    if source:
        ledger.fresh(queue, 3)
    else:
        ledger.push(queue, "1", "2", "3")
        ledger.claim(queue)
    _, row = apply(ledger.engine, Delete(queue), Define("q", source, "{}", **again))
    anew = row.id
    if source:
        ledger.fresh(anew, 3, "u")
    else:
        ledger.push(anew, "4", "5", "6")
        ledger.claim(anew, token="u")
    before = ledger.all()
    for row, seqs in ((queue, None), (anew, None), (queue, ((1, 6),)), (anew, ((1, 6),))):
        assert {verdict for _, verdict in ledger.one(row, Ack("t", seqs))} == {"stale"}
    assert ledger.all() == before
    assert len(ledger.one(anew, Ack("u"))) == 3


def test_a_deletion_in_the_middle_of_a_batch(ledger):
    """It comes before what is asked, wherever it stands; and so does what is created in its place."""
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 1)
    asks = serve(ledger.engine, queue, settle(Ack("t"), then=lease("u")), take())
    for op, why in ((Delete(queue), "deleted"), (Define("jobs", "", "{}"), "moved")):
        settled, refused = batch(ledger.engine, asks, op).outcomes[0]
        assert (verdicts(settled), settled.why, refused.why) == (["stale"], why, why)
    assert ledger.engine.row(queue).purged == 2
    ledger.balanced(queue)


def test_items_of_other_queues_are_left_alone(ledger, full):
    other = ledger.jobs("1", "2", name="other")
    ledger.claim(other, 1)
    before = ledger.items(other)
    apply(ledger.engine, Purge(full, ("waiting", "dead")), Delete(full))
    assert ledger.items(other) == before
    ledger.balanced(other)
