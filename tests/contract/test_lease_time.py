"""Leases over restarts: an outage ends none early, whatever the wall clock did; the expired stay so."""

from __future__ import annotations

import pytest
from asks import lease, seqs
from dibs.ledger.work import Ack, Extend, Nack, Release, Result
from words import idle

HOUR = 3_600_000


@pytest.fixture
def start(ledger):
    """Stop, let the wall clock do something, and start."""
    if not ledger.starts:
        pytest.skip("a ledger in memory ends with its process: it is never started again")

    def start(wall: int = 0) -> int:
        ledger.time.wall += wall
        ledger.restart()
        return ledger.engine.now()

    return start


@pytest.fixture
def crash(ledger):
    """Kill the process that has the ledger, and start another."""
    if not ledger.starts:
        pytest.skip("a ledger in memory ends with its process: it is never started again")
    return ledger.crash


def dues(ledger, queue: int) -> dict[int, int]:
    """For how long each item is not due yet."""
    now = ledger.engine.now()
    return {item.seq: item.due - now for item in ledger.items(queue)}


@pytest.mark.parametrize("wall", [0, 1, HOUR, -HOUR, 24 * HOUR])
def test_a_live_lease_gets_at_least_its_ttl_again(ledger, start, wall):
    queue = ledger.jobs("1", "2", "3")
    ledger.claim(queue, 1, "short", ttl=1_000)
    ledger.claim(queue, 1, "long", ttl=2 * HOUR)
    ledger.time.pass_(999)
    start(wall)
    left = dues(ledger, queue)
    assert left[1] == 1_000
    gap = max(wall, 0)
    assert left[2] == 2 * HOUR - (0 if ledger.renews(gap) else 999 + gap)
    assert ledger.inside(queue) == {1: "leased", 2: "leased", 3: "waiting"}
    assert ledger.seqs(ledger.claim(queue, token="u")) == [3]
    ledger.time.pass_(999)
    assert ledger.one(queue, Ack("short")) == [(1, "acked")]
    assert ledger.one(queue, Ack("long")) == [(2, "acked")]


@pytest.mark.parametrize("wall", [0, HOUR, -HOUR])
def test_an_expired_lease_stays_expired(ledger, start, wall):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 1, "t", ttl=1_000)
    ledger.time.pass_(1_000)
    start(wall)
    assert ledger.inside(queue) == {1: "waiting", 2: "waiting"}
    assert ledger.one(queue, Ack("t")) == [(None, "stale")]
    claimed = ledger.claim(queue, token="u")
    assert sorted(claimed.spans) == [(1, 1, 2), (2, 2, 1)]


def test_leases_of_fresh_items_too(ledger, start):
    queue = ledger.define().id
    ledger.fresh(queue, 5, "t", 10_000)
    ledger.fresh(queue, 2, "u", 300)
    ledger.time.pass_(300)
    start(HOUR)
    assert dues(ledger, queue) == {**dict.fromkeys(range(1, 6), 10_000), 6: -HOUR, 7: -HOUR}
    assert ledger.next_due(queue) == ledger.engine.now() - HOUR


def test_the_ttl_of_an_extension_counts(ledger, start):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 2, "t", ttl=1_000)
    ledger.one(queue, Extend("t", 20_000, ((2, 2),)))
    ledger.time.pass_(900)
    start(HOUR)
    assert dues(ledger, queue) == {1: 1_000, 2: 20_000}


def test_delays_and_back_offs_go_by_the_ledger_s_time(ledger, start):
    queue = ledger.jobs("1")
    ledger.push(queue, "2", delay=HOUR)
    ledger.claim(queue)
    ledger.one(queue, Nack("t", delay=30_000))
    start(-HOUR)
    assert dues(ledger, queue) == {1: 30_000, 2: HOUR}
    start(HOUR)  # the wall clock is right again
    assert dues(ledger, queue) == {1: 30_000, 2: HOUR}
    start(HOUR)  # an hour's outage
    assert dues(ledger, queue) == {1: 30_000 - HOUR, 2: 0}


@pytest.mark.parametrize("wall", [HOUR, -HOUR])
def test_the_wall_clock_of_a_running_ledger_ends_no_lease_and_starts_none(ledger, wall):
    queue = ledger.jobs("1")
    ledger.push(queue, "2", delay=500)
    ledger.claim(queue, ttl=1_000)
    ledger.time.wall += wall
    assert ledger.claim(queue, token="u").spans == ()
    ledger.time.monotonic += 500
    assert ledger.seqs(ledger.claim(queue, token="u")) == [2]
    ledger.time.monotonic += 499
    assert ledger.claim(queue, token="v").spans == ()
    ledger.time.monotonic += 1
    assert ledger.seqs(ledger.claim(queue, token="v")) == [1]


