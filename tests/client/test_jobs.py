"""The jobs of a lease iterator: the decisions that no order of steps may change."""

import asyncio
import traceback

import pytest
from dibs.client import ClientError, JobSettled, Lease, LeasedItem, Result, tracing
from dibs.client.jobs import Jobs
from dibs.client.keeper import Keeper
from dibs.client.options import Options
from dibs.client.outbox import MANY
from dibs.client.pace import MOST


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


def make(clock, batch, prefetch=None):
    options = {"in_hand": None, "wait": 20.0, "on_error": "nack", "on_lost": None}
    options |= {"batch": batch, "ttl": 30.0, "prefetch": prefetch, "grace": 5.0, "until_empty": False}
    return Jobs("jobs", Options(**options), came=Bell(), wanted=Bell(), changed=Bell(), clock=clock)


@pytest.fixture
def jobs(clock):
    return make(clock, 5)


def keeper(jobs):
    return Keeper(jobs, None)


def lease(count, first=1, seconds=30.0):
    items = tuple(LeasedItem(seq, f"value {seq}", 1) for seq in range(first, first + count))
    return Lease("jobs", "open", f"token-{first}", seconds, items)


def test_a_lease_counts_from_before_its_request_was_sent(jobs, clock):
    clock.now = 25.0
    jobs.arrived(lease(2), 0.0, 2)
    clock.now = 30.0
    assert jobs.begin() is None  # perhaps it has run out, perhaps not: the heartbeat will tell
    assert jobs.due == 10.0
    jobs.leases[0].kept(30.0)
    assert jobs.begin().seq == 1


def test_the_end_waits_for_what_is_not_confirmed(jobs):
    jobs.arrived(lease(1), 0.0, 1)
    jobs.begin().ack()
    jobs.end()
    assert not jobs.ended
    (ended,) = jobs.outbox.take()
    assert not jobs.ended
    jobs.outbox.sent -= 1
    jobs.over(ended, "acked")
    assert jobs.ended


def test_fifty_who_hear_of_an_error_each_have_a_traceback_of_their_own(jobs):
    """Fifty tasks share a lease iterator; of one queue that is not there, one short traceback is printed."""
    jobs.fail(ClientError("there is no queue jobs"))
    lengths = []
    for _ in range(50):
        with pytest.raises(ClientError, match="there is no queue jobs") as told:
            jobs.begin()
        lengths.append(len(traceback.extract_tb(told.value.__traceback__)))
    assert lengths == [3] * 50  # here, begin, _begin


def test_a_lease_that_comes_while_closing_is_not_left_behind(jobs):
    """Between looking for what to give back and leaving: the keeper must look again."""
    jobs.stop.set(5.0)
    keeper(jobs).give_back()
    jobs.arrived(lease(3), 0.0, 3)
    jobs.demand.fetcher_left = True
    assert not jobs.finished(0.0)
    keeper(jobs).give_back()
    assert [[job.seq for job in ended] for ended in jobs.outbox.take()] == [[1, 2, 3]]


def test_bells_are_not_rung_for_every_job(jobs):
    """Else two threads would wake for each of a hundred thousand jobs a second."""
    jobs.arrived(lease(1000), 0.0, 1000)
    rings = jobs.wanted.rings + jobs.changed.rings
    for _ in range(900):
        jobs.begin().ack()
    assert jobs.wanted.rings + jobs.changed.rings - rings <= 2


def test_the_keeper_is_not_rung_for_what_is_due_after_it_wakes_by_itself(clock):
    jobs = make(clock, 1)
    jobs.arrived(lease(1), 0.0, 1)
    jobs.begin().ack()
    jobs.wakes = jobs.due  # as it says before it waits
    assert jobs.wakes == 1.0  # what is done is to be sent then
    rings = jobs.changed.rings
    for seq in range(2, 50):  # each takes along what was done before
        jobs.look()
        jobs.over(jobs.outbox.take()[0], "acked")
        jobs.arrived(lease(1, seq), 0.0, 1)
        jobs.demand.fetching = False
        jobs.begin().ack()
    assert jobs.changed.rings == rings
    jobs.arrived(lease(1, 50, seconds=0.3), 0.0, 1)  # its heartbeat is due sooner
    assert jobs.changed.rings == rings + 1


