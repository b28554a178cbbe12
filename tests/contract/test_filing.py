"""What was answered is filed with it: the same answer again, whatever became of the items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asks import LENGTH, lease, seqs, settle, take
from dibs.ledger.ops import Advance, Define, Retry
from dibs.ledger.serve import Ask, Drawn, End, Key, Keyed, Replay, Served
from dibs.ledger.work import Ack, Extend, Nack, Parcel, Purge, Push, Redrive, Release, Result

K = Key("k", "this request")


@pytest.fixture
def queue(ledger):
    """1 dead, 2 and 3 leased under ``t``, the others waiting; and an empty queue for results."""
    queue = ledger.jobs('"ä"', *(f'"{n}"' for n in range(2, 8)), max_attempts=1)
    ledger.claim(queue, 1, "old")
    ledger.one(queue, Nack("old", error="no"))
    ledger.claim(queue, 2, "t")
    ledger.jobs(name="done")
    return queue


@pytest.fixture
def asked(ledger, queue):
    """What comes of an ask, or of any other op, under a key."""

    def asked(what: Any) -> Any:
        return ledger.round(queue, what)[0] if isinstance(what, Ask) else ledger.do(Keyed(what, K))

    return asked


SETTLED = (
    Ack("t", ((2, 2),), (Result("done", '"r"', key="k"),)),
    Extend("t", 60_000, ((3, 3),)),
    Release("forged"),
    Ack("t", ((3, 3),), (Result("nowhere", "1"),)),
)
ASKED = {
    "lease": lambda q: lease("new", 2, K),
    "take": lambda q: take(2, K),
    "push": lambda q: Push(q, (Parcel(('"x"', '"y"'), 70, 3), Parcel(("1",), keys=("k",)))),
    "push with a known key": lambda q: Push(q, (Parcel(("1", "2"), keys=("k", "k")),)),
    "settle": lambda q: settle(*SETTLED, key=K),
    "settle and lease": lambda q: settle(*SETTLED, key=K, then=lease("new", 2)),
    "bury by nack": lambda q: settle(Nack("t", ((2, 2),), error="é"), key=K, chance=0.3),
    "redrive": Redrive,
    "purge": lambda q: Purge(q, ("waiting", "dead")),
}


@pytest.mark.parametrize("make", ASKED.values(), ids=ASKED.keys())
def test_the_first_answer_is_given_again_over_what_comes_after(ledger, asked, queue, make):
    first = asked(make(queue))
    ledger.balanced(queue)
    ledger.settle(queue, Extend("new", 50_000))
    assert asked(make(queue)) == (
        first._replace(replayed=True) if isinstance(first, Served) else Replay(first)
    )
    ledger.time.pass_(20_000)
    ledger.settle(queue, Ack("new"), Ack("t"))
    ledger.do(Purge(queue, ("waiting", "dead")))
    before = ledger.all()
    for _ in range(2):
        again = asked(make(queue))
        assert again == (first._replace(replayed=True) if isinstance(first, Served) else Replay(first))
        assert ledger.all() == before  # results are not pushed again, either
        ledger.restart()
        before = ledger.all()


@pytest.mark.parametrize("texts", [None, ('"x"', '"ä"')], ids=["numbers", "texts"])
def test_fresh_items_leased_inside_a_settle_are_told_again_too(ledger, texts):
    queue = ledger.define("q", "count" if texts is None else "lines").id
    ledger.fresh(queue, 3, texts=texts and ("1", "2", "3"))
    given = {"length": 5} if texts is None else {"drawn": Drawn(4, texts, End("exhausted"))}
    want = settle(Ack("t"), key=K, then=lease("new", 2))
    [first] = ledger.round(queue, want, **given)
    assert (seqs(first), first.handed.values, first.state) == ([4, 5], texts, "exhausted")
    ledger.one(queue, Ack("new"))
    ledger.restart()
    source = ("count", "{}") if texts is None else None
    assert ledger.round(queue, want) == (
        first._replace(handed=first.handed._replace(fresh=False, source=source), replayed=True),
    )


def test_computed_values_that_waited_are_told_again_with_what_computes_them(ledger):
    queue = ledger.define("q", "count", '{"start": 5}').id
    ledger.fresh(queue, 3)
    ledger.one(queue, Release("t"))
    [first] = ledger.round(queue, lease("new", 2, K))
    [again] = ledger.round(queue, lease("new", 2, K))
    assert (first.handed.values, first.handed.source) == (None, None)
    assert again.handed == first.handed._replace(source=("count", '{"start": 5}'))


@pytest.mark.parametrize(
    "texts",
    [('"ä\\u0000"', '{"a": [1, 2.5, null]}', '""', "1" * 100_000), ('"a"\n', "[1,\r\n2]", "\n3")],
    ids=["as they are", "line breaks between tokens"],
)
def test_values_are_told_again_as_they_were(ledger, texts):
    queue = ledger.define(source="lines").id
    ledger.round(queue, take(9, K), drawn=Drawn(1, texts))
    [again] = ledger.round(queue, take(9, K))
    if "\n" in texts[0]:
        assert list(map(json.loads, again.handed.values)) == list(map(json.loads, texts))
    else:
        assert again.handed.values == texts


def test_an_advance_and_a_retry_are_told_again_by_the_row_they_left(ledger):
    queue = ledger.define(source="lines").id
    for op in (Advance(queue, 8), Retry(queue)):
        keyed = Keyed(op, Key(type(op).__name__, "d"))
        row = ledger.do(keyed)
        assert row == ledger.engine.row(queue)
        ledger.round(queue, take(), drawn=Drawn(9, (), End("failed", "E", "m")))
        assert ledger.do(keyed) == Replay(row)


def test_a_reset_files_its_key_in_the_generation_it_begins(ledger):
    queue = ledger.define().id
    ledger.take(queue, 1, K)
    keyed = Keyed(Define("q", "count", "{}", reset=True), K._replace(text="r"))
    row = ledger.do(keyed)
    assert (row.generation, ledger.do(keyed)) == (2, Replay(row))
    assert ledger.take(row.id, 1, K).replayed is False


def test_a_key_belongs_to_its_queue_and_its_caller(ledger):
    queues = ledger.define("a").id, ledger.define("b").id
    asks = [(queue, K._replace(caller=caller)) for queue in queues for caller in ("ann", "ben")]
    first = [ledger.take(queue, 1, key) for queue, key in asks]
    assert [seqs(served) for served in first] == [[1], [2], [1], [2]]
    for (queue, key), served in zip(asks, first, strict=True):
        assert seqs(ledger.round(queue, take(1, key), length=LENGTH)[0]) == seqs(served)
