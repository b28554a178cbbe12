"""An iterator whose loop is left, whose client is closed, whose task is cancelled: real threads and tasks."""

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


@pytest.fixture
def only_new_garbage():
    """A collection looks only at what the test itself makes, not at all that tests before it have left."""
    gc.collect()
    gc.freeze()


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
