"""What the lease iterator promises, on a clock that jumps: nothing here sleeps or races."""

import json
import re
from itertools import islice

import pytest
from dibs.client.errors import (
    Invalid,
    LimitExceeded,
    ResultRefused,
    SourceFailed,
    Unreachable,
)
from dibs.client.flow import Sleep, Terms
from dibs.client.records import Result


@pytest.fixture
def lab(sim):
    return sim.Sim()


def requests(lab, verb):
    return [json.loads(request.body) for request in lab.log if request.path.endswith("/" + verb)]


def closed(lab, made, grace=5.0):
    """Close it and run to the end; what is left of its tasks."""
    lab.close(made, grace)
    lab.run()
    return [task.name for task in lab.tasks if task.state != "over"]


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


def test_a_server_that_is_away_for_a_while(lab, sim):
    queue = lab.server.add("jobs", range(30))
    made = lab.consumer(batch=4, ttl=1000.0, patience=60.0)
    task = lab.spawn(sim.worker(made, 1.0))
    lab.run(lambda: lab.now > 5)
    lab.down = True
    lab.run(lambda: lab.now > 45)
    lab.down = False
    jobs = lab.finish(task)
    assert [job.seq for job in jobs] == list(range(1, 31))
    assert queue.acked == 30
    assert made.jobs.counts.lost == 0


def test_a_server_that_is_away_for_too_long(lab, sim):
    lab.server.add("jobs", range(30))
    made = lab.consumer(batch=4, patience=20.0)
    task = lab.spawn(sim.worker(made, 1.0))
    lab.run(lambda: lab.now > 5)
    lab.down = True
    with pytest.raises(Unreachable, match="was not answered"):
        lab.finish(task)
    assert 20 <= lab.now <= 30
    started = lab.now
    assert closed(lab, made) == []
    assert lab.now <= started + 6


def test_what_was_done_is_told_though_the_patience_was_over(lab, sim):
    """The same request goes on with its key until closing ends, so that no ack is lost or looks stale."""
    queue = lab.server.add("jobs", range(3))
    made = lab.consumer(batch=3, patience=20.0, ttl=1000.0)
    task = lab.spawn(sim.worker(made, 1.0))
    lab.run(lambda: lab.now > 0.5)

    def down_after_this(number, request):
        lab.down = queue.acked > 0
        return "reply"

    lab.fault = down_after_this
    lab.run(lambda: queue.acked > 0)
    with pytest.raises(Unreachable):
        lab.finish(task)
    lab.fault = lambda number, request: None
    lab.down = False
    closed(lab, made)
    assert queue.acked == len(made.seen) == made.jobs.counts.acked == 3
    assert made.jobs.counts.lost == 0


def test_stopping_gives_back_what_was_not_begun_and_settles_what_is_done(lab, sim):
    queue = lab.server.add("jobs", range(100))
    made = lab.consumer(batch=5)
    lab.finish(lab.spawn(sim.worker(made, 0.1, jobs=3)))
    assert closed(lab, made) == []
    assert queue.acked == 3
    left = list(queue.inside.values())
    assert [entry.seq for entry in left] == list(range(4, 11))
    assert {(entry.token, entry.attempt) for entry in left} == {("", 0)}
    assert lab.now < 1.5


def test_a_poll_that_closing_ended_gives_back_what_it_got(lab, sim):
    """The hand-out and the closing cross: only the key can tell, so it is asked."""
    queue = lab.server.add("jobs")
    made = lab.consumer(batch=2, wait=20.0)
    lab.spawn(sim.worker(made))
    lab.run(lambda: any(task.state == "parked" for task in lab.tasks))
    lab.server.wake = lambda: None
    lab.server.handle("POST", "/queues/jobs/items", b'{"items":[{"value":1}]}')
    request = next(task.effect.request for task in lab.tasks if task.state == "parked")
    key, n = request.key
    lab.server.handle(request.method, request.path, request.body, key, n=n)  # the server has answered
    assert queue.inside[1].token
    assert closed(lab, made) == []
    assert (queue.inside[1].token, queue.inside[1].attempt) == ("", 0)


