"""A worker's death costs only the item that it may have died of; what is dead of it is so for every look."""

from __future__ import annotations

import pytest
from asks import lease
from dibs.ledger.ops import Define
from dibs.ledger.serve import Handed
from dibs.ledger.sights import Death, Deaths, Inside
from dibs.ledger.work import Ack, Extend, Nack, Parcel, Purge, Push, QueueSettings, Redrive, Release, Span
from words import NOTHING, served

TTL = 1_000


def lapsed(ledger, queue: int, token: str = "t", most: int = 1_000) -> Handed:
    """A lease whose worker died: it has expired."""
    claimed = ledger.claim(queue, most, token, ttl=TTL, worker="ann")
    ledger.time.pass_(TTL)
    return claimed


def texts(count: int) -> list[str]:
    return list(map(str, range(1, count + 1)))


# -- an answer of one


def test_an_answer_of_one_that_expires_has_used_an_attempt(ledger):
    queue = ledger.jobs("1", max_attempts=2)
    lapsed(ledger, queue)
    due = ledger.engine.now()
    assert [(f.attempt, f.at, f.worker) for f in ledger.engine.failures(queue, 1)] == [(1, due, "ann")]
    ledger.time.pass_(5)
    assert ledger.claim(queue, token="u").spans == (Span(1, 1, 2),)
    assert [(f.attempt, f.at, f.worker) for f in ledger.engine.failures(queue, 1)] == [(1, due, "ann")]


def test_one_that_is_left_of_an_answer_of_many_has_used_none(ledger):
    queue = ledger.jobs(*texts(3), max_attempts=1)
    ledger.claim(queue, ttl=TTL)
    ledger.one(queue, Ack("t", ((1, 2),)))
    ledger.time.pass_(TTL)
    assert ledger.dead(queue) == []
    assert ledger.claim(queue, token="u", ttl=TTL).spans == (Span(3, 3, 1),)
    assert ledger.engine.failures(queue, 3) == []
    ledger.time.pass_(TTL)
    assert ledger.dead(queue) == [3]  # now it was alone


# -- an answer of many


def test_what_is_left_of_an_answer_of_many_comes_back_in_halves_uncounted(ledger):
    queue = ledger.jobs(*texts(100), max_attempts=1)
    lapsed(ledger, queue)
    for token, first in (("u", 1), ("v", 51)):
        assert ledger.claim(queue, 100, token).spans == (Span(first, first + 49, 1),)
    assert ledger.claim(queue, 100, "w").spans == ()
    assert ledger.dead(queue) == ledger.engine.failures(queue, 1) == []


def test_a_lease_of_fresh_items_is_an_answer_of_many_too(ledger):
    queue = ledger.define(settings=QueueSettings(max_attempts=1)).id
    ledger.fresh(queue, 1, "v", ttl=TTL)
    ledger.fresh(queue, 3, ttl=TTL)
    ledger.time.pass_(TTL)
    assert ledger.dead(queue) == [1]
    assert ledger.claim(queue, token="u").spans == (Span(2, 2, 1),)


def test_the_rest_of_a_run_that_is_split_keeps_the_size_of_its_answer(ledger):
    queue = ledger.jobs(*texts(10))
    lapsed(ledger, queue)
    got = [ledger.seqs(ledger.claim(queue, most, f"u{most}")) for most in (2, 9, 1, 8)]
    assert got == [[1, 2], [3, 4, 5, 6, 7], [8], [9, 10]]


def test_a_half_is_of_one_answer_only_and_in_claim_order(ledger):
    queue = ledger.jobs(*texts(8))
    ledger.claim(queue, 4, "t", ttl=TTL)
    ledger.claim(queue, 4, "u", ttl=TTL)
    ledger.one(
        queue,
        Extend("t", TTL, ((2, 2),)),
    )
    ledger.time.pass_(TTL)
    assert [ledger.seqs(ledger.claim(queue, 100, token)) for token in "abcdef"] == [
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
        [],
        [],
    ]


def test_a_lease_of_what_waits_ends_before_what_expired_with_others(ledger):
    queue = ledger.jobs("1", "2")
    lapsed(ledger, queue)
    ledger.push(queue, "3", "4", priority=0)
    ledger.time.pass_(1)
    ledger.do(Push(queue, (Parcel(("5",), priority=9),)))
    assert ledger.seqs(ledger.claim(queue, 100, "a")) == [1]
    assert ledger.seqs(ledger.claim(queue, 100, "b")) == [2]
    assert ledger.seqs(ledger.claim(queue, 100, "c")) == [3, 4, 5]
    ledger.push(queue, "6", priority=0)
    ledger.time.pass_(30_000)
    assert ledger.seqs(ledger.claim(queue, 100, "d")) == [6, 1, 2]  # 1 and 2 expired, too, but alone
    assert ledger.seqs(ledger.claim(queue, 100, "e")) == [3]
    assert ledger.next_due(queue) == ledger.engine.now()


