"""History: a row for each range of an answer that took or acked items, where the queue asks for it."""

from __future__ import annotations

import pytest
from asks import LENGTH, block, lease, settle, take
from dibs.ledger.ops import Define, Delete
from dibs.ledger.serve import Key
from dibs.ledger.work import FOREVER, Ack, Nack, Purge, QueueSettings, Release

KEPT = QueueSettings(history=FOREVER)
K = Key("k", "d")


@pytest.fixture
def told(ledger):
    """What is kept of the queues of a name: (verb, first, last, key, worker) of each row."""

    def told(name: str = "q", seq: int | None = None) -> list[tuple]:
        rows = ledger.engine.history(name, seq, 0, 1_000)
        assert [row.id for row in rows] == sorted({row.id for row in rows})
        return [(row.verb, row.first, row.last, row.key, row.worker) for row in rows]

    return told


@pytest.fixture
def counting(ledger):
    return ledger.define("q", settings=KEPT).id


@pytest.fixture
def jobs(ledger):
    """Nine jobs of a queue that keeps its history."""
    return ledger.jobs(*"123456789", name="q", history=FOREVER, backoff=0)


def test_nothing_is_kept_that_nobody_asked_for(ledger, told):
    queue = ledger.define("q").id
    ledger.take(queue, 3, K)
    ledger.fresh(queue, 2)
    ledger.one(queue, Ack("t"))
    assert told() == []


def test_a_take_and_a_block_are_a_row_each(ledger, told, counting):
    ledger.take(counting, 3, Key("order-4711", "d", caller="ann"))
    ledger.round(counting, block(1_000_000), length=LENGTH)
    assert told() == [("taken", 1, 3, "order-4711", ""), ("taken", 4, 1_000_003, None, "")]
    [first, second] = ledger.engine.history("q", None, 0, 9)
    assert (first.caller, first.generation, first.at) == ("ann", 1, ledger.engine.now())
    assert [row.id for row in ledger.engine.history("q", None, first.id, 9)] == [second.id]
    assert [row.id for row in ledger.engine.history("q", None, 0, 1)] == [first.id]
    latest = 2**53 - 1
    assert [row.id for row in ledger.engine.history("q", None, 0, 9, latest)] == [second.id, first.id]
    assert [row.id for row in ledger.engine.history("q", None, 0, 1, latest)] == [second.id]
    assert [row.id for row in ledger.engine.history("q", None, 0, 9, second.id)] == [first.id]
    assert ledger.engine.history("q", None, 0, 9, first.id) == []
    ledger.restart()
    assert told(seq=1_000_003) == [("taken", 4, 1_000_003, None, "")]
    assert told(seq=3) == [("taken", 1, 3, "order-4711", "")]
    assert told(seq=1_000_004) == []
    assert told("other") == []


def test_takes_of_one_round_have_a_row_each(ledger, told, counting):
    asks = take(2, Key("a", "d")), take(1), take(4, Key("b", "d")), take(1, Key("c", "d"))
    ledger.round(counting, *asks, length=5)
    assert told() == [("taken", 1, 2, "a", ""), ("taken", 3, 3, None, ""), ("taken", 4, 5, "b", "")]


def test_waiting_items_that_are_taken_have_a_row_for_each_range(ledger, told, jobs):
    ledger.claim(jobs, 4)
    ledger.one(jobs, Release("t", ((2, 2), (4, 4))))
    ledger.take(jobs, 3, K)
    assert sorted(told()) == [("taken", 2, 2, "k", ""), ("taken", 4, 5, "k", "")]


@pytest.mark.parametrize("seqs", [None, ((1, 3),), ((1, 1), (2, 2), (3, 3))])
def test_an_ack_is_told_with_its_worker(ledger, told, jobs, seqs):
    ledger.claim(jobs, 3, worker="ann")
    ledger.settle(jobs, Ack("t", seqs), key=K)
    assert told() == [("acked", 1, 3, "k", "ann")]
    ledger.settle(jobs, Ack("t", seqs))  # stale
    assert told() == [("acked", 1, 3, "k", "ann")]


def test_the_acks_of_one_answer_are_joined_and_told_by_worker(ledger, told, jobs):
    ledger.claim(jobs, 2, "a", worker="ann")
    ledger.claim(jobs, 2, "b", worker="ben")
    ledger.claim(jobs, 3, "c", worker="cid")
    acks = Ack("c", ((5, 5), (7, 7))), Ack("a"), Nack("b", ((3, 3),)), Ack("b", ((4, 4),))
    ledger.settle(jobs, *acks, then=lease("next"))
    assert told() == [
        ("acked", 1, 2, None, "ann"),
        ("acked", 4, 4, None, "ben"),
        ("acked", 5, 5, None, "cid"),
        ("acked", 7, 7, None, "cid"),
    ]


def test_workers_that_trade_leases_are_told_each(ledger, told, jobs):
    ledger.claim(jobs, 2, "a", worker="ann")
    ledger.claim(jobs, 1, "b", worker="ben")
    trades = (
        settle(Ack("b"), then=lease("c")),
        settle(Ack("a"), then=lease("d")),
        settle(Ack("a")),
        lease("e"),
    )
    ledger.round(jobs, *trades)
    assert sorted(told()) == [("acked", 1, 2, None, "ann"), ("acked", 3, 3, None, "ben")]


def test_leases_of_fresh_items_are_told_when_they_are_acked(ledger, told, counting):
    ledger.fresh(counting, 3, worker="ann")
    assert told() == []
    ledger.settle(counting, Ack("t"), key=K, then=lease("u"), length=LENGTH)
    assert told() == [("acked", 1, 3, "k", "ann")]


def test_it_outlives_the_queue_its_items_and_its_generation(ledger, told, counting):
    ledger.take(counting, 2)
    ledger.do(Delete(counting))
    assert told() == [("taken", 1, 2, None, "")]
    again = ledger.do(Define("q", "count", "{}", settings=KEPT)).id
    ledger.take(again)
    anew = ledger.do(Define("q", "count", "{}", reset=True, settings=KEPT)).id
    ledger.take(anew)
    ledger.do(Purge(anew, ("waiting",)))
    assert told() == [("taken", 1, 2, None, ""), ("taken", 3, 3, None, ""), ("taken", 1, 1, None, "")]
    assert [row.generation for row in ledger.engine.history("q", 1, 0, 9)] == [1, 2]
    assert [row.generation for row in ledger.engine.history("q", 1, 0, 9, 2**53 - 1)] == [2, 1]
    assert [row.generation for row in ledger.engine.history("q", 2, 0, 9)] == [1]


def test_it_is_forgotten_with_its_age_and_each_row_has_its_own(ledger, told):
    queue = ledger.define("q", settings=QueueSettings(history=1_000)).id
    ledger.take(queue)
    ledger.do(Define("q", "count", "{}", settings=KEPT))
    ledger.take(queue)
    ledger.do(Define("q", "count", "{}", settings=QueueSettings()))
    ledger.take(queue)
    ledger.time.pass_(999)
    assert told() == [("taken", 1, 1, None, ""), ("taken", 2, 2, None, "")]
    ledger.time.pass_(1)
    assert told() == [("taken", 2, 2, None, "")]
    assert told(seq=1) == told(seq=3) == []
