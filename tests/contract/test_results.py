"""Ack with push: the ack and the results, in one transaction, all or nothing."""

from __future__ import annotations

import pytest
from asks import lease
from dibs.ledger.ops import Close, Define, Delete, Pause
from dibs.ledger.work import Ack, Nack, Release, Result


@pytest.fixture
def job(ledger):
    """A queue with three leased items, and a queue for results."""
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue)
    ledger.jobs(name="done")
    return queue


def done(ledger) -> int:
    return next(row.id for row in ledger.engine.rows() if row.name == "done")


def test_an_ack_pushes_its_results(ledger, job):
    now, target = ledger.engine.now(), done(ledger)
    results = (Result("done", '"a"'), Result("done", '"b"', 500, 7, "k"))
    served = ledger.settle(job, Ack("t", ((1, 1),), results), Ack("t", ((3, 3),), results[:1]))
    assert ledger.told(served) == [[(1, "acked")], [(3, "acked")]]
    assert [(item.text, item.due - now, item.priority) for item in ledger.items(target)] == [
        ('"a"', 0, 0),
        ('"b"', 500, 7),
        ('"a"', 0, 0),
    ]
    assert {item.state for item in ledger.items(target)} == {"waiting"}
    ledger.balanced(target)
    assert ledger.claim(target, token="u").values == ('"a"', '"a"')


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (Close, "closed"),
        (Delete, "unknown"),
        (lambda target: Define("done", "count", "{}", reset=True), "source"),
    ],
    ids=["closed", "unknown", "source"],
)
@pytest.mark.parametrize("seqs", [None, ((1, 2),)])
def test_one_refused_result_and_the_entry_changes_nothing(ledger, job, spoil, reason, seqs):
    good = ledger.jobs(name="good")
    ledger.do(spoil(done(ledger)))
    before = ledger.all()
    ack = Ack("t", seqs, (Result("good", "1"), Result("done", "2"), Result("good", "3")))
    served = ledger.settle(job, ack)
    [entry] = served.entries
    assert {(part.verdict, part.reason, part.target) for part in entry} == {("refused", reason, "done")}
    assert [seq for seq, _ in ledger.told(served)[0]] == ([1, 2] if seqs else [1, 2, 3])
    assert ledger.all() == before
    assert ledger.items(good) == []
    assert ledger.one(job, Ack("t")) == [(1, "acked"), (2, "acked"), (3, "acked")]


def test_a_queue_that_never_was_is_unknown(ledger, job):
    [[part, *_]] = ledger.settle(job, Ack("t", push=(Result("nowhere", "1"),))).entries
    assert (part.verdict, part.reason, part.target) == ("refused", "unknown", "nowhere")


@pytest.mark.parametrize("seqs", [((1, 4),), ((1, 1), (3, 4)), ((4, 4),), ((9, 9),)])
def test_one_stale_seq_and_the_entry_changes_nothing(ledger, job, seqs):
    before = ledger.all()
    served = ledger.settle(job, Ack("t", seqs, (Result("done", "1"),)))
    verdicts = {verdict for _, verdict in ledger.told(served)[0]}
    assert "stale" in verdicts
    assert verdicts <= {"stale", "refused"}
    for part in served.entries[0]:
        assert (part.reason, part.target) == ("stale" if part.verdict == "refused" else None, None)
    assert ledger.all() == before


@pytest.mark.parametrize("token", ["forged", "u"])
def test_a_whole_lease_that_holds_nothing_pushes_nothing(ledger, job, token):
    ledger.push(job, "4")
    ledger.claim(job, token="u", ttl=1)
    ledger.time.pass_(1)
    assert {verdict for _, verdict in ledger.one(job, Ack(token, push=(Result("done", "1"),)))} == {"stale"}
    assert ledger.items(done(ledger)) == []


