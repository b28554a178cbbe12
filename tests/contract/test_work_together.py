"""Work in batches: an op at fault changes nothing of its batch; a batch equals its ops one by one."""

from __future__ import annotations

import threading

import pytest
from asks import LENGTH, lease, settle, take
from dibs.ledger.ops import Advance, Define, Pause
from dibs.ledger.serve import Key, Keyed, Serve
from dibs.ledger.work import Ack, Nack, Parcel, Purge, Push, QueueSettings, Redrive, Release, Result
from words import apply, serve

KEYS = [Key(name, "d") for name in ("settle", "lease", "redrive")]


def begin(ledger) -> tuple[int, int]:
    """Two queues; 1 is dead, 2 and 3 are leased under ``t``, 4 waits; and four numbers under ``s``."""
    queue, source = ledger.jobs(max_attempts=2), ledger.define("numbers").id
    ledger.push(queue, *"1234", keys=tuple("jklm"))
    ledger.claim(queue, 1, "dead")
    ledger.one(queue, Nack("dead", dead=True))
    ledger.claim(queue, 2, "t", ttl=1_000, worker="ann")
    ledger.fresh(source, 4, "s", ttl=1_000)
    return queue, source


def story(queue: int, source: int) -> list:
    """A bit of everything, in the order in which a batch does it: entries come before hand-outs."""
    acks = Ack("t", ((2, 2),), (Result("jobs", '"r"'),)), Nack("t", delay=0, error="no")
    return [
        Push(queue, (Parcel(('"a"',), 100, 2), Parcel(("2",), keys=("k",)))),
        Keyed(Redrive(queue), KEYS[2]),
        Purge(queue, ("dead",)),
        Define("jobs", "", "{}", settings=QueueSettings(max_attempts=3, backoff=5)),
        Define("new", "count", "{}"),
        Serve(queue, 1, (settle(*acks, key=KEYS[0]), settle(Release("t")))),
        Serve(source, 1, (settle(Ack("s", ((2, 3),))),)),
        Serve(queue, 1, (lease("u", 2, KEYS[1]), take())),
        Serve(source, 1, (lease("v", 2), take(3)), length=LENGTH),
    ]


@pytest.mark.parametrize("place", [0, 1, 5, 7, 9])
def test_one_op_at_fault_undoes_its_whole_batch_wherever_it_stands(ledger, place):
    queue, source = begin(ledger)
    batch = story(queue, source)
    batch.insert(place, "no op")
    ledger.refuses(*batch)
    assert [failure.error for failure in ledger.engine.failures(queue, 3)] == []
    assert ledger.push(queue, "1", keys=("x",)).known == ()  # and the engine works on
    assert not ledger.round(queue, lease("u", 2, KEYS[1]))[0].replayed


def test_ops_that_share_a_transaction_equal_ops_one_by_one(new_ledger):
    results = []
    for together in (True, False):
        ledger = new_ledger()
        queue, source = begin(ledger)
        ops = story(queue, source)
        outcomes = apply(ledger.engine, *ops) if together else tuple(ledger.do(op) for op in ops)
        again = [ledger.do(ops[at]) for at in (1, 5, 7)]  # what is filed
        failures = [ledger.engine.failures(queue, seq) for seq in range(1, 9)]
        results.append((outcomes, ledger.all(), again, failures))
        for row in ledger.engine.rows():
            ledger.balanced(row.id)
        ledger.close()
    assert results[0] == results[1]


def test_each_queue_is_balanced_after_each_op(ledger):
    queue, source = begin(ledger)
    for op in story(queue, source):
        ledger.do(op)
        ledger.balanced(queue)
        ledger.balanced(source)
    ledger.time.pass_(2_000)
    for one in (queue, source):
        ledger.balanced(one)


def test_a_taken_item_a_leased_one_and_a_jumped_one_are_each_counted_as_what_they_are(ledger):
    queue = ledger.define().id
    ledger.take(queue, 3)
    ledger.fresh(queue, 3)
    ledger.do(Advance(queue, 10))
    ledger.fresh(queue, 2, "u")
    ledger.settle(queue, Ack("t", ((4, 4),)), Release("t", ((5, 5),)), then=take())
    ledger.settle(queue, Release("t"))
    ledger.do(Purge(queue, ("waiting",)))
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.acked, row.purged, row.jumped) == (12, 4, 1, 1, 4)
    assert ledger.inside(queue) == {11: "leased", 12: "leased"}


def test_a_pause_of_a_batch_holds_for_all_that_is_asked_in_it(ledger):
    queue = ledger.jobs("1", "2", "3")
    asks = serve(ledger.engine, queue, take())
    for paused, why in ((True, "paused"), (False, None)):
        [served], _ = apply(ledger.engine, asks, Pause(queue, paused))
        assert served.why == why


def test_what_is_looked_at_is_of_one_moment_while_ops_go_on(ledger):
    """A reader beside the writer never sees half of a transaction."""
    queue, done = ledger.jobs(max_attempts=3), threading.Event()
    push = Push(queue, (Parcel(tuple("1234")), Parcel(("5",), delay=50)))

    def write() -> None:
        try:
            for n in range(150):
                acks = settle(Ack(f"t{n - 1}"), then=lease(f"t{n}", 2))
                apply(ledger.engine, push, Serve(queue, 1, (acks, lease(f"u{n}", ttl=20), take())))
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
            assert (counts.cursor, counts.acked) == (5 * counts.taken, 2 * max(counts.taken - 1, 0))
            seqs = [item.seq for item in ledger.engine.items(queue, None, 0, 1_000, 1 << 20)[0]]
            assert seqs == sorted(set(seqs))
            looks += 1
    finally:
        writer.join()
    assert ledger.engine.counts(queue).cursor == 750
    ledger.balanced(queue)
