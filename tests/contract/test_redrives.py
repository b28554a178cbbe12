"""The way back of dead items by a redrive; settings that change while a queue is at work."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Close, Pause
from dibs.ledger.work import Moved, Nack, QueueSettings, Redrive
from words import apply


def bury(ledger, count: int = 5) -> int:
    queue = ledger.jobs(*(str(n + 1) for n in range(count)), max_attempts=1)
    ledger.claim(queue, token="b")
    ledger.one(queue, Nack("b", error="no"))
    assert set(ledger.inside(queue).values()) == {"dead"}
    return queue


def test_the_dead_wait_again_with_attempt_0(ledger):
    queue = bury(ledger)
    ledger.time.pass_(100)
    now = ledger.engine.now()
    assert ledger.do(Redrive(queue)) == Moved(5, now)
    assert [(item.state, item.attempt, item.due) for item in ledger.items(queue)] == [("waiting", 0, now)] * 5
    claimed = ledger.claim(queue)
    assert claimed.values == ("1", "2", "3", "4", "5")
    assert {span.attempt for span in claimed.spans} == {1}
    assert [row.error for row in ledger.engine.failures(queue, 3)] == ["no"]  # their history is still told


@pytest.mark.parametrize(
    ("asked", "moved"),
    [
        ({"seqs": ((2, 2),)}, [2]),
        ({"seqs": ((1, 2), (4, 99))}, [1, 2, 4, 5]),
        ({"limit": 2}, [1, 2]),
        ({"seqs": ((2, 3), (5, 5)), "limit": 2}, [2, 3]),
        ({"limit": 99}, [1, 2, 3, 4, 5]),
        ({"limit": 0}, []),
        ({"seqs": ()}, []),
        ({"seqs": ((6, 9),)}, []),
    ],
)
def test_some_of_the_dead_are_let_out(ledger, asked, moved):
    queue = bury(ledger)
    assert ledger.do(Redrive(queue, **asked)).count == len(moved)
    ledger.balanced(queue)
    assert [item.seq for item in ledger.items(queue, "waiting")] == moved
    assert ledger.claim(queue).size == len(moved)


def test_only_the_dead_are_redriven(ledger):
    queue = bury(ledger, 2)
    ledger.push(queue, "3", delay=900)
    ledger.push(queue, "4")
    ledger.claim(queue, 1)
    before = ledger.items(queue)
    assert ledger.do(Redrive(queue, ((3, 9),))).count == 0
    assert ledger.items(queue) == before
    assert ledger.do(Redrive(queue)).count == 2
    assert ledger.items(queue)[2:] == before[2:]


@pytest.mark.parametrize(("rate", "step"), [(10.0, 100), (1.0, 1_000), (0.5, 2_000)])
def test_a_rate_spreads_the_dues(ledger, rate, step):
    queue = bury(ledger)
    now = ledger.engine.now()
    assert ledger.do(Redrive(queue, rate=rate)) == Moved(5, now)
    assert [item.due - now for item in ledger.items(queue)] == [n * step for n in range(5)]
    assert ledger.next_due(queue) == now


@pytest.mark.parametrize("rate", [3.0, 30.0, 70.0, 999.0, 1e6])
def test_a_high_rate_is_kept_in_tenths_of_a_second(ledger, rate):
    """Those of a tenth of a second may be due together; none is due later than the rate says."""
    queue = bury(ledger, 300)
    now = ledger.engine.now()
    ledger.do(Redrive(queue, rate=rate))
    for n, item in enumerate(ledger.items(queue)):
        assert n * 1_000 / rate - 101 < item.due - now <= n * 1_000 / rate


def test_a_redriven_item_can_be_buried_again(ledger):
    queue = bury(ledger, 1)
    ledger.do(Redrive(queue))
    ledger.claim(queue)
    assert ledger.one(queue, Nack("t")) == [(1, "dead")]
    assert ledger.do(Redrive(queue)).count == 1


def test_a_closed_queue_and_one_that_is_not_there(ledger):
    queue = bury(ledger)
    ledger.do(Close(queue))
    assert ledger.do(Redrive(queue)).count == 5
    assert ledger.do(Redrive(99)).count == 0


# -- settings may change at any time


def test_settings_of_a_queue_at_work_change_what_comes_next_and_nothing_else(ledger):
    queue = ledger.jobs("1", "2", max_attempts=1)
    ledger.claim(queue)
    before = ledger.items(queue), ledger.engine.counts(queue)
    settings = QueueSettings(max_attempts=2, backoff=70, jitter=0.0, max_ready=2)
    row = ledger.define("jobs", "", settings=settings)
    assert (row.settings, row.cursor, row.generation, row.ending) == (settings, 2, 1, None)
    assert (ledger.items(queue), ledger.engine.counts(queue)) == before
    [[part]] = ledger.settle(queue, Nack("t", ((1, 1),))).entries
    assert (part.verdict, part.due) == ("nacked", ledger.engine.now() + 70)
    ledger.define("jobs", "", settings=QueueSettings(max_attempts=1))
    assert ledger.one(queue, Nack("t")) == [(2, "dead")]
    ledger.restart()
    assert ledger.engine.row(queue).settings == QueueSettings(max_attempts=1)


def test_a_change_of_settings_lifts_neither_an_ending_nor_a_pause(ledger):
    queue = ledger.jobs("1")
    apply(ledger.engine, Pause(queue, True), Close(queue))
    row = ledger.define("jobs", "", settings=QueueSettings(backoff=5))
    assert (row.ending, row.paused, row.settings.backoff) == ("closed", True, 5)


def test_a_new_queue_has_the_defaults(ledger):
    assert ledger.define("a").settings == QueueSettings()
    assert ledger.define("b", settings=QueueSettings(max_ready=4)).settings == QueueSettings(max_ready=4)


def test_lowered_attempts_bury_what_expires_later(ledger):
    queue = ledger.jobs("1", max_attempts=None)
    for token in "abc":
        ledger.claim(queue, token=token)
        ledger.one(queue, Nack(token, delay=0))
    ledger.claim(queue, token="t", ttl=10)
    ledger.define("jobs", "", settings=QueueSettings(max_attempts=2))
    ledger.time.pass_(10)
    assert len(ledger.dead(queue)) == 1
    assert ledger.inside(queue) == {1: "dead"}