def test_a_take_for_good_takes_whatever_is_due(ledger):
    queue = ledger.jobs(*texts(4), max_attempts=1)
    lapsed(ledger, queue)
    ledger.push(queue, "5")
    assert ledger.seqs(ledger.claim(queue, 100, None)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("entry", [Nack("t", delay=0), Release("t")], ids=["nack", "release"])
def test_what_was_settled_waits_as_any_other(ledger, entry):
    queue = ledger.jobs(*texts(4))
    ledger.claim(queue)
    ledger.one(queue, entry)
    assert ledger.seqs(ledger.claim(queue, 100, "u")) == [1, 2, 3, 4]


def test_an_item_of_many_at_its_last_attempt_gets_that_attempt_alone(ledger):
    queue = ledger.jobs("1", "2", max_attempts=2)
    ledger.claim(queue)
    ledger.one(queue, Nack("t", delay=0))
    lapsed(ledger, queue, "u")
    assert ledger.dead(queue) == []
    assert ledger.claim(queue, token="v", ttl=TTL).spans == (Span(1, 1, 2),)
    ledger.time.pass_(TTL)
    assert ledger.dead(queue) == [1]


def test_one_killer_among_a_hundred_is_found_and_buried_and_no_other(ledger):
    queue = ledger.jobs(*texts(100), max_attempts=3)
    killer, answers = 37, 0
    while not ledger.dead(queue) or ledger.engine.counts(queue).waiting:
        answers += 1
        token = f"t{answers}"
        for seq in ledger.seqs(ledger.claim(queue, 100, token, ttl=TTL)):
            if seq == killer:  # its worker is gone
                ledger.time.pass_(TTL)
                break
            assert ledger.one(queue, Ack(token, ((seq, seq),))) == [(seq, "acked")]
    assert ledger.dead(queue) == [killer]
    assert [f.attempt for f in ledger.engine.failures(queue, killer)] == [1, 2, 3]
    assert ledger.engine.row(queue).acked == 99
    assert answers <= 40


def test_a_backlog_whose_workers_all_died_is_drained_in_twice_as_many_answers(ledger):
    queue = ledger.jobs(*texts(4_000), max_attempts=1)
    served(ledger.engine, queue, *[lease(f"t{n}", 100, ttl=TTL) for n in range(40)])
    ledger.time.pass_(TTL)
    answers, attempts = 0, set()
    while handed := served(ledger.engine, queue, lease(f"u{answers}", 100, ttl=60_000))[0].handed:
        answers += 1
        attempts |= {span.attempt for span in handed.spans}
    assert (answers, attempts) == (80, {1})
    assert ledger.dead(queue) == []


def test_what_is_known_of_an_answer_survives_a_restart(ledger):
    queue = ledger.jobs(*texts(4), max_attempts=1)
    lapsed(ledger, queue)
    ledger.restart()
    assert ledger.dead(queue) == []
    assert ledger.claim(queue, 100, "u").spans == (Span(1, 2, 1),)


# -- what is dead, for every op


@pytest.fixture
def two_dead(ledger) -> int:
    """Two items whose last attempt has expired, and nobody has claimed since."""
    queue = ledger.jobs("1", "2", max_attempts=1, max_ready=2)
    for token in "tu":
        ledger.claim(queue, 1, token, ttl=TTL, worker="ann")
    ledger.time.pass_(TTL)
    return queue


def test_every_look_says_dead(ledger, two_dead):
    engine = ledger.engine
    assert ledger.dead(two_dead) == [1, 2]
    assert engine.glance(two_dead) == (0, 0, 2)
    assert ledger.items(two_dead, "waiting") == ledger.items(two_dead, "leased") == []
    counts = engine.counts(two_dead)
    assert (counts.waiting, counts.leased, counts.dead, counts.oldest) == (0, 0, 2, None)
    assert [(f.attempt, f.worker, f.error) for f in engine.failures(two_dead, 2)] == [
        (1, "ann", "the lease expired")
    ]


def test_every_sight_says_dead_of_what_and_when(ledger, two_dead):
    engine, died = ledger.engine, ledger.engine.now()
    sights = engine.sights
    assert sights.inside() == {two_dead: Inside(0, 0, 2)}
    told = [Death(seq, 1, died, "ann", "the lease expired") for seq in (2, 1)]
    assert sights.newest_dead(two_dead, None, None, 9) == told
    assert sights.newest_dead(two_dead, "the lease expired", 2, 9) == told[1:]
    assert sights.dead_by_error(two_dead, 9) == [Deaths("the lease expired", 2, 2)]
    assert (sights.next(two_dead, 9), sights.first_due(two_dead)) == ([], None)
    ledger.claim(two_dead, token="v")  # writes it down
    assert sights.inside() == {two_dead: Inside(0, 0, 2)}
    assert sights.newest_dead(two_dead, None, None, 9) == told


def test_every_sight_tells_the_last_of_several_failures(ledger):
    """An item that failed, was leased again and expired at its last attempt; one that did not use it yet."""
    queue, other = ledger.jobs("1", max_attempts=2), ledger.define("other", "").id
    ledger.push(other, "1")
    for each in (queue, other):
        ledger.claim(each, token="t")
        ledger.one(each, Nack("t", error="no", delay=0))
    ledger.claim(queue, token="u", ttl=TTL, worker="bob")
    ledger.claim(other, token="u", ttl=TTL, worker="bob")
    assert ledger.engine.sights.inside() == {queue: Inside(0, 1, 0), other: Inside(0, 1, 0)}
    ledger.time.pass_(TTL)
    died = ledger.engine.now()
    sights = ledger.engine.sights
    assert sights.inside() == {queue: Inside(0, 0, 1), other: Inside(1, 0, 0)}
    assert sights.newest_dead(queue, None, None, 9) == [Death(1, 2, died, "bob", "the lease expired")]
    assert sights.newest_dead(queue, "no", None, 9) == []
    assert sights.newest_dead(other, None, None, 9) == []
    assert [tuple(each) for each in sights.next(other, 9)] == [(1, 1, died, 0)]


def test_what_expired_together_goes_out_next(ledger):
    queue = ledger.jobs(*texts(3), max_attempts=1)
    lapsed(ledger, queue, most=2)
    ledger.time.pass_(5)
    expired = ledger.engine.now() - 5
    sights = ledger.engine.sights
    assert sights.inside() == {queue: Inside(3, 0, 0)}
    ready = [(each.first, each.last) for each in sights.next(queue, 9)]
    assert sorted(ready) == [(1, 2), (3, 3)]
    claimed = ledger.claim(queue, token="u").spans
    assert (claimed[0].first, claimed[0].last) == ready[0]
    assert sights.first_due(queue) == expired


def test_looking_writes_nothing(ledger, two_dead):
    before = ledger.items(two_dead)
    ledger.claim(two_dead, token="v")  # writes it down
    assert ledger.items(two_dead) == before
    assert len(ledger.engine.failures(two_dead, 1)) == 1


def test_a_purge_of_what_waits_leaves_them(ledger, two_dead):
    assert ledger.do(Purge(two_dead, ("waiting",))).count == 0
    assert ledger.dead(two_dead) == [1, 2]
    assert ledger.do(Purge(two_dead, ("dead",))).count == 2
    ledger.balanced(two_dead)


@pytest.mark.parametrize("op", [{}, {"seqs": ((1, 9),)}, {"limit": 2}], ids=str)
def test_a_redrive_finds_them(ledger, two_dead, op):
    assert ledger.do(Redrive(two_dead, **op)).count == 2
    assert ledger.claim(two_dead, token="v").spans == (Span(1, 2, 1),)
    assert [f.error for f in ledger.engine.failures(two_dead, 1)] == ["the lease expired"]


def test_they_leave_room_for_producers(ledger, two_dead):
    assert ledger.push(two_dead, "3", "4").refused is None
    assert ledger.push(two_dead, "5").ready == 2


def test_other_attempts_make_them_wait_again_or_not(ledger, two_dead):
    ledger.do(Define("jobs", "", "{}", settings=QueueSettings(max_attempts=None)))
    assert ledger.dead(two_dead) == []
    assert ledger.engine.glance(two_dead) == (2, 0, 0)


def test_a_claim_of_nothing_tells_that_nothing_can_be_claimed_ever(ledger, two_dead):
    assert ledger.claim(two_dead, token="v") == NOTHING
