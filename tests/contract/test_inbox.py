"""What an inbox has found becomes items, is refused, or stays; on every engine."""

from __future__ import annotations

from dibs.ledger.inbox import Arrival, BoundInbox, Place, TakeIn, TakenIn, Unfit
from dibs.ledger.ops import Advance, Close, Delete
from dibs.ledger.work import MAX_SEQ, QueueSettings
from words import apply


def arrivals(*texts, queue="q", begin=1, **terms):
    """Rows of one transaction, each named by its text."""
    return tuple([Arrival(Place(7, at), queue, f'"{text}"', **terms) for at, text in enumerate(texts, begin)])


def places(*numbers):
    return tuple([Place(7, n) for n in numbers])


def values(ledger, queue):
    """The values inside, in the order of their seqs."""
    return [row.text.strip('"') for row in ledger.engine.items(queue, None, 0, 100, 1 << 20)[0]]


def test_rows_become_items_of_their_queues_in_their_order(ledger):
    q, r = ledger.define("q", "").id, ledger.define("r", "").id
    rows = (*arrivals("1", "2"), *arrivals("3", queue="r", begin=3), *arrivals("4", begin=4))
    taken = ledger.take_in(rows)
    assert taken == TakenIn(places(1, 2, 4, 3), pushed={"q": 3, "r": 1})
    assert (values(ledger, q), values(ledger, r)) == (["1", "2", "4"], ["3"])
    ledger.balanced(q)


def test_delays_and_priorities_are_kept(ledger):
    q = ledger.define("q", "").id
    now = ledger.engine.now()
    rows = (
        *arrivals("late", due=now + 60_000),
        *arrivals("now", due=now - 5, begin=2),
        *arrivals("first", priority=2, begin=3),
    )
    ledger.take_in(rows)
    items, _ = ledger.engine.items(q, None, 0, 10, 1 << 20)
    assert [(item.due, item.priority) for item in items] == [(now + 60_000, 0), (now, 0), (now, 2)]


def test_a_known_key_pushes_nothing_and_its_row_is_taken(ledger):
    q = ledger.define("q", "").id
    assert ledger.take_in(arrivals("1", key="k")).pushed == {"q": 1}
    taken = ledger.take_in(arrivals("2", "3", key="k"))
    assert taken == TakenIn(places(1, 2), pushed={"q": 0})
    assert values(ledger, q) == ["1"]
    ledger.time.pass_(1_000)
    assert ledger.take_in(arrivals("4", key="m"), key_ttl=1_000).pushed == {"q": 1}
    ledger.time.pass_(1_001)
    assert ledger.take_in(arrivals("5", "6", key="m")).pushed == {"q": 1}


def test_what_a_queue_does_not_take_is_refused_with_its_reason(ledger):
    ledger.define("source", "count")
    closed, gone = ledger.define("closed", "").id, ledger.define("gone", "").id
    apply(ledger.engine, Close(closed), Delete(gone))
    unfit = Unfit(Place(7, 9), "it is bad")
    names = ("source", "closed", "gone", "never")
    rows = [arrivals("1", queue=name, begin=at)[0] for at, name in enumerate(names, 1)]
    taken = ledger.take_in(tuple(rows), (unfit,))
    assert (taken.taken, taken.pushed) == ((), {})
    assert [reason for _, reason in taken.refused] == [
        "it is bad",
        "the queue is fed by a source",
        "the queue is closed",
        "there is no queue of this name any more",
        "there is no queue of this name any more",
    ]


def test_a_queue_without_room_takes_the_first_and_leaves_the_rest(ledger):
    q = ledger.define("q", "", settings=QueueSettings(max_ready=3)).id
    ledger.define("r", "")
    rows = (*arrivals("1", "2", "3", "4", "5"), *arrivals("6", queue="r", begin=6))
    taken = ledger.take_in(rows)
    assert taken == TakenIn(places(1, 2, 3, 6), full=frozenset({"q"}), pushed={"q": 3, "r": 1})
    assert values(ledger, q) == ["1", "2", "3"]
    assert ledger.take_in(arrivals("4")) == TakenIn(full=frozenset({"q"}), pushed={"q": 0})


def test_known_keys_take_no_room(ledger):
    ledger.define("q", "", settings=QueueSettings(max_ready=2))
    ledger.take_in(arrivals("1", key="k"))
    rows = (*arrivals("2", "3", key="k"), *arrivals("4", "5", begin=3))
    assert ledger.take_in(rows).pushed == {"q": 1}


def test_a_queue_at_the_end_of_seqs_takes_nothing(ledger):
    q = ledger.define("q", "").id
    ledger.do(Advance(q, MAX_SEQ - 1))
    assert ledger.take_in(arrivals("1")).pushed == {"q": 1}
    assert [reason for _, reason in ledger.take_in(arrivals("2")).refused] == [
        "the queue has counted to 2^53-1, where every queue ends"
    ]


def test_an_empty_one_and_limits_change_nothing(ledger):
    ledger.define("q", "")
    before = ledger.engine.number()
    told = BoundInbox(1, 2, 3, ("q",))
    assert apply(ledger.engine, TakeIn(), told) == (TakenIn(), told)
    assert ledger.engine.number() == before
