"""The lease iterator in real threads and tasks, over a transport to a fake server."""

import asyncio
import threading

import pytest
from dibs.client import (
    AsyncClient,
    Client,
    Result,
    Unreachable,
)

MANY = 500


def test_works_a_queue_to_its_end(both):
    queue = both.wire.server.add("jobs", range(MANY))
    seen, leases = both.work("jobs", lambda job: None)
    assert [job.seq for job in seen] == list(range(1, MANY + 1))
    assert queue.acked == leases.counts.acked == leases.counts.begun == MANY
    assert len(both.wire.sent) < MANY / 5  # the batch has grown


@pytest.mark.parametrize("lost", ["request", "reply", "refused"])
def test_every_request_fails_once(both, lost):
    tried = set()

    def fault(number, request):
        key = request.headers["idempotency-key"]
        first = key not in tried
        tried.add(key)
        return lost if first else None

    both.wire.faults = fault
    queue, done = both.wire.server.add("jobs", range(40)), both.wire.server.add("done")
    work = lambda job: job.ack(push=Result("done", job.value))  # noqa: E731
    seen, leases = both.work("jobs", work, options={"batch": 4})
    assert [job.seq for job in seen] == list(range(1, 41))
    assert (queue.acked, leases.counts.lost) == (40, 0)
    assert [entry.value for entry in done.inside.values()] == list(range(40))
    assert not both.wire.server.violations


def test_break_gives_back(both):
    queue = both.wire.server.add("jobs", range(100))
    both.work("jobs", lambda job: None, jobs=3, options={"batch": 10})
    assert queue.acked == 3
    assert {(entry.token, entry.attempt) for entry in queue.inside.values()} == {("", 0)}


def test_an_interrupt_releases(both):
    queue = both.wire.server.add("jobs", range(10))

    def work(job):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        both.work("jobs", work, options={"batch": 4})
    assert {(entry.token, entry.attempt) for entry in queue.inside.values()} == {("", 0)}


def test_on_error_raise(both):
    queue = both.wire.server.add("jobs", range(10))
    with pytest.raises(ZeroDivisionError):
        both.work("jobs", lambda job: 1 / 0, options={"batch": 4, "on_error": "raise"})
    assert [entry.seq for entry in queue.inside.values() if entry.history] == [1]
    assert [queue.inside[seq].attempt for seq in (2, 3, 4)] == [0, 0, 0]  # released


def test_nobody_there(both):
    both.wire.faults = lambda number, request: "refused"
    with pytest.raises(Unreachable, match="POST /queues/jobs/lease was not answered: ConnectError") as caught:
        both.work("jobs", lambda job: None, patience=0.05)
    assert not caught.value.reached


def test_waits_for_items_that_come(both):
    server = both.wire.server
    queue = server.add("jobs")
    pushes = iter(range(3))

    def work(job):
        if next(pushes, None) is None:
            server.handle("POST", "/queues/jobs/close")
        else:
            server.handle("POST", "/queues/jobs/items", b'{"items":[{"value":2}]}')

    server.handle("POST", "/queues/jobs/items", b'{"items":[{"value":1}]}')
    seen, _ = both.work("jobs", work, options={"wait": 20})
    assert [job.value for job in seen] == [1, 2, 2, 2]
    assert queue.acked == 4


def test_work_pushes_what_the_function_returns(both):
    server = both.wire.server
    server.add("jobs", range(20), max_attempts=1)
    done = server.add("done")
    counts = both.ask(lambda client: client.work(lambda n: 100 // n, "jobs", "done"))
    assert (counts.acked, counts.dead) == (19, 1)
    assert [entry.value for entry in done.inside.values()] == [100 // n for n in range(1, 20)]


def test_work_with_a_coroutine_function(wire):
    wire.server.add("jobs", range(5))
    done = wire.server.add("done")

    async def double(n):
        await asyncio.sleep(0)
        return 2 * n

    async def main():
        async with AsyncClient("http://dibs", transport=wire) as client:
            await client.work(double, "jobs", "done")

    asyncio.run(main())
    assert [entry.value for entry in done.inside.values()] == [0, 2, 4, 6, 8]


def test_threads_share_one_iterator(wire):
    """As ``dibs work -j 8`` does: one iterator, at most eight jobs in hand."""
    queue = wire.server.add("jobs", range(200))
    done = wire.server.add("done")
    inside, most, lock = 0, 0, threading.Lock()

    def work(leases):
        nonlocal inside, most
        for job in leases:
            with lock:
                inside += 1
                most = max(most, inside)
            job.ack(Result("done", job.value))
            with lock:
                inside -= 1

    with Client("http://dibs", transport=wire) as client:
        leases = client.queue("jobs").lease(prefetch=0, in_hand=8)
        threads = [threading.Thread(target=work, args=(leases,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
    assert most <= 8
    assert queue.acked == 200
    assert sorted(entry.value for entry in done.inside.values()) == list(range(200))


def test_a_stop_leaves_jobs_in_hand_to_who_has_them(both):
    """``next`` ends in the thread that is free; the job of another one is its own to finish."""
    queue = both.wire.server.add("jobs", range(10))

    def stop(leases, job):
        leases.stop()
        return job

    def threads(client):
        with client.queue("jobs").lease(batch=2) as leases:
            job = stop(leases, next(leases))
            assert next(leases, None) is None
            job.ack()
            assert leases.flush(10)

    async def tasks(client):
        async with client.queue("jobs").lease(batch=2) as leases:
            job = stop(leases, await anext(leases))
            assert await anext(leases, None) is None
            job.ack()
            assert await leases.flush(10)

    both.ask(lambda client: (threads if isinstance(client, Client) else tasks)(client))
    assert queue.acked == 1
    assert {(entry.token, entry.attempt, len(entry.history)) for entry in queue.inside.values()} == {
        ("", 0, 0)
    }


def test_a_job_is_settled_from_another_thread(both):
    queue = both.wire.server.add("jobs", range(10))

    def work(job):
        thread = threading.Thread(target=job.ack)
        thread.start()
        thread.join()

    both.work("jobs", work)
    assert queue.acked == 10
