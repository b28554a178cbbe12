"""The lease iterator: what is fetched when, settled with what, and kept alive; on a clock that jumps."""

import pytest
from dibs.client.errors import (
    SourceFailed,
)

from .conftest import closed, requests


def test_ends_when_exhausted_and_all_is_settled(lab, sim):
    queue = lab.server.add("jobs", range(100, 110))
    made = lab.consumer(batch=3)
    jobs = lab.finish(lab.spawn(sim.worker(made, 0.5)))
    assert [job.value for job in jobs] == list(range(100, 110))
    assert queue.acked == 10
    assert {job.outcome for job in jobs} == {"acked"}
    assert closed(lab, made) == []
    assert not lab.server.violations


def test_a_batch_is_settled_with_the_next_lease_in_one_round_trip(lab, sim):
    lab.server.add("jobs", range(9))
    made = lab.consumer(batch=3, prefetch=0)
    lab.finish(lab.spawn(sim.worker(made)))
    assert len(requests(lab, "lease")) == 1
    settles = requests(lab, "settle")
    assert [settle["acks"][0].get("seqs") for settle in settles] == [
        None,
        None,
        None,
    ]  # whole leases, by token
    assert all(settle["lease"]["max"] == 3 for settle in settles)
    assert len(settles) == 3


def test_the_next_batch_is_fetched_while_this_one_is_worked_on(lab, sim):
    lab.server.add("jobs", range(100))
    made = lab.consumer(batch=5)
    task = lab.spawn(sim.worker(made, 10.0, jobs=1))
    lab.run(lambda: len(getattr(made, "seen", ())) == 1 and lab.now >= 1)
    assert task.state == "sleep"
    assert len(made.jobs.ready) == 9  # four of this batch, five of the next


def test_prefetch_0_fetches_only_for_who_waits(lab, sim):
    queue = lab.server.add("jobs", range(100))
    made = lab.consumer(batch=1, prefetch=0)
    lab.spawn(sim.worker(made, 10.0))
    lab.run(lambda: lab.now >= 5)
    assert queue.cursor == 1


def test_in_hand_bounds_what_is_not_settled(lab, sim):
    queue = lab.server.add("jobs", range(50))
    made = lab.consumer(batch=10, prefetch=10, in_hand=4)
    workers = [lab.spawn(sim.worker(made, 1.0)) for _ in range(8)]
    most = 0
    while any(task.state != "over" for task in workers):
        lab.run(lambda now=lab.now: lab.now > now or all(task.state == "over" for task in workers))
        most = max(most, made.jobs.begun + len(made.jobs.ready))
    assert most == 4
    assert queue.acked == 50


def test_a_slow_job_keeps_its_lease(lab, sim):
    queue = lab.server.add("jobs", range(3))
    made = lab.consumer(batch=3, ttl=3.0)
    jobs = lab.finish(lab.spawn(sim.worker(made, 60.0)))
    assert [job.attempt for job in jobs] == [1, 1, 1]
    assert queue.acked == 3
    beats = [settle for settle in requests(lab, "settle") if "extends" in settle]
    assert 170 <= len(beats) <= 190  # a third of the ttl each, for all that is held, prefetched jobs too
    assert beats[0]["extends"] == [{"token": "token-1", "ttl": 3.0}]


def test_heartbeats_go_on_in_a_long_poll(lab, sim):
    queue = lab.server.add("jobs")
    lab.server.handle("POST", "/queues/jobs/items", b'{"items":[{"value":1}]}')
    made = lab.consumer(batch=1, ttl=3.0, wait=20.0)
    lab.spawn(sim.worker(made, 100.0), "slow")
    lab.run(lambda: lab.now > 1)
    lab.spawn(sim.worker(made, 1.0), "waits")
    lab.run(lambda: lab.now > 90)
    assert [entry.attempt for entry in queue.inside.values()] == [1]
    lab.run(lambda: lab.now > 110)
    assert queue.acked == 1


def test_what_is_done_does_not_wait_for_a_poll(lab, sim):
    queue = lab.server.add("jobs")
    lab.server.handle("POST", "/queues/jobs/items", b'{"items":[{"value":1}]}')
    made = lab.consumer(batch=1, prefetch=1)
    lab.spawn(sim.worker(made, 2.0))
    lab.run(lambda: queue.acked == 1)
    assert lab.now == 2


def test_what_is_done_is_settled_within_a_second_by_itself(lab, sim):
    queue = lab.server.add("jobs", range(100))
    made = lab.consumer(batch=50)
    lab.spawn(sim.worker(made, 0.4))
    lab.run(lambda: queue.acked > 0)
    assert lab.now <= 1.5


def test_an_exception_nacks_with_the_traceback_and_goes_on(lab, sim, caplog):
    queue = lab.server.add("jobs", range(4), backoff=5.0)
    made = lab.consumer(batch=4)
    bad = lab.spawn(sim.worker(made, 0.1, fail=lambda job: job.seq == 2 and job.attempt == 1))
    jobs = lab.finish(bad)
    assert [job.seq for job in jobs] == [1, 2, 3, 4, 2]
    assert queue.acked == 4
    assert made.jobs.counts.nacked == 1
    nack = next(settle["nacks"][0] for settle in requests(lab, "settle") if "nacks" in settle)
    assert "RuntimeError: job 2 is bad" in nack["error"]
    assert "Traceback" in nack["error"]
    assert "job 2 of jobs failed, attempt 1" in caplog.text


def test_the_last_attempt_makes_it_dead(lab, sim):
    queue = lab.server.add("jobs", range(2), max_attempts=2, backoff=1.0)
    made = lab.consumer()
    jobs = lab.finish(lab.spawn(sim.worker(made, 0.1, fail=lambda job: job.value == 0)))
    assert [job.seq for job in jobs].count(1) == 2
    assert queue.inside[1].dead
    assert made.jobs.counts.dead == 1


def test_a_source_that_failed_raises_after_what_came_before(lab, sim):
    queue = lab.server.add("jobs", range(10), fails_at=4)
    made = lab.consumer(batch=2)
    task = lab.spawn(sim.worker(made, 0.1))
    with pytest.raises(SourceFailed) as caught:
        lab.finish(task)
    assert [job.seq for job in made.seen] == [1, 2, 3]
    assert (caught.value.cause_type, caught.value.cause_message, caught.value.seq) == (
        "RuntimeError",
        "no more today",
        4,
    )
    closed(lab, made)
    assert queue.acked == 3


def test_a_paused_queue_is_waited_for_without_end(lab, sim):
    queue = lab.server.add("jobs", range(2))
    queue.paused = True
    made = lab.consumer(patience=10.0)
    task = lab.spawn(sim.worker(made))
    lab.run(lambda: lab.now > 500)
    assert task.state == "listen"
    lab.server.handle("POST", "/queues/jobs/resume")
    assert len(lab.finish(task)) == 2


def test_a_queue_that_is_paused_under_way_settles_and_goes_on(lab, sim):
    queue = lab.server.add("jobs", range(4))
    made = lab.consumer(batch=2, prefetch=0)
    task = lab.spawn(sim.worker(made, 1.0))
    lab.run(lambda: lab.now >= 1)
    queue.paused = True
    lab.run(lambda: lab.now > 100)
    assert queue.acked == 2
    lab.server.handle("POST", "/queues/jobs/resume")
    lab.finish(task)
    assert queue.acked == 4
