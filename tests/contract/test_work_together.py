"""Ops of work in batches: an op at fault changes nothing of its batch; a batch equals its ops one by one."""

from __future__ import annotations

import threading

import pytest
from dibs.ledger.ops import Define, Pause, Take
from dibs.ledger.work import (
    Ack,
    Claim,
    Nack,
    Parcel,
    Purge,
    Push,
    QueueSettings,
    Redrive,
    Release,
    Result,
    Settle,
    Terms,
)

BYTES = 1 << 20


def story(queue: int, source: int, under) -> list:
    """A bit of everything."""
    return [
        Push(queue, (Parcel(('"a"', '"b"', '"c"'), keys=("k", "l", "m")), Parcel(("1",), 100, 2))),
        Claim(queue, 2, BYTES, Terms("t", 1_000, "ann"), under("claim")),
        Take(source, 1, 4, terms=Terms("s", 1_000)),
        Settle(
            queue,
            (Ack("t", ((1, 1),), (Result("jobs", '"r"'),)), Nack("t", delay=0, error="no")),
            lease=Claim(queue, 9, BYTES, Terms("u", 1_000)),
            remember=under("settle"),
        ),
        Settle(source, (Ack("s", ((2, 3),)),), lease=Take(source, 5, 2, terms=Terms("v", 500))),
        Settle(queue, (Release("u", ((3, 3),)), Nack("u"))),
        Redrive(queue, remember=under("redrive")),
        Claim(queue, 1, BYTES, None),
        Push(queue, (Parcel(("2",), keys=("k",)),)),
        Take(source, 7, 3, mark="m"),
        Purge(queue, ("dead",)),
        Define("jobs", "", "{}", settings=QueueSettings(max_attempts=3, backoff=5)),
    ]


def begin(ledger) -> tuple[int, int]:
    return ledger.jobs(max_attempts=2), ledger.define("numbers").id


@pytest.mark.parametrize("place", [0, 1, 4, 7, 10, 13])
def test_one_op_at_fault_undoes_its_whole_batch_wherever_it_stands(ledger, under, place):
    queue, source = begin(ledger)
    ledger.push(queue, '"before"')
    batch = story(queue, source, under)
    batch.insert(place, Take(source, 1_000, 1))
    ledger.refuses(*batch)
    assert ledger.engine.recall(queue, 1, "", "claim") is None
    assert ledger.engine.failures(queue, 2) == []
    assert ledger.push(queue, "1", keys=("k",)).known == ()  # and the engine works on
    assert ledger.seqs(ledger.claim(queue)) == [1, 2]


def test_ops_that_share_a_transaction_equal_ops_one_by_one(new_ledger, under):
    together, singly = new_ledger(), new_ledger()
    results = []
    for ledger in (together, singly):
        queue, source = begin(ledger)
        ops = story(queue, source, under)
        outcomes = ledger.engine.apply(ops) if ledger is together else [ledger.do(op) for op in ops]
        filed = [ledger.engine.recall(queue, 1, "", key) for key in ("claim", "settle", "redrive")]
        failures = [ledger.engine.failures(queue, seq) for seq in range(1, 9)]
        results.append((outcomes, ledger.all(), filed, failures))
        for row in ledger.engine.rows():
            ledger.balanced(row.id)
        ledger.close()
    assert results[0] == results[1]


def test_each_queue_is_balanced_after_each_op(ledger, under):
    queue, source = begin(ledger)
    for op in story(queue, source, under):
        ledger.do(op)
        ledger.balanced(queue)
        ledger.balanced(source)
    ledger.time.pass_(2_000)
    for one in (queue, source):
        ledger.balanced(one)


def test_a_taken_item_a_leased_one_and_a_jumped_one_are_each_counted_as_what_they_are(ledger):
    from dibs.ledger.ops import Advance

    queue = ledger.define().id
    ledger.engine.apply(
        [
            Take(queue, 1, 3),
            Take(queue, 4, 3, terms=Terms("t", 1_000)),
            Advance(queue, 10),
            Take(queue, 11, 2, terms=Terms("u", 1_000)),
            Settle(queue, (Ack("t", ((4, 4),)), Release("t", ((5, 5),)))),
            Claim(queue, 1, BYTES, None),
            Settle(queue, (Release("t"),)),
            Purge(queue, ("waiting",)),
        ]
    )
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.acked, row.purged, row.jumped) == (12, 4, 1, 1, 4)
    assert ledger.inside(queue) == {11: "leased", 12: "leased"}
    ledger.balanced(queue)


def test_a_pause_in_a_batch_holds_from_there_on(ledger):
    queue = ledger.jobs("1", "2", "3")
    outcomes = ledger.engine.apply(
        [
            Claim(queue, 1, BYTES, Terms("t", 1_000)),
            Pause(queue, True),
            Claim(queue, 1, BYTES, Terms("u", 1_000)),
            Pause(queue, False),
            Claim(queue, 1, BYTES, Terms("v", 1_000)),
        ]
    )
    assert [outcomes[n].count for n in (0, 2, 4)] == [1, 0, 1]


def test_what_is_looked_at_is_of_one_moment_while_ops_go_on(ledger):
    """A reader beside the writer never sees half of a transaction."""
    queue, done = ledger.jobs(max_attempts=3), threading.Event()

    def write() -> None:
        try:
            for n in range(150):
                ledger.engine.apply(
                    [
                        Push(queue, (Parcel(tuple("1234")), Parcel(("5",), delay=50))),
                        Claim(queue, 2, BYTES, Terms(f"t{n}", 1_000)),
                        Settle(queue, (Ack(f"t{n}"),), lease=Claim(queue, 1, BYTES, Terms(f"u{n}", 20))),
                        Claim(queue, 1, BYTES, None),
                    ]
                )
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        looks = 0
        while not done.is_set() or not looks:
            counts = ledger.engine.counts(queue)
            assert counts.overlaps == 0
            inside = counts.waiting + counts.leased + counts.dead
            assert counts.taken + counts.acked + counts.purged + counts.jumped + inside == counts.cursor
            assert (counts.cursor, counts.acked) == (5 * counts.taken, 2 * counts.taken)
            seqs = [item.seq for item in ledger.engine.items(queue, None, 0, 1_000, BYTES)[0]]
            assert seqs == sorted(set(seqs))
            looks += 1
    finally:
        writer.join()
    assert ledger.engine.counts(queue).cursor == 750
    ledger.balanced(queue)
