"""The lease iterator in real threads and tasks, over a transport to a fake server."""

import asyncio
import gc
import json
import threading
from contextlib import suppress

import pytest
from dibs.client import (
    AsyncClient,
    Client,
    ClientClosed,
    JobSettled,
    Result,
    Unreachable,
    ValueNotJson,
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
            thread.join(30)
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


@pytest.fixture
def only_new_garbage():
    """A collection looks only at what the test itself makes, not at all that the suite has imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("only_new_garbage")
def test_a_loop_that_is_left_is_closed_by_itself(wire):
    queue = wire.server.add("jobs", range(100))
    client = Client("http://dibs", transport=wire)
    for job in client.queue("jobs").lease(batch=10):
        with job:
            break
    gc.collect()  # not needed where references are counted
    assert queue.acked == 1
    assert not [entry for entry in queue.inside.values() if entry.token]
    client.close()


@pytest.mark.usefixtures("only_new_garbage")
def test_a_client_that_nobody_holds_is_there_while_its_iterator_is(wire):
    queue = wire.server.add("jobs", range(50))
    for job in Client("http://dibs", transport=wire).queue("jobs").lease(batch=10):
        gc.collect()
        with job:
            assert not wire.closed
    gc.collect()
    assert queue.acked == 50
    assert wire.closed


@pytest.mark.usefixtures("only_new_garbage")
def test_a_client_that_nobody_holds_is_there_while_its_values_are(wire):
    wire.server.add("jobs", [1, 2, 3])
    found = []
    for value in Client("http://dibs", transport=wire).queue("jobs"):
        gc.collect()
        found.append(value)
    gc.collect()
    assert (found, wire.closed) == ([1, 2, 3], True)


@pytest.mark.usefixtures("only_new_garbage")
def test_a_job_whose_iterator_nobody_holds_says_why_it_was_given_back(wire, caplog):
    queue = wire.server.add("jobs", range(3))
    client = Client("http://dibs", transport=wire)
    job = next(client.queue("jobs").lease(batch=1))
    gc.collect()
    with job:
        pass
    assert "given back before its work began: by release(), or as its lease iterator" in caplog.text
    with pytest.raises(JobSettled, match=r"was released before .*closes at once"):
        job.ack()
    client.close()
    assert queue.acked == 0


def test_closing_takes_as_long_as_the_slowest_iterator(wire):
    """Nobody answers any more: each tries to settle, all at the same time."""
    wire.server.add("jobs", range(50))
    client = Client("http://dibs", transport=wire)
    many = [client.queue("jobs").lease(batch=2, grace=0.3) for _ in range(4)]
    together = threading.Barrier(4, timeout=60)
    for leases in many:
        next(leases).ack()

    def refuse(number, request):
        if not together.broken and request.url.path.endswith("/settle"):
            together.wait()
        return "refused"

    wire.faults = refuse
    client.close()


def test_closing_the_client_closes_its_iterators(wire):
    queue = wire.server.add("jobs", range(100))
    with Client("http://dibs", transport=wire) as client:
        leases = client.queue("jobs").lease(batch=10)
        next(leases).ack()
    assert queue.acked == 1
    assert not [entry for entry in queue.inside.values() if entry.token]
    assert list(leases) == []
    with pytest.raises(ClientClosed):
        client.queue("jobs").info()
    with pytest.raises(ClientClosed):
        client.queue("jobs").lease()
    assert wire.closed


def test_closing_an_async_client_waits_for_what_was_left(wire):
    queue = wire.server.add("jobs", range(100))

    async def main():
        async with AsyncClient("http://dibs", transport=wire) as client:
            async for job in client.queue("jobs").lease(batch=10):
                with job:
                    break
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert queue.acked == 1
    assert not [entry for entry in queue.inside.values() if entry.token]


def test_a_cancelled_task_releases_its_job(wire):
    queue = wire.server.add("jobs", range(10))

    async def work(began):
        async with (
            AsyncClient("http://dibs", transport=wire) as client,
            client.queue("jobs").lease() as leases,
        ):
            async for job in leases:
                with job:
                    began.set()
                    await asyncio.Event().wait()

    async def main():
        began = asyncio.Event()
        task = asyncio.create_task(work(began))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert {(entry.token, entry.attempt) for entry in queue.inside.values()} == {("", 0)}


def test_closing_does_not_wait_for_an_async_poll(wire, caplog):
    wire.server.add("jobs")

    async def main():
        wire.parked = asyncio.Event()
        async with AsyncClient("http://dibs", transport=wire) as client:
            leases = client.queue("jobs").lease(wait=20)
            waiting = asyncio.create_task(anext(leases))
            await wire.parked.wait()
            await leases.close()
            with pytest.raises(StopAsyncIteration):
                await waiting

    asyncio.run(main())
    assert "did not answer in time" not in caplog.text


def test_a_flow_that_breaks_is_told_to_the_consumer(wire, monkeypatch):
    """A fault of ours must not look like a queue that gives nothing."""
    wire.server.add("jobs", range(10))
    with Client("http://dibs", transport=wire) as client:
        leases = client.queue("jobs").lease()
        monkeypatch.setattr(leases._consumer.jobs, "arrived", lambda *_: 1 / 0)
        with pytest.raises(Exception, match="the client broke: ZeroDivisionError"):
            next(leases)


@pytest.mark.parametrize("leaving", ["break", "close", "error"])
def test_a_loop_that_is_left_before_its_job_was_entered(both, leaving):
    """On purpose: it spends no attempt. By an exception: the item may be why."""
    queue = both.wire.server.add("jobs", range(3), max_attempts=1)

    def threads(client):
        with client.queue("jobs").lease(wait=0.5) as leases:
            for _ in leases:
                if leaving == "error":
                    raise RuntimeError("before the with")
                if leaving == "close":
                    leases.close()
                break

    async def tasks(client):
        async with client.queue("jobs").lease(wait=0.5) as leases:
            async for _ in leases:
                if leaving == "error":
                    raise RuntimeError("before the with")
                if leaving == "close":
                    await leases.close()
                break

    with suppress(RuntimeError):
        both.ask(lambda client: (threads if isinstance(client, Client) else tasks)(client))
    assert queue.inside[1].dead == (leaving == "error")
    assert not any(entry.token for entry in queue.inside.values())


def test_an_error_is_not_the_end_of_the_values(both):
    both.wire.server.add("ids", range(2))
    both.wire.faults = lambda number, request: "refused" if number == 2 else None

    def threads(client):
        values = iter(client.queue("ids"))
        assert next(values) == 0
        with pytest.raises(Unreachable):
            next(values)
        assert list(values) == [1]
        assert list(values) == []

    async def tasks(client):
        values = aiter(client.queue("ids"))
        assert await anext(values) == 0
        with pytest.raises(Unreachable):
            await anext(values)
        assert [value async for value in values] == [1]
        assert [value async for value in values] == []

    both.ask(lambda client: (threads if isinstance(client, Client) else tasks)(client), patience=0.0)


def test_a_result_that_is_not_json_counts_as_an_attempt(both):
    """Even where no ``with`` is there to nack it: given back, it would end one worker after the other."""
    both.wire.server.add("done")
    queue = both.wire.server.add("jobs", range(3), max_attempts=1)

    def threads(client):
        for job in client.queue("jobs").lease(wait=0.5, prefetch=0, batch=1):
            job.ack(Result("done", float("nan")))

    async def tasks(client):
        async for job in client.queue("jobs").lease(wait=0.5, prefetch=0, batch=1):
            job.ack(Result("done", float("nan")))

    with pytest.raises(ValueNotJson, match="nan is not JSON"):
        both.ask(lambda client: (threads if isinstance(client, Client) else tasks)(client))
    assert queue.inside[1].dead


def test_work_takes_the_options_of_lease_and_leaves_the_results_open(both):
    both.wire.server.add("jobs", range(6))
    both.wire.server.add("done")
    counts = both.ask(lambda client: client.work(lambda n: n * n, "jobs", "done", batch=2, ttl=7.0, wait=0.5))
    assert (counts.begun, counts.acked, counts.nacked) == (6, 6, 0)
    asked = next(json.loads(sent.content) for sent in both.wire.sent if sent.url.path.endswith("/lease"))
    assert (asked["max"], asked["ttl"]) == (2, 7.0)
    assert both.ask(lambda client: client.queue("done").info()).state == "open"
    assert both.ask(lambda client: client.queue("done").put("more")) == 7
