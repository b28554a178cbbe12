"""What fails: back-off, burial, and the failures that are kept."""

from __future__ import annotations

import pytest
from asks import lease, take
from dibs.ledger.looks import FailureRow
from dibs.ledger.work import FAILURES_KEPT, Ack, Nack, Release, Settled, Span
from words import NOTHING, batch, serve, served


def fail(ledger, queue: int, times: int = 1, **nack) -> None:
    """Hand everything out and nack it, again and again."""
    for n in range(times):
        ledger.claim(queue, token=f"f{n}", worker=f"w{n}")
        ledger.one(queue, Nack(f"f{n}", delay=0, **nack))


def test_a_nack_with_a_delay_waits_that_long(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue)
    due = ledger.engine.now() + 500
    assert ledger.settle(queue, Nack("t", ((1, 2),), 500)).entries == ((Settled("nacked", 1, 2, due),),)
    ledger.time.pass_(499)
    assert (ledger.claim(queue, token="u"), ledger.next_due(queue)) == (NOTHING, due)
    ledger.time.pass_(1)
    assert ledger.claim(queue, token="u").spans == (Span(1, 2, 2),)


def test_the_back_off_doubles_up_to_its_bound(ledger):
    queue = ledger.jobs("1", max_attempts=None, backoff=100, backoff_max=1_000, jitter=0.0)
    delays = []
    for n in range(6):
        assert ledger.claim(queue, token=f"t{n}").spans == (Span(1, 1, n + 1),)
        [[part]] = ledger.settle(queue, Nack(f"t{n}")).entries
        delays.append(part.due - ledger.engine.now())
        ledger.time.pass_(delays[-1])
    assert delays == [100, 200, 400, 800, 1_000, 1_000]


@pytest.mark.parametrize(
    ("jitter", "chance", "delay"),
    [(0.5, 0.0, 1_000), (0.5, 0.5, 750), (0.5, 1.0, 500), (1.0, 1.0, 0), (0.0, 1.0, 1_000)],
)
def test_chance_shortens_the_back_off_by_no_more_than_the_jitter(ledger, jitter, chance, delay):
    queue = ledger.jobs("1", backoff=1_000, jitter=jitter)
    ledger.claim(queue)
    [[part]] = ledger.settle(queue, Nack("t"), chance=chance).entries
    assert part.due == ledger.engine.now() + delay


def test_the_back_off_is_by_each_item_s_own_attempt(ledger):
    queue = ledger.jobs("1", "2", "3", backoff=100, jitter=0.0)
    ledger.claim(queue, 1)
    ledger.one(queue, Nack("t", delay=0))
    assert ledger.seqs(ledger.claim(queue, token="u")) == [1, 2, 3]
    ledger.one(queue, Nack("u"))
    now = ledger.engine.now()
    assert {item.seq: item.due - now for item in ledger.items(queue)} == {1: 200, 2: 100, 3: 100}


def test_attempts_beyond_counting_do_not_overflow_the_back_off(ledger):
    queue = ledger.jobs("1", max_attempts=None, backoff=3_600_000, backoff_max=86_400_000, jitter=0.0)
    fail(ledger, queue, 70)
    ledger.claim(queue, token="t")
    [[part]] = ledger.settle(queue, Nack("t")).entries
    assert part.due == ledger.engine.now() + 86_400_000


# -- burial


def test_the_last_attempt_that_is_nacked_buries(ledger):
    queue = ledger.jobs("1", "2", max_attempts=3)
    fail(ledger, queue, 2)
    ledger.claim(queue, worker="ann")
    assert ledger.one(queue, Nack("t", ((1, 1),), 0, "boom")) == [(1, "dead")]
    [dead] = ledger.items(queue, "dead")
    assert (dead.seq, dead.attempt, dead.due, dead.worker) == (1, 3, ledger.engine.now(), "ann")
    assert ledger.inside(queue) == {1: "dead", 2: "leased"}
    assert ledger.one(queue, Nack("t", ((1, 1),))) == [(1, "stale")]


