"""How many are leased at once: as many as the pace of the work says."""

import re

import pytest
from dibs.client.errors import (
    LimitExceeded,
)

from .conftest import closed, held, requests


def test_a_slow_hand_out_does_not_hold_up_the_acks(lab, sim):
    """Where a settle with the next lease takes a tenth of the ttl, the two go apart."""
    lab.server.add("jobs", range(10))
    made = lab.consumer(batch=1, prefetch=0, ttl=1.0)
    made.jobs.pace.travelled(5.0)
    lab.finish(lab.spawn(sim.worker(made, 0.1, jobs=3)))
    assert all("lease" not in settle for settle in requests(lab, "settle")[:2])


def test_workers_share_the_work_without_losing_any(lab, sim):
    queue = lab.server.add("jobs", range(200))
    made = [lab.consumer(worker=f"w{number}") for number in range(4)]
    tasks = [lab.spawn(sim.worker(one, 0.05)) for one in made]
    seen = [job.seq for task in tasks for job in lab.finish(task)]
    assert sorted(seen) == list(range(1, 201))
    assert queue.acked == 200


@pytest.mark.parametrize(
    ("per_job", "least", "most"),
    [(0.00001, 10_000, 10_000), (0.001, 150, 200), (0.01, 15, 20), (100.0, 1, 1)],
)
def test_the_batch_follows_the_pace_of_the_work(lab, sim, per_job, least, most):
    """A fifth of a second of work here: twenty round trips. And at a steady pace nothing is given back."""
    queue = lab.server.add("jobs", range(40_000))
    lab.trip = 0.01
    made = lab.consumer()
    lab.spawn(sim.worker(made, per_job))
    lab.run(lambda: queue.cursor >= 40_000 or lab.now > max(10.0, 20 * per_job), steps=500_000)
    assert least <= made.jobs.pace.batch <= most
    assert made.jobs.counts.released == 0


def test_a_job_that_takes_long_does_not_keep_others_from_theirs(lab, sim):
    """What was fetched for a quick consumer goes back while it sits on one job; then it begins anew."""
    queue = lab.server.add("jobs", range(5_000))
    lab.trip = 0.002
    made = lab.consumer()
    task = lab.spawn(sim.worker(made, lambda job: 100.0 if job.seq == 2_000 else 0.001, jobs=2_100))
    lab.run(lambda: len(getattr(made, "seen", ())) == 2_000)
    began = lab.now
    assert held(queue) > 20
    lab.run(lambda: lab.now > began + 1.5)
    assert held(queue) == 1
    sent = lab.sent
    lab.run(lambda: lab.now > began + 99.0)
    assert held(queue) == 1  # nothing is fetched for who is not there
    assert lab.sent - sent <= 11  # heartbeats
    given_back = made.jobs.counts.released
    lab.finish(task)
    assert closed(lab, made) == []
    assert queue.acked == 2_100
    assert given_back > 20
    assert {entry.attempt for entry in queue.inside.values()} == {0}
    assert not lab.server.violations


def test_work_that_becomes_slow_is_shared(lab, sim):
    queue = lab.server.add("jobs", range(5_000))
    lab.trip = 0.002
    made = lab.consumer()
    lab.spawn(sim.worker(made, lambda job: 0.0001 if job.seq <= 2_000 else 0.1))
    lab.run(lambda: len(getattr(made, "seen", ())) == 2_000)
    began = lab.now
    assert held(queue) >= 100
    lab.run(lambda: lab.now > began + 2.0)
    assert held(queue) <= 3


def test_a_slow_consumer_does_not_hoard(lab, sim):
    """Of two consumers the quick one does nearly all, and neither waits for the other at the end."""
    queue = lab.server.add("jobs", range(2_000))
    lab.trip = 0.002
    slow, quick = lab.consumer(worker="slow"), lab.consumer(worker="quick")
    tasks = [lab.spawn(sim.worker(slow, 1.0)), lab.spawn(sim.worker(quick, 0.01))]
    for task in tasks:
        lab.finish(task)
    assert queue.acked == 2_000
    assert lab.now <= 21.5  # 2,000 at 101 a second are 19.8
    assert len(slow.seen) >= 19


def test_a_given_batch_stays_though_its_work_is_slow(lab, sim):
    queue = lab.server.add("jobs", range(200))
    made = lab.consumer(batch=50, prefetch=0)
    lab.spawn(sim.worker(made, 10.0))
    lab.run(lambda: lab.now > 95)
    assert held(queue) == 41
    assert made.jobs.counts.released == 0


def test_a_server_that_gives_fewer_at_once_is_asked_for_so_many(lab, sim):
    queue = lab.server.add("jobs", range(3_000))
    lab.server.most, lab.trip = 100, 0.01
    made = lab.consumer()
    lab.finish(lab.spawn(sim.worker(made, 0.00001)))
    assert queue.acked == 3_000
    assert made.jobs.pace.batch == 100
    assert max(settle["lease"]["max"] for settle in requests(lab, "settle") if "lease" in settle) == 128


def test_a_given_batch_that_is_too_large_is_refused(lab, sim):
    lab.server.add("jobs", range(3_000))
    lab.server.most = 100
    with pytest.raises(LimitExceeded):
        lab.finish(lab.spawn(sim.worker(lab.consumer(batch=101))))


def test_batches_as_large_as_they_may_be(lab):
    """More is done than one settle takes along: the fetcher waits for the keeper, and goes on."""
    queue = lab.server.add("jobs", range(40_000))
    made = lab.consumer(batch=10_000)

    def work():
        while (job := made.jobs.enter() or (yield from made.next_job())) is not None:
            job.ack()

    lab.finish(lab.spawn(work()))
    assert queue.acked == 40_000
    assert lab.now < 1.0


@pytest.mark.parametrize(
    ("wrong", "kind", "why"),
    [
        ({"batch": 0}, ValueError, "batch 0: at least 1"),
        ({"batch": "x"}, TypeError, "batch must be a whole number from 1 up"),
        ({"prefetch": -1}, ValueError, "prefetch -1: at least 0"),
        ({"in_hand": 0}, ValueError, "in_hand 0: at least 1"),
        ({"ttl": 0}, ValueError, "ttl must be a number of seconds from 0.001 up, not 0"),
        ({"ttl": float("nan")}, ValueError, "ttl must be a number of seconds from 0.001 up, not nan"),
        ({"ttl": "x"}, TypeError, "ttl must be a number of seconds from 0.001 up, not 'x'"),
        ({"on_error": "x"}, ValueError, "on_error 'x': nack or raise"),
    ],
)
def test_wrong_arguments(lab, wrong, kind, why):
    with pytest.raises(kind, match=re.escape(why)):
        lab.consumer(**wrong)