def test_many_starts_in_a_row_change_nothing_but_the_dues_of_what_is_live(ledger, start):
    queue = ledger.jobs("1", "2", "3", "4", max_attempts=1)
    ledger.claim(queue, 2, "dead")
    ledger.one(queue, Nack("dead"))
    ledger.claim(queue, 1, "t", ttl=1_000)
    before = ledger.items(queue)
    for _ in range(3):
        ledger.time.pass_(600)
        start()
    after = ledger.items(queue)
    assert [item for item in after if item.state != "leased"] == [i for i in before if i.state != "leased"]
    assert dues(ledger, queue)[3] == 1_000
    ledger.balanced(queue)


def test_everything_inside_is_there_after_a_restart(ledger):
    queue = ledger.jobs(*(f'"{n}"' for n in range(1, 9)), max_attempts=2)
    ledger.claim(queue, 4, "t", worker="ann")
    ledger.settle(queue, Ack("t", ((2, 2),)), Nack("t", ((1, 1), (4, 4)), 0, "no"))
    ledger.claim(queue, 2, "u", worker="ben")
    before, failures = ledger.all(), ledger.engine.failures(queue, 1)
    ledger.restart()
    assert ledger.all() == before
    assert ledger.engine.failures(queue, 1) == failures
    ledger.engine.reopen()
    assert ledger.all() == before
    assert len(ledger.one(queue, Ack("u"))) == 2
    assert ledger.one(queue, Ack("t")) == [(3, "acked")]


# -- what is on disk of ledger time, when the process is killed


def test_a_lease_that_is_over_is_over_after_a_crash_too(ledger, crash):
    queue = ledger.jobs("1", "2")
    ledger.claim(queue, 1, "t", ttl=5_000)
    ledger.claim(queue, 1, "long", ttl=HOUR)
    assert idle(ledger, 10_000) == 10  # once a second
    crash()
    assert ledger.inside(queue) == {1: "waiting", 2: "leased"}
    assert ledger.one(queue, Ack("t")) == [(None, "stale")]
    assert ledger.one(queue, Ack("long")) == [(2, "acked")]


def test_the_last_lease_too(ledger, crash):
    queue = ledger.define().id
    ledger.fresh(queue, 1, ttl=500)
    assert idle(ledger, 10_000) >= 1
    crash()
    assert ledger.inside(queue) == {1: "waiting"}


def test_after_a_start_too(ledger, start):
    queue = ledger.jobs("1")
    ledger.claim(queue, ttl=HOUR)
    start()
    assert idle(ledger, 3_000) == 3


def test_a_lease_that_is_extended_counts_to_its_new_end(ledger, crash):
    queue = ledger.jobs("1")
    ledger.claim(queue, ttl=100)
    ledger.one(queue, Extend("t", 3_000))
    assert idle(ledger, 10_000) >= 3
    crash()
    assert ledger.inside(queue) == {1: "waiting"}


@pytest.mark.parametrize(
    "told",
    [
        Ack("t"),
        Ack("t", ((1, 1),)),
        Extend("t", HOUR),
        Release("t"),
        Ack("t", push=(Result("jobs", "2"),)),
    ],
    ids=["whole", "seqs", "extend", "release", "push"],
)
def test_who_was_told_stale_hears_nothing_else_after_a_crash_at_once(ledger, crash, told):
    assert ledger.jobs("1") == 1
    ledger.claim(1, ttl=100)
    ledger.time.pass_(100)
    ledger.settle(1, told)
    crash()
    assert ledger.inside(1) == {1: "waiting"}
    assert ledger.one(1, Ack("t")) == [(None, "stale")]


def test_one_transaction_hands_out_no_more_than_so_many_bytes_but_an_item_to_each(ledger):
    text = '"' + "x" * 200_000 + '"'
    queue = ledger.jobs(*[text] * 100)
    outcomes = ledger.round(queue, *[lease(f"t{n}", 40, room=1 << 23) for n in range(4)])
    assert [len(seqs(served)) for served in outcomes] == [40, 40, 3, 1]