def test_what_no_further_attempt_would_help_is_buried_at_once(ledger):
    queue = ledger.jobs("1", "2", max_attempts=3)
    ledger.claim(queue)
    assert ledger.one(queue, Nack("t", ((1, 1),), 5_000, "boom", dead=True)) == [(1, "dead")]
    [dead] = ledger.items(queue, "dead")
    assert (dead.seq, dead.attempt, dead.due) == (1, 1, ledger.engine.now())
    assert [failure.error for failure in ledger.engine.failures(queue, 1)] == ["boom"]
    assert ledger.inside(queue) == {1: "dead", 2: "leased"}


def test_one_nack_can_bury_some_and_delay_others(ledger):
    queue = ledger.jobs("1", max_attempts=2)
    fail(ledger, queue)
    ledger.push(queue, "2")
    ledger.claim(queue)
    assert ledger.one(queue, Nack("t")) == [(1, "dead"), (2, "nacked")]


def test_a_claim_buries_an_expired_lease_that_has_used_up_its_attempts(ledger):
    queue = ledger.jobs("1", "2", max_attempts=2)
    fail(ledger, queue)
    ledger.claim(queue, 1, "t", ttl=1_000, worker="ann")
    ledger.time.pass_(1_000)
    assert ledger.seqs(ledger.claim(queue, token="u")) == [2]
    assert ledger.inside(queue) == {1: "dead", 2: "leased"}
    last = ledger.engine.failures(queue, 1)[-1]
    assert (last.attempt, last.worker) == (2, "ann")
    ledger.time.pass_(50_000)
    assert ledger.claim(queue, token="v").spans == ()
    assert ledger.dead(queue) == [1, 2]


def test_a_claim_that_buries_still_hands_out_as_many_as_were_asked_for(ledger):
    queue = ledger.jobs("1", "2", "3", max_attempts=1)
    for token in "st":
        ledger.claim(queue, 1, token, ttl=10)
    ledger.time.pass_(10)
    ledger.push(queue, "4", priority=9)
    assert ledger.seqs(ledger.claim(queue, 2, "u")) == [3, 4]
    assert ledger.inside(queue) == {1: "dead", 2: "dead", 3: "leased", 4: "leased"}


def test_a_claim_for_good_buries_too(ledger):
    queue = ledger.jobs("1", max_attempts=1)
    ledger.claim(queue, ttl=10)
    ledger.time.pass_(10)
    assert ledger.claim(queue, token=None).spans == ()
    assert ledger.inside(queue) == {1: "dead"}


def test_an_op_buries_so_many_and_the_next_goes_on(ledger):
    """Many thousand leases that are spent at once must not keep everybody waiting."""
    queue = ledger.jobs(*["1"] * 2_500, max_attempts=1)
    served(ledger.engine, queue, *[lease(f"t{n}", ttl=10) for n in range(2_500)])
    ledger.time.pass_(10)
    ledger.push(queue, "last")
    asks, in_vain = serve(ledger.engine, queue, take(), take()), 0
    while (applied := batch(ledger.engine, asks)).outcomes[0][0].handed is None:
        assert [one.why for one in applied.outcomes[0]] == ["empty", "empty"]
        assert applied.after[queue].next_due <= applied.now
        in_vain += 1
        assert in_vain < 10
    assert in_vain > 1
    first, second = applied.outcomes[0]
    assert (ledger.seqs(first.handed), second.why) == ([2_501], "empty")
    assert ledger.engine.counts(queue).dead == 2_500


def test_without_a_bound_nothing_is_buried(ledger):
    queue = ledger.jobs("1", max_attempts=None)
    fail(ledger, queue, 40)
    ledger.claim(queue, token="t", ttl=1)
    ledger.time.pass_(1)
    assert ledger.dead(queue) == []
    assert ledger.claim(queue, token="u").spans == (Span(1, 1, 42),)


# -- the record of failures


