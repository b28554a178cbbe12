"""What is in hand: the decisions that no order of steps may change."""

import asyncio

import pytest
from dibs.client import JobSettled, Lease, LeasedItem
from dibs.client.hand import Hand
from dibs.client.outbox import MANY
from dibs.client.pace import MOST, Pace
from dibs.client.parcel import compose


class Bell:
    def __init__(self):
        self.rings = 0

    def ring(self):
        self.rings += 1


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hand(clock):
    return Hand("jobs", 30.0, Pace(5, None, 30.0), jobs=Bell(), work=Bell(), clock=clock)


def lease(count, first=1, seconds=30.0):
    items = tuple(LeasedItem(seq, f"value {seq}", 1) for seq in range(first, first + count))
    return Lease("jobs", "open", f"token-{first}", seconds, items)


def test_a_lease_counts_from_before_its_request_was_sent(hand, clock):
    clock.now = 25.0
    hand.arrived(lease(2), 0.0, 2)
    clock.now = 30.0
    assert hand.begin() is None  # perhaps it has run out, perhaps not: the heartbeat will tell
    assert hand.next_due() == 10.0
    hand.helds[0].kept(30.0)
    assert hand.begin().seq == 1


def test_the_end_waits_for_what_is_not_confirmed(hand):
    hand.arrived(lease(1), 0.0, 1)
    hand.begin().ack()
    hand.end()
    assert not hand.ended
    (jobs,) = hand.outbox.take()
    assert not hand.ended
    hand.outbox.sent -= 1
    hand.over(jobs, "acked")
    assert hand.ended


def test_a_lease_that_comes_while_closing_is_not_left_behind(hand):
    """Between looking for what to give back and leaving: the keeper must look again."""
    hand.stop(5.0)
    hand.give_back()
    hand.arrived(lease(3), 0.0, 3)
    hand.fetcher_left = True
    assert not hand.finished(0.0)
    hand.give_back()
    assert [[job.seq for job in jobs] for jobs in hand.outbox.take()] == [[1, 2, 3]]


def test_bells_are_not_rung_for_every_job(hand):
    """Else two threads would wake for each of a hundred thousand jobs a second."""
    hand.arrived(lease(1000), 0.0, 1000)
    rings = hand.work.rings
    for _ in range(900):
        hand.begin().ack()
    assert hand.work.rings - rings <= 2


def test_a_fetcher_that_a_full_outbox_held_up_is_woken(clock):
    """Else nobody would: the consumer waits for jobs, and the keeper has told all there was."""
    hand = Hand("jobs", 30.0, Pace(MOST, None, 30.0), jobs=Bell(), work=Bell(), clock=clock)
    for first in range(1, MANY + 2, MOST):
        hand.arrived(lease(MOST, first), 0.0, MOST)
    for _ in range(MANY + 1):
        hand.begin().ack()
    while hand.begin():
        pass
    assert hand.should_settle(0.0)  # at once: it does not linger
    assert hand.look() == 0
    rings = hand.work.rings
    compose(hand, 0.0, done=True)
    assert hand.work.rings > rings
    assert hand.look() == MOST


def test_a_fetcher_is_rung_for_once(clock):
    hand = Hand("jobs", 30.0, Pace(5, 100, 30.0), jobs=Bell(), work=Bell(), clock=clock)
    hand.arrived(lease(50), 0.0, 50)
    rings = hand.work.rings
    for _ in range(10):
        hand.begin()
    assert hand.work.rings - rings == 1
    assert hand.look() == 5
    assert hand.fetching


def test_what_goes_into_one_request_is_bounded_by_its_entries(hand):
    """A server takes 10,000 of them; whole leases are one each, however many jobs they are."""
    for first in range(1, 6_000):
        hand.arrived(lease(1, first), 0.0, 1)
    while (job := hand.begin()) is not None:
        job.ack()
    assert [len(hand.outbox.take()), len(hand.outbox.take())] == [5_000, 999]


def test_settled_twice(hand):
    hand.arrived(lease(3), 0.0, 3)
    first, second, third = (hand.begin() for _ in range(3))
    first.ack()
    first.ack()
    with pytest.raises(JobSettled, match="job 1 of jobs was acked before"):
        first.nack("no")
    second.nack("why")
    with pytest.raises(JobSettled, match="nacked before"):
        second.release()
    third.taken = True
    third.ack()  # the loss was told before; a worker's loop must not break on it
    assert len(hand.outbox) == 2


def test_the_block_leaves_alone_what_it_settled_itself(hand):
    hand.arrived(lease(2), 0.0, 2)
    with hand.begin() as job:
        job.release()
    assert job.verdict.kind == "releases"
    with hand.begin() as job:
        job.nack("by hand", delay=5.0)
        raise RuntimeError("after that")
    assert (job.verdict.error, job.verdict.delay) == ("by hand", 5.0)


def test_async_with_is_the_same(hand):
    async def work(job, error=None):
        async with job as entered:
            assert entered is job
            if error is not None:
                raise error

    hand.arrived(lease(2), 0.0, 2)
    good, bad = hand.begin(), hand.begin()
    asyncio.run(work(good))
    asyncio.run(work(bad, RuntimeError("it broke")))
    assert (good.verdict.kind, bad.verdict.kind) == ("acks", "nacks")
    assert "it broke" in bad.verdict.error


def test_what_a_job_looks_like(hand):
    hand.arrived(lease(1), 0.0, 1)
    job = hand.begin()
    assert repr(job) == "<Job 1 of jobs, attempt 1, begun>"
    assert (job.queue, job.value, job.settled, job.outcome) == ("jobs", "value 1", False, None)