def test_a_refused_entry_leaves_the_others_alone(ledger, job):
    ledger.do(Close(done(ledger)))
    good = ledger.jobs(name="good")
    served = ledger.settle(
        job,
        Ack("t", ((1, 1),), (Result("good", "1"),)),
        Ack("t", ((2, 2),), (Result("done", "2"),)),
        Ack("t", ((3, 3),), (Result("good", "3"),)),
        Nack("t", ((2, 2),), 0),
    )
    assert ledger.told(served) == [[(1, "acked")], [(2, "refused")], [(3, "acked")], [(2, "nacked")]]
    assert [item.text for item in ledger.items(good)] == ["1", "3"]


def test_a_result_is_never_refused_for_fullness(ledger, job):
    target = ledger.jobs("0", name="small", max_ready=1)
    assert ledger.one(job, Ack("t", push=(Result("small", "1"),) * 3)) == [
        (1, "acked"),
        (2, "acked"),
        (3, "acked"),
    ]
    assert len(ledger.items(target)) == 4
    assert ledger.push(target, "x").refused == "full"


def test_a_paused_queue_takes_results(ledger, job):
    ledger.do(Pause(done(ledger), True))
    assert ledger.one(job, Ack("t", ((1, 1),), (Result("done", "1"),))) == [(1, "acked")]


def test_a_known_result_is_not_pushed_again_and_the_ack_stands(ledger, job):
    target = done(ledger)
    ledger.push(target, '"first"', keys=("k",))
    assert ledger.one(job, Ack("t", ((1, 1),), (Result("done", "1", key="k"),))) == [(1, "acked")]
    assert ledger.one(job, Ack("t", ((2, 2),), (Result("done", "2", key="l"),))) == [(2, "acked")]
    assert ledger.push(target, "3", keys=("l",)).known == (0,)
    assert [item.text for item in ledger.items(target)] == ['"first"', "2"]


def test_keys_of_results_are_known_for_the_key_ttl_of_the_round(ledger, job):
    target = done(ledger)
    ledger.settle(job, Ack("t", ((1, 1),), (Result("done", "1", key="k"),)), item_key_ttl=500)
    ledger.time.pass_(499)
    assert ledger.push(target, "1", keys=("k",)).known == (0,)
    ledger.time.pass_(1)
    assert ledger.push(target, "1", keys=("k",)).known == ()


def test_the_key_of_a_refused_result_is_still_free(ledger, job):
    target = done(ledger)
    ledger.do(Close(ledger.jobs(name="closed")))
    results = (Result("done", "1", key="k"), Result("closed", "2"))
    assert {verdict for _, verdict in ledger.one(job, Ack("t", push=results))} == {"refused"}
    assert ledger.push(target, "3", keys=("k",)).known == ()


def test_results_can_go_back_into_the_queue_they_came_from(ledger, job):
    """A crawl's frontier: what is found is pushed with the ack of where it was found."""
    served = ledger.settle(
        job,
        Ack("t", ((1, 2),), (Result("jobs", '"found"'),)),
        then=lease("u", 9),
    )
    assert served.handed.values == ('"found"',)
    assert ledger.inside(job) == {3: "leased", 4: "leased"}
    assert sorted(item.seq for item in ledger.items(job)) == [3, 4]


def test_results_of_a_source_s_items_go_into_a_queue_without_one(ledger):
    queue, target = ledger.define().id, ledger.jobs(name="done")
    ledger.fresh(queue, 2)
    ledger.settle(queue, Ack("t", ((1, 1),), (Result("done", "1"),)), Release("t"))
    assert [item.text for item in ledger.items(target)] == ["1"]
    ledger.balanced(queue)
    ledger.balanced(target)


def test_many_results_into_many_queues(ledger, job):
    targets = [ledger.jobs(name=f"d{n}") for n in range(5)]
    results = tuple(Result(f"d{n % 5}", str(n)) for n in range(200))
    ledger.one(job, Ack("t", push=results))
    for n, target in enumerate(targets):
        assert [item.text for item in ledger.items(target)] == [str(m) for m in range(n, 200, 5)]
        ledger.balanced(target)