def test_a_nack_is_recorded_with_attempt_time_worker_and_error(ledger):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, worker="ann")
    ledger.time.pass_(7)
    now = ledger.engine.now()
    ledger.one(queue, Nack("t", ((2, 2),), 0, "Ümlaut: naïve\nline"))
    assert ledger.engine.failures(queue, 2) == [FailureRow(1, now, "ann", "Ümlaut: naïve\nline", now - 7)]
    assert ledger.engine.failures(queue, 1) == []
    ledger.claim(queue, token="u", worker="ben")
    ledger.one(queue, Nack("u", delay=0))
    assert ledger.engine.failures(queue, 2)[1] == FailureRow(2, now, "ben", "", now)


def test_an_error_of_few_items_is_kept_whole(ledger):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue)
    ledger.one(queue, Nack("t", delay=0, error="é" * 8_192))
    assert [ledger.engine.failures(queue, seq)[0].error for seq in (1, 2)] == ["é" * 8_192] * 2


@pytest.mark.parametrize("letter", ["e", "é", "漢"])
def test_a_large_error_of_many_items_is_shortened(ledger, letter):
    """Ten thousand items of one nack must not write their error ten thousand times in full."""
    queue = ledger.jobs(*["1"] * 3_000)
    ledger.claim(queue, 3_000)
    ledger.one(queue, Nack("t", delay=0, error="begin " + letter * 8_192))
    [kept] = {ledger.engine.failures(queue, seq)[0].error for seq in (1, 1_500, 3_000)}
    assert 200 <= len(kept.encode()) <= (1 << 20) // 3_000
    assert kept.startswith("begin " + letter)
    assert kept.endswith(letter + " ...")


def test_many_nacks_of_one_settle_share_the_room_for_their_errors(ledger):
    queue = ledger.jobs(*["1"] * 2_000)
    ledger.claim(queue, 2_000)
    nacks = [Nack("t", ((n, n + 99),), 0, "e" * 8_192) for n in range(1, 2_000, 100)]
    ledger.settle(queue, *nacks)
    sizes = [len(ledger.engine.failures(queue, seq)[0].error) for seq in range(1, 2_001, 100)]
    assert min(sizes) >= 197
    assert sum(sizes) * 100 <= (1 << 20) + 2_000 * 200


def test_an_expiry_is_recorded_when_it_is_found(ledger):
    queue = ledger.jobs("1", "2")
    for token in "st":
        due = ledger.claim(queue, 1, token, ttl=1_000, worker="ann").due
    ledger.time.pass_(3_000)
    ledger.claim(queue, 2, "u", worker="ben")
    for seq in (1, 2):
        [failure] = ledger.engine.failures(queue, seq)
        assert (failure.attempt, failure.at, failure.worker) == (1, due, "ann")
        assert "expire" in failure.error
    ledger.settle(queue, Ack("u", ((1, 1),)), Nack("u", ((2, 2),), error="no"))
    assert ledger.engine.failures(queue, 1) == []
    assert [row.worker for row in ledger.engine.failures(queue, 2)] == ["ann", "ben"]


def test_the_last_failures_are_kept(ledger):
    queue = ledger.jobs("1", "2", max_attempts=None)
    for n in range(FAILURES_KEPT + 3):
        ledger.claim(queue, token=f"t{n}", worker=f"w{n}")
        ledger.settle(queue, Nack(f"t{n}", ((1, 1),), 0, f"e{n}"), Release(f"t{n}"))
    assert [(row.attempt, row.worker, row.error) for row in ledger.engine.failures(queue, 1)] == [
        (n + 1, f"w{n}", f"e{n}") for n in range(3, FAILURES_KEPT + 3)
    ]
    assert ledger.engine.failures(queue, 2) == []


def test_failures_go_with_their_item(ledger):
    queue = ledger.jobs("1", "2")
    fail(ledger, queue, error="no")
    ledger.claim(queue, 1, token=None)
    assert ledger.engine.failures(queue, 1) == []
    assert len(ledger.engine.failures(queue, 2)) == 1
    assert ledger.engine.failures(queue, 99) == []
    assert ledger.engine.failures(99, 1) == []
