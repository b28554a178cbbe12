"""Results that are refused, leases of an own length, and flush."""

import pytest
from dibs.client.errors import (
    Invalid,
    LimitExceeded,
    ResultRefused,
)
from dibs.client.flow import Sleep
from dibs.client.records import Result

from .conftest import closed, requests


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
