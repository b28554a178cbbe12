"""The traceparent of a push: kept with its items, told at each hand-out under a lease, gone with the last."""

from __future__ import annotations

import pytest
from asks import lease, settle
from dibs.ledger.ops import Define, Delete
from dibs.ledger.serve import Key
from dibs.ledger.sqlite import traces
from dibs.ledger.work import Ack, Nack, Parcel, Purge, Push, Release, Result, Sweep, Traced

ONE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TWO = ONE.replace("b7", "c8")


@pytest.fixture
def queue(ledger):
    """Items 1 and 2 of no trace, 3 to 5 of one, 6 of another, 7 of none."""
    queue = ledger.jobs("1", "2")
    ledger.push(queue, "3", "4", "5", parent=ONE)
    ledger.push(queue, "6", parent=TWO)
    ledger.push(queue, "7")
    return queue


def told(ledger, queue):
    """Of which trace each item is, one by one."""
    return {seq: ledger.engine.traceparent(queue, seq) for seq in range(1, 9)}


def rows(ledger):
    """All rows, with their queues."""
    return ledger.engine.files.readers.look(
        "SELECT queue, first, last, parent FROM trace ORDER BY queue, first"
    )


def test_a_lease_tells_them_cut_to_its_items(ledger, queue):
    assert ledger.claim(queue, 2).traces is None
    assert ledger.claim(queue, 2).traces == (Traced(3, 4, ONE),)
    assert ledger.claim(queue).traces == (Traced(5, 5, ONE), Traced(6, 6, TWO))
    assert told(ledger, queue) == {1: None, 2: None, 3: ONE, 4: ONE, 5: ONE, 6: TWO, 7: None, 8: None}
    ledger.restart()
    assert told(ledger, queue)[6] == TWO or not ledger.starts


def test_a_take_for_good_tells_none(ledger, queue):
    assert ledger.claim(queue, token=None).traces is None
    assert rows(ledger) == []


def test_it_is_told_again_after_a_nack_a_release_an_expiry_and_a_restart(ledger, queue):
    ledger.claim(queue, 2)
    for end in (Nack("u", delay=0), Release("u")):
        assert ledger.claim(queue, 1, "u").traces == (Traced(3, 3, ONE),)
        ledger.one(queue, end)
    ledger.claim(queue, 1, "u")
    ledger.time.pass_(30_000)
    ledger.restart()
    ledger.time.pass_(60_000)
    told = [span for _ in range(9) for span in ledger.claim(queue, 1, "v").traces or ()]
    assert sorted(told) == [*(Traced(seq, seq, ONE) for seq in (3, 4, 5)), Traced(6, 6, TWO)]


def test_a_row_goes_with_the_last_of_its_items(ledger, queue):
    ledger.claim(queue)
    ledger.one(queue, Ack("t", ((1, 3), (5, 6))))
    assert rows(ledger) == [(queue, 3, 5, ONE)]
    assert told(ledger, queue)[4] == ONE
    ledger.one(queue, Ack("t"))  # all that it still has, in one statement
    assert rows(ledger) == []
    assert ledger.items(queue) == []


def test_what_is_purged_has_none_and_what_is_dead_has_it(ledger, queue):
    ledger.claim(queue, 4)
    ledger.one(queue, Nack("t", ((3, 3),), dead=True))
    ledger.do(Purge(queue, ("waiting",)))
    assert rows(ledger) == [(queue, 3, 5, ONE)]  # 3 is dead, 4 is leased
    ledger.one(queue, Ack("t"))
    ledger.do(Purge(queue, ("dead",)))
    assert rows(ledger) == []


def test_a_deleted_queue_is_swept_of_them(ledger, queue):
    ledger.do(Delete(queue))
    assert queue in ledger.engine.unswept()
    ledger.do(Sweep(queue))
    assert rows(ledger) == []
    assert queue not in ledger.engine.unswept()


def test_a_queue_that_is_made_anew_has_none(ledger, queue):
    again = ledger.do(Define("jobs", "", "{}", reset=True)).id
    ledger.push(again, "a", "b", "c", "d")
    assert ledger.claim(again).traces is None


def test_a_result_has_that_of_its_ack(ledger, queue):
    done = ledger.jobs(name="done")
    ledger.claim(queue, 1)
    results = Result("done", "1", parent=TWO), Result("done", "2")
    ledger.one(queue, Ack("t", None, results))
    assert ledger.claim(done, token="u").traces == (Traced(1, 1, TWO),)


def test_items_that_are_known_keep_theirs(ledger, queue):
    ledger.push(queue, "a", "b", keys=("a", "b"), parent=ONE)
    pushed = ledger.push(queue, "b", "c", "a", keys=("b", "c", "a"), parent=TWO)
    assert list(pushed.seqs) == [9, 10, 8]
    ledger.push(queue, "a", keys=("a",), parent=TWO)
    assert rows(ledger)[-2:] == [(queue, 8, 9, ONE), (queue, 10, 10, TWO)]


def test_the_answer_to_a_key_tells_them_again(ledger, queue):
    key = Key("k", "lease")
    [first] = ledger.round(queue, lease("t", 4, key))
    [again] = ledger.round(queue, lease("u", 4, key))
    assert again.replayed
    assert again.handed.traces == first.handed.traces == (Traced(3, 4, ONE),)
    ledger.restart()
    assert ledger.round(queue, lease("u", 4, key))[0].handed.traces == (Traced(3, 4, ONE),)


def test_a_settle_with_a_lease_tells_them(ledger, queue):
    ledger.claim(queue, 2)
    served = ledger.settle(queue, Ack("t"), then=lease("u", 1))
    assert served.handed.traces == (Traced(3, 3, ONE),)


def test_a_push_that_fails_with_its_batch_leaves_none(ledger, queue):
    before = rows(ledger)
    ledger.refuses(Push(queue, (Parcel(("x",)),), parent=ONE), object())
    assert rows(ledger) == before
    ledger.push(queue, "8")
    assert ledger.claim(queue).traces == (Traced(3, 5, ONE), Traced(6, 6, TWO))


def test_where_nobody_pushes_with_one_none_is_looked_for(ledger, monkeypatch):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue, 1)

    def asked(*_):
        raise AssertionError("asked")

    for verb in ("find", "last", "gone", "sweep", "add"):
        monkeypatch.setattr(traces.Traces, verb, asked)
    ledger.push(queue, "4")
    ledger.claim(queue, 1, "u")
    ledger.settle(queue, Ack("t"), Nack("u", delay=0), then=lease("v", 3))
    ledger.round(queue, settle(Ack("v")))
    assert ledger.items(queue) == []
