"""A server that is away, and an iterator that is stopped or closed."""

from itertools import islice

import pytest
from dibs.client.errors import (
    Unreachable,
)
from dibs.client.flow import Terms

from .conftest import closed


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
