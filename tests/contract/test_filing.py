"""What an op of work answered is filed with it: the same answer again, whatever became of the items."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Close, SourceEnd, Take
from dibs.ledger.work import (
    Ack,
    Claim,
    Extend,
    Nack,
    Parcel,
    Purge,
    Push,
    Redrive,
    Release,
    Result,
    Settle,
    Terms,
)

TERMS = Terms("new", 9_000, "ann")
BYTES = 1 << 20


@pytest.fixture
def queue(ledger):
    """1 dead, 2 and 3 leased under ``t``, the others waiting; and an empty queue for results."""
    queue = ledger.jobs('"ä"', *(f'"{n}"' for n in range(2, 8)), max_attempts=1)
    ledger.claim(queue, 1, "old")
    ledger.one(queue, Nack("old", error="no"))
    ledger.claim(queue, 2, "t")
    ledger.jobs(name="done")
    return queue


SETTLED = (
    Ack("t", ((2, 2),), (Result("done", '"r"', key="k"),)),
    Extend("t", 60_000, ((3, 3),)),
    Release("forged"),
    Ack("t", ((3, 3),), (Result("nowhere", "1"),)),
)
OPS = {
    "claim": lambda q, r: Claim(q, 2, BYTES, TERMS, r),
    "claim for good": lambda q, r: Claim(q, 2, BYTES, None, r),
    "push": lambda q, r: Push(q, (Parcel(('"x"', '"y"'), 70, 3), Parcel(("1",), keys=("k",))), remember=r),
    "push with a known key": lambda q, r: Push(q, (Parcel(("1", "2"), keys=("k", "k")),), remember=r),
    "settle": lambda q, r: Settle(q, SETTLED, remember=r),
    "settle and claim": lambda q, r: Settle(q, SETTLED, lease=Claim(q, 2, BYTES, TERMS), remember=r),
    "bury by nack": lambda q, r: Settle(q, (Nack("t", ((2, 2),), error="é"),), 0.3, remember=r),
    "redrive": lambda q, r: Redrive(q, remember=r),
    "purge": lambda q, r: Purge(q, ("waiting", "dead"), r),
}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
def test_the_first_answer_is_recalled_over_what_comes_after(ledger, under, queue, op):
    outcome = ledger.do(op(queue, under("k", "this request")))
    found = ledger.engine.recall(queue, 1, "", "k")
    assert (found.request, found.work) == ("this request", outcome)
    ledger.balanced(queue)
    ledger.time.pass_(20_000)
    ledger.settle(queue, Ack("new"), Ack("t"))
    ledger.do(Purge(queue, ("waiting", "dead")))
    for _ in range(2):
        assert ledger.engine.recall(queue, 1, "", "k") == found
        ledger.restart()


@pytest.mark.parametrize("kind", ["claim", "settle and claim"])
def test_a_lease_is_recalled_with_its_token_and_its_first_due(ledger, under, queue, kind):
    due = ledger.engine.now() + 9_000
    ledger.do(OPS[kind](queue, under("k")))
    found = ledger.engine.recall(queue, 1, "", "k")
    claimed = found.work if kind == "claim" else found.work.claimed
    assert (found.token, claimed.due, claimed.values) == ("new", due, ('"4"', '"5"'))
    ledger.settle(queue, Extend("new", 50_000))
    assert ledger.engine.recall(queue, 1, "", "k") == found
    ledger.settle(queue, Ack("new"))
    assert ledger.engine.recall(queue, 1, "", "k") == found


@pytest.mark.parametrize("kind", ["claim for good", "push", "settle", "redrive", "purge"])
def test_what_gave_no_lease_has_no_token(ledger, under, queue, kind):
    ledger.do(OPS[kind](queue, under("k")))
    assert ledger.engine.recall(queue, 1, "", "k").token is None


@pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
def test_a_key_is_filed_once_and_a_second_filing_undoes_its_batch(ledger, under, queue, op):
    ledger.do(Redrive(queue, ((1, 1),), remember=under("k")))
    ledger.push(queue, "8")
    ledger.refuses(Push(queue, (Parcel(("9",)),)), Push(queue, (Parcel(("1",)),), remember=under("k")))
    ledger.time.pass_(60_000)
    ledger.do(op(queue, under("other")))


def test_a_lease_of_fresh_items_is_recalled_by_its_first_seq_and_due(ledger, under):
    queue = ledger.define().id
    due = ledger.engine.now() + 9_000
    ledger.do(Take(queue, 1, 3, terms=TERMS, remember=under("k", values=range(1, 4))))
    found = ledger.engine.recall(queue, 1, "", "k")
    outcome = dict(found.outcome)
    assert (outcome["first"], outcome["ending"], outcome["due"]) == (1, None, due)
    assert (found.values, found.token) == (range(1, 4), "new")


@pytest.mark.parametrize(
    ("values", "texts"), [(range(4, 6), None), (('"x"', '"ä"'), ('"x"', '"ä"'))], ids=["numbers", "texts"]
)
def test_fresh_items_leased_inside_a_settle_are_recalled_too(ledger, under, values, texts):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    due = ledger.engine.now() + 9_000
    take = Take(queue, 4, 2, end=SourceEnd("exhausted"), terms=TERMS, texts=texts)
    outcome = ledger.do(Settle(queue, (Ack("t"),), lease=take, remember=under("k", values=values)))
    ledger.one(queue, Ack("new"))
    ledger.restart()
    found = ledger.engine.recall(queue, 1, "", "k")
    told = dict(found.outcome)
    assert (told["first"], told["ending"], told["due"]) == (4, "exhausted", due)
    assert (found.work, found.values, found.token) == (outcome, values, "new")


def test_a_claim_of_computed_values_is_recalled_with_what_computes_them(ledger, under):
    queue = ledger.define("q", "count", '{"start": 5}').id
    ledger.fresh(queue, 3)
    ledger.one(queue, Release("t"))
    outcome = ledger.do(Claim(queue, 2, BYTES, TERMS, under("k")))
    found = ledger.engine.recall(queue, 1, "", "k")
    assert (found.work, found.source) == (outcome, ("count", '{"start": 5}'))
    assert found.work.values is None


def test_a_result_s_push_needs_no_key_of_the_request(ledger, under, queue):
    """The same settle again finds the answer of the first, and pushes nothing."""
    ledger.do(OPS["settle"](queue, under("k")))
    ledger.refuses(OPS["settle"](queue, under("k")))
    done = next(row.id for row in ledger.engine.rows() if row.name == "done")
    assert [item.text for item in ledger.items(done)] == ['"r"']


# -- what changed nothing is not filed: the same request again may fare better


def test_a_claim_of_nothing_files_nothing(ledger, under):
    queue = ledger.jobs()
    ledger.do(Claim(queue, 1, BYTES, TERMS, under("k")))
    assert ledger.engine.recall(queue, 1, "", "k") is None
    ledger.push(queue, "1")
    outcome = ledger.do(Claim(queue, 1, BYTES, TERMS, under("k")))
    assert ledger.engine.recall(queue, 1, "", "k").work == outcome
    assert outcome.count == 1


def test_a_refused_push_files_nothing(ledger, under):
    queue = ledger.jobs("1", max_ready=1)
    assert ledger.do(Push(queue, (Parcel(("2",)),), remember=under("k"))).refused == "full"
    assert ledger.engine.recall(queue, 1, "", "k") is None
    ledger.claim(queue)
    outcome = ledger.do(Push(queue, (Parcel(("2",)),), remember=under("k")))
    assert ledger.engine.recall(queue, 1, "", "k").work == outcome
    ledger.do(Close(queue))
    ledger.do(Push(queue, (Parcel(("3",)),), remember=under("l")))
    assert ledger.engine.recall(queue, 1, "", "l") is None


def test_answers_expire_and_belong_to_their_caller(ledger, under, queue):
    ledger.do(OPS["claim"](queue, under("k", caller="ann", ttl=500)))
    assert ledger.engine.recall(queue, 1, "", "k") is None
    ledger.time.pass_(499)
    assert ledger.engine.recall(queue, 1, "ann", "k") is not None
    ledger.time.pass_(1)
    assert ledger.engine.recall(queue, 1, "ann", "k") is None