class StopsWhenLookedAt:
    """A bell that another thread rings, as it stops, right before ``rings`` is read: the worst moment."""

    def __init__(self, made):
        self.made, self.rung = made, 0

    def ring(self):
        self.rung += 1

    @property
    def rings(self):
        if not self.made.jobs.stop.begun:
            self.made.stop()
        return self.rung


def slept_through(flow):
    """Whether it listens for a stop that has been."""
    return any(effect.seen == effect.bell.rung for effect in islice(flow, 1))


def test_a_stop_is_never_slept_through_by_the_fetcher(lab):
    made = lab.consumer(prefetch=0)
    made.jobs.wanted = StopsWhenLookedAt(made)
    made.jobs.stop.bells = (made.jobs.wanted, made.jobs.changed)
    assert not slept_through(made.fetcher.fetch())
    assert made.jobs.demand.fetcher_left


def test_a_stop_is_never_slept_through_by_a_pause(lab):
    made = lab.consumer()
    made.jobs.wanted = StopsWhenLookedAt(made)
    made.jobs.stop.bells = (made.jobs.wanted, made.jobs.changed)
    assert not slept_through(Terms(lab.tempo, 60.0).until(made.jobs.stop).pause(30.0))


def test_closing_while_nobody_answers_is_bounded(lab, sim, caplog):
    lab.server.add("jobs", range(100))
    made = lab.consumer(batch=5)
    lab.finish(lab.spawn(sim.worker(made, 0.1, jobs=3)))
    lab.down = True
    started = lab.now
    assert closed(lab, made, grace=5.0) == []
    assert lab.now <= started + 5.001
    assert "could not be told" in caplog.text


def test_what_was_begun_and_never_settled_counts_as_an_attempt(lab):
    queue = lab.server.add("jobs", range(10))
    made = lab.consumer(batch=2, prefetch=0)
    assert lab.finish(lab.spawn(made.next_job())).__enter__().seq == 1
    closed(lab, made)
    assert queue.inside[1].history[0]["error"] == "its worker stopped without settling it"
    assert (queue.inside[2].attempt, queue.inside[2].history) == (0, [])


def test_what_was_handed_out_and_never_entered_is_given_back(lab):
    queue = lab.server.add("jobs", range(10), max_attempts=1)
    made = lab.consumer(batch=2, prefetch=0)
    first, second = lab.finish(lab.spawn(made.next_job())), lab.finish(lab.spawn(made.next_job()))
    second.__enter__()
    closed(lab, made)
    assert (first.outcome, second.outcome) == ("released", "dead")
    assert (queue.inside[1].attempt, queue.inside[1].history, queue.inside[1].dead) == (0, [], False)


def test_stop_lets_jobs_in_hand_be_finished(lab, sim):
    queue = lab.server.add("jobs", range(10))
    made = lab.consumer(batch=4, ttl=3.0)
    tasks = [lab.spawn(sim.worker(made, 30.0)) for _ in range(2)]
    lab.run(lambda: lab.now > 1)
    made.stop()
    lab.abort(made)
    for task in tasks:
        lab.finish(task)
    assert closed(lab, made) == []
    assert queue.acked == 2
    assert {entry.attempt for entry in queue.inside.values()} == {0}


def test_a_result_that_is_refused_ends_the_loop_and_is_seen_with_the_item(lab):
    queue = lab.server.add("jobs", range(10))
    made = lab.consumer(batch=2, prefetch=0)

    def work():
        while (job := (yield from made.next_job())) is not None:
            job.ack(push=Result("nowhere", 1))
        yield Sleep(0)

    with pytest.raises(ResultRefused, match="nowhere does not take the result: there is no such queue"):
        lab.finish(lab.spawn(work()))
    closed(lab, made)
    assert queue.acked == 0
    assert "nowhere" in queue.inside[1].history[0]["error"]