def test_a_fetcher_that_a_full_outbox_held_up_is_woken(clock):
    """Else nobody would: the consumer waits for jobs, and the keeper has told all there was."""
    jobs = make(clock, MOST)
    for first in range(1, MANY + 2, MOST):
        jobs.arrived(lease(MOST, first), 0.0, MOST)
    for _ in range(MANY + 1):
        jobs.begin().ack()
    while jobs.begin():
        pass
    assert keeper(jobs).should_settle(0.0)  # at once: it does not linger
    assert jobs.look() == 0
    rings = jobs.wanted.rings
    keeper(jobs).entries(0.0, done=True)
    assert jobs.wanted.rings > rings
    assert jobs.look() == MOST


def test_a_fetcher_is_rung_for_once(clock):
    jobs = make(clock, 5, 100)
    jobs.arrived(lease(50), 0.0, 50)
    rings = jobs.wanted.rings
    for _ in range(10):
        jobs.begin()
    assert jobs.wanted.rings - rings == 1
    assert jobs.look() == 5
    assert jobs.demand.fetching


def test_what_goes_into_one_request_is_bounded_by_its_entries(jobs):
    """A server takes 10,000 of them; whole leases are one each, however many jobs they are."""
    for first in range(1, 6_000):
        jobs.arrived(lease(1, first), 0.0, 1)
    while (job := jobs.begin()) is not None:
        job.ack()
    assert [len(jobs.outbox.take()), len(jobs.outbox.take())] == [5_000, 999]


def test_settled_twice(jobs):
    jobs.arrived(lease(3), 0.0, 3)
    first, second, third = (jobs.begin() for _ in range(3))
    first.ack()
    first.ack()
    with pytest.raises(JobSettled, match="job 1 of jobs was acked before"):
        first.nack("no")
    second.nack("why")
    with pytest.raises(JobSettled, match="nacked before"):
        second.release()
    third.taken = True
    third.ack()  # the loss was told before; a worker's loop must not break on it
    assert len(jobs.outbox) == 2


def test_the_block_leaves_alone_what_it_settled_itself(jobs):
    jobs.arrived(lease(2), 0.0, 2)
    with jobs.begin() as job:
        job.release()
    assert job.verdict.kind == "releases"
    with jobs.begin() as job:
        job.nack("by hand", delay=5.0)
        raise RuntimeError("after that")
    assert (job.verdict.error, job.verdict.delay) == ("by hand", 5.0)


def test_async_with_is_the_same(jobs):
    async def work(job, error=None):
        async with job as entered:
            assert entered is job
            if error is not None:
                raise error

    jobs.arrived(lease(2), 0.0, 2)
    good, bad = jobs.begin(), jobs.begin()
    asyncio.run(work(good))
    asyncio.run(work(bad, RuntimeError("it broke")))
    assert (good.verdict.kind, bad.verdict.kind) == ("acks", "nacks")
    assert "it broke" in bad.verdict.error


def test_what_a_job_looks_like(jobs):
    jobs.arrived(lease(1), 0.0, 1)
    job = jobs.begin()
    assert repr(job) == "<Job 1 of jobs, attempt 1, begun>"
    assert (job.queue, job.value, job.settled, job.outcome) == ("jobs", "value 1", False, None)


def test_the_results_of_one_request_are_of_one_trace(jobs, monkeypatch):
    jobs.arrived(lease(8), 0.0, 8)
    for parent in ("a", "a", None, "b", "b"):
        job = jobs.begin()
        job.traceparent = parent
        monkeypatch.setattr(tracing, "current", lambda: None)
        job.ack(Result("done", job.value))
        jobs.begin().ack() if parent is None else None
    jobs.begin().nack("no")
    sent = [keeper(jobs).entries(0.0, done=True) for _ in range(4)]
    assert [[job.seq for entry in request for job in entry.jobs] for request in sent] == [
        [1, 2],
        [3, 4],
        [5, 6, 7],
        [],
    ]
    assert [{entry.traceparent for entry in request if "push" in entry.text} for request in sent] == [
        {"a"},
        {None},
        {"b"},
        set(),
    ]
