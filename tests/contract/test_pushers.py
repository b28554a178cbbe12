"""Who pushed an item, and under which key: kept with its value for as long as it is inside."""

from __future__ import annotations

from asks import settle
from dibs.ledger.looks import Kept
from dibs.ledger.ops import Define
from dibs.ledger.serve import Key
from dibs.ledger.work import Ack, Parcel, Push, Result
from words import apply


def callers(ledger, queue, *seqs):
    return ["".join(kept.caller for kept in [ledger.engine.kept(queue, seq)] if kept) for seq in seqs]


def test_each_item_has_the_name_of_who_pushed_it_and_the_key_of_its_push(ledger):
    queue = ledger.jobs("1")
    ledger.push(queue, "2", "3", keys=("order-2", None), caller="shöp")
    ledger.push(queue, "4", "5", keys=("order-2", "order-5"), caller="cron")  # 2 is known
    assert callers(ledger, queue, 1, 2, 3, 4) == ["", "shöp", "shöp", "cron"]
    assert ledger.engine.kept(queue, 5) is None
    keys = [ledger.engine.item_key(queue, 1, seq) for seq in (1, 2, 3, 4)]
    assert keys == [None, "order-2", None, "order-5"]
    ledger.restart()
    assert callers(ledger, queue, 1, 2, 3, 4) == ["", "shöp", "shöp", "cron"]
    assert ledger.engine.item_key(queue, 1, 4) == "order-5"
    assert ledger.engine.item_key(queue, 2, 4) is None


def test_what_several_push_in_one_transaction_is_one_run_and_has_the_name_of_each(ledger):
    queue = ledger.jobs()
    pushes = [
        Push(queue, (Parcel(texts),), caller=name)
        for name, texts in (("a", ("1", "2")), ("b", ("3",)), ("b", ("4",)), ("", ("5",)), ("a", ("6",)))
    ]
    now = ledger.engine.now()
    apply(ledger.engine, *pushes)
    assert callers(ledger, queue, 1, 2, 3, 4, 5, 6) == ["a", "a", "b", "b", "", "a"]
    assert ledger.engine.kept(queue, 3) == Kept(now, "b")
    assert [item.text for item in ledger.items(queue)] == ["1", "2", "3", "4", "5", "6"]
    look = ledger.engine.files.readers.look
    assert look("SELECT first, last FROM run WHERE queue = ?", (queue,)) == [(1, 6)]
    rows = look("SELECT first, last, caller FROM block WHERE queue = ? ORDER BY first", (queue,))
    assert rows == [(1, 2, "a"), (3, 4, "b"), (5, 5, ""), (6, 6, "a")]
    ledger.claim(queue, 4)
    ledger.one(queue, Ack("t"))
    assert callers(ledger, queue, 4, 5, 6) == ["", "", "a"]
    assert ledger.engine.kept(queue, 4) is None


def test_a_result_is_pushed_by_who_acked(ledger):
    queue, done = ledger.jobs("1", "2", "3"), ledger.jobs(name="done")
    for at, (caller, key) in enumerate((("ann", None), ("", Key("k", "settle", caller="ben")), ("", None))):
        ledger.claim(queue, 1, f"t{at}")
        asked = settle(Ack(f"t{at}", None, (Result("done", "1"),)), key=key)._replace(caller=caller)
        ledger.round(queue, asked)
    assert callers(ledger, done, 1, 2, 3) == ["ann", "ben", ""]


def test_what_a_source_gave_nobody_pushed(ledger):
    queue = ledger.do(Define("q", "lines", '{"path":"f"}')).id
    assert ledger.engine.item_key(queue, 1, 1) is None
    assert ledger.engine.kept(queue, 1) is None
