"""Leases that were lost, or may be: who is told, and what is still acked."""

import pytest
from dibs.client.flow import Sleep

from .conftest import closed


def test_a_lease_that_was_lost_is_told_at_once(lab, sim, caplog):
    """The holder hears of it by its heartbeat, while it is at work."""
    lost = []
    queue = lab.server.add("jobs", range(3))
    made = lab.consumer(batch=3, ttl=3.0, on_lost=lost.append)
    task = lab.spawn(sim.worker(made, 10.0, jobs=1))
    lab.run(lambda: lab.now > 0.5)
    for seq in (1, 3):
        queue.inside[seq].token = "another's"
        queue.inside[seq].due = 1000.0
    lab.run(lambda: lab.now > 2)
    assert [(job.seq, job.lost) for job in lost] == [(1, True)]  # 3 was not begun: it is just dropped
    assert [job.seq for job in made.jobs.ready] == [2]
    assert "<Job 1 of jobs, attempt 1, lost>: others may do it again" in caplog.text
    assert lab.finish(task)[0].outcome == "lost"
    assert queue.acked == 0


@pytest.mark.parametrize("first", [0, -1], ids=["the keeper", "the consumer"])
def test_work_that_lets_no_heartbeat_through_hears_of_it_by_its_own_clock(sim, caplog, first):
    """A thread that holds the GIL keeps all others from running: only time passes."""
    lab = sim.Sim(pick=lambda choices: choices[first])
    queue = lab.server.add("jobs", range(4))
    made = lab.consumer(batch=1, ttl=3.0, prefetch=0)
    seen = []

    def work():
        for held_up in (0.5, 2.9, 3.0, 9.0):
            job = yield from made.next_job()
            with job:
                lab.now += held_up
                seen.append(job.lost)
            if first == 0:
                yield Sleep(1.0)
        assert (yield from made.flush(None))

    lab.finish(lab.spawn(work()))
    assert seen == [False, False, True, True]
    assert (queue.acked, made.jobs.counts.lost) == (2, 2)
    late = [record for record in caplog.records if "a heartbeat comes" in record.getMessage()]
    assert len(late) == 1  # once, however often
    assert late[0].levelname == "WARNING"
    assert "jobs: a heartbeat comes 1.9 s late, of a ttl of 3 s: work that holds the GIL" in caplog.text


@pytest.mark.parametrize("until_empty", [True, False])
def test_jobs_that_nobody_settles_are_told_once_after_a_ttl(sim, caplog, until_empty):
    lab = sim.Sim()
    queue = lab.server.add("jobs", range(5))
    made = lab.consumer(ttl=3.0, until_empty=until_empty)

    def work():
        kept = []
        while (job := (yield from made.next_job())) is not None:
            if job.seq in {2, 3, 4}:
                kept.append(job)
                continue
            with job:
                yield Sleep(9.0)  # at work for long, which is nobody's mistake

    task = lab.spawn(work())
    lab.run(lambda: queue.acked == 2 and lab.now > 100)
    told = [record.getMessage() for record in caplog.records if "not settled" in record.getMessage()]
    assert len(told) == 1
    assert "jobs: handed out over 3 s ago, not settled, and in no `with job`: 2..4. If nobody" in told[0]
    assert task.state == "listen"
    for job in [job for held in made.jobs.leases for job in held.jobs.values()]:
        job.ack()
    lab.finish(task)
    assert queue.acked == 5


def test_a_job_in_its_with_is_nobodys_mistake(sim, caplog):
    lab = sim.Sim()
    queue = lab.server.add("jobs", range(2))
    made = lab.consumer(batch=1, ttl=3.0)
    lab.spawn(sim.worker(made, 60.0))
    lab.finish(lab.spawn(sim.worker(made, 60.0)))
    lab.run(lambda: queue.acked == 2)
    assert "not settled" not in caplog.text


def test_a_lease_that_the_server_kept_is_acked_though_its_time_was_over_here(lab):
    """It was down meanwhile, and prolonged what was live."""
    queue = lab.server.add("jobs", range(1))
    made = lab.consumer(batch=1, ttl=3.0)

    def work():
        job = yield from made.next_job()
        queue.inside[1].due = 100.0
        lab.now += 9.0
        assert job.lost
        job.ack()
        assert (yield from made.flush(None))
        return job

    job = lab.finish(lab.spawn(work()))
    assert (job.outcome, job.lost, queue.acked) == ("acked", False, 1)


def test_a_stale_ack_is_told(lab, sim, caplog):
    lost = []
    queue = lab.server.add("jobs", range(3))
    made = lab.consumer(batch=3, on_lost=lost.append)
    task = lab.spawn(sim.worker(made, 1.0, jobs=2))
    lab.run(lambda: lab.now > 0.5)
    queue.inside[1].token = "another's"
    jobs = lab.finish(task)
    closed(lab, made)
    assert [job.outcome for job in jobs] == ["lost", "acked"]
    assert lost == [jobs[0]]
    assert made.jobs.counts.lost == 1


def test_on_lost_that_raises_harms_nobody(lab, sim, caplog):
    queue = lab.server.add("jobs", range(2))
    made = lab.consumer(batch=2, on_lost=lambda job: 1 / 0)
    task = lab.spawn(sim.worker(made, 1.0))
    lab.run(lambda: lab.now > 0.5)
    queue.inside.pop(1)
    lab.finish(task)
    assert "on_lost failed" in caplog.text
    assert queue.acked == 1


def test_a_job_whose_lease_may_have_run_out_is_not_begun(lab, sim):
    """An answer that was delayed for longer than its lease: the heartbeat decides what is still ours."""
    queue = lab.server.add("jobs", range(4))
    lab.fault = lambda number, request: "reply" if number == 1 else None
    made = lab.consumer(batch=4, ttl=0.01)
    lab.spawn(sim.worker(made, 0.001, jobs=4))
    lab.run(lambda: queue.acked == 4)
    assert made.jobs.counts.lost == 4  # the first lease, before it was begun
    assert [job.attempt for job in made.seen] == [2, 2, 2, 2]
    assert made.jobs.counts.begun == 4
    assert not lab.server.violations