@pytest.mark.parametrize("wrong", ["result", "delay"])
def test_what_can_t_be_carried_fails_its_job_alone(lab, sim, wrong):
    """The server refuses a request whole; the client finds the entry that it means, and goes on."""
    queue = lab.server.add("jobs", range(8), max_attempts=2)
    lab.server.add("done")
    made = lab.consumer(batch=8, prefetch=0)

    def work():
        while (job := (yield from made.next_job())) is not None:
            if job.seq == 6 and wrong == "delay":
                job.nack("later", delay=1e9)
            else:
                job.ack(push=Result("done", "x" * 300_000 if job.seq == 6 else "x"))
        yield Sleep(0)

    lab.finish(lab.spawn(work()))
    closed(lab, made)
    assert sorted(seq for seq, _ in queue.done) == [1, 2, 3, 4, 5, 7, 8]
    assert (made.jobs.counts.acked, made.jobs.counts.nacked, made.jobs.counts.dead) == (7, 1, 1)
    assert all("limit-exceeded" in failed["error"] for failed in queue.inside[6].history)


def test_a_queue_of_results_that_can_be_none_ends_the_loop(lab):
    """Every job would fail of it."""
    queue = lab.server.add("jobs", range(8))
    made = lab.consumer(batch=2, prefetch=0)

    def work():
        while (job := (yield from made.next_job())) is not None:
            job.ack(push=Result("No Name", 1))
        yield Sleep(0)

    with pytest.raises(Invalid, match="invalid"):
        lab.finish(lab.spawn(work()))
    closed(lab, made)
    assert "invalid" in queue.inside[1].history[0]["error"]
    assert queue.inside.keys() == {1, 2}


def test_who_is_told_of_a_refused_result_says_how_it_is_nacked(lab):
    queue = lab.server.add("jobs", range(1))
    lab.server.add("done")
    made = lab.consumer()
    refused = []

    def tell(job, error):
        refused.append((job.seq, job.attempt, type(error)))
        return {"dead": True}

    def work():
        job = yield from made.next_job()
        job.ack(push=Result("done", "x" * 300_000))
        yield from made.flush(10.0)

    made.settling.on_refused = tell
    lab.finish(lab.spawn(work()))
    closed(lab, made)
    assert refused == [(1, 1, LimitExceeded)]
    assert (queue.inside[1].dead, made.jobs.counts.dead) == (True, 1)


def test_own_ttl_of_a_job(lab, sim):
    queue = lab.server.add("jobs", range(2))
    made = lab.consumer(batch=2, ttl=30.0, prefetch=0)

    def work():
        job = yield from made.next_job()
        job.extend(300.0)
        yield Sleep(95.0)
        assert queue.inside[1].due > lab.now + 200
        assert lab.now < queue.inside[2].due <= lab.now + 30
        job.ack()

    lab.finish(lab.spawn(work()))
    extends = [settle["extends"] for settle in requests(lab, "settle") if "extends" in settle]
    assert extends[0] == [{"token": "token-1", "seqs": [[1, 1]], "ttl": 300.0}]
    assert (
        sum(entry["ttl"] == 300.0 for entries in extends for entry in entries) == 2
    )  # at 0 s, and before 100 s


def test_an_own_ttl_that_is_refused_leaves_the_usual_one(lab, caplog):
    queue = lab.server.add("jobs", range(1))
    made = lab.consumer(ttl=30.0)

    def work():
        job = yield from made.next_job()
        job.extend(1_000_000.0)
        yield Sleep(95.0)
        job.ack()
        return (yield from made.next_job())

    assert lab.finish(lab.spawn(work())) is None
    assert queue.acked == 1
    assert "can't be extended" in caplog.text


def test_flush_waits_for_the_server_s_word(lab):
    queue = lab.server.add("jobs", range(10))
    made = lab.consumer(batch=10)

    def work():
        for _ in range(3):
            (yield from made.next_job()).ack()
        return (yield from made.flush(None))

    assert lab.finish(lab.spawn(work()))
    assert queue.acked == 3
    assert lab.now < 1


def test_flush_says_when_it_was_too_long(lab):
    lab.server.add("jobs", range(10))
    made = lab.consumer(batch=10)

    def work():
        (yield from made.next_job()).ack()
        lab.down = True
        return (yield from made.flush(3.0))

    assert lab.finish(lab.spawn(work())) is False
    assert lab.now == pytest.approx(3.0, abs=0.1)


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


def held(queue):
    return sum(bool(entry.token) for entry in queue.inside.values())


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
