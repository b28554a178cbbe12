"""An ``AsyncClient`` in several event loops: each has its connections; what is leased stays in its loop."""

import asyncio
import gc
import threading

import pytest
from dibs.client import AsyncClient, ClientClosed, OtherLoop


async def take(client, queue="ids"):
    return (await client.queue(queue).next()).seq


@pytest.mark.filterwarnings("error")
def test_one_loop_after_the_other(numbering):
    client = AsyncClient(numbering.url)
    assert [asyncio.run(take(client)) for _ in range(3)] == [1, 2, 3]
    gc.collect()
    assert all(ended.wait(60) for ended in numbering.ended)  # at the end of their loops
    assert numbering.connections == 3
    assert len({key for *_, key in numbering.seen}) == 3
    assert len(client._line._transports) == 1  # those of closed loops are let go of
    asyncio.run(client.close())
    with pytest.raises(ClientClosed):
        asyncio.run(take(client))
    del client
    gc.collect()


@pytest.mark.filterwarnings("error")
def test_one_that_is_let_go_of_closes_its_connections_while_its_loop_runs(numbering):
    async def main():
        client = AsyncClient(numbering.url)
        assert await take(client) == 1
        del client
        gc.collect()
        assert await asyncio.to_thread(numbering.ended[0].wait, 5)

    asyncio.run(main())


def test_two_loops_at_once(numbering):
    client, given = AsyncClient(numbering.url), []
    begun, end = threading.Event(), threading.Event()

    async def other():
        given.append(await take(client))
        begun.set()
        await asyncio.to_thread(end.wait, 10)
        await asyncio.sleep(0)  # its connections are closed here
        await asyncio.sleep(0)

    async def main():
        thread = threading.Thread(target=asyncio.run, args=(other(),))
        thread.start()
        await asyncio.to_thread(begun.wait, 10)
        given.append(await take(client))
        given.append(await take(client))
        await client.close()
        end.set()
        await asyncio.to_thread(thread.join, 10)

    asyncio.run(main())
    assert given == [1, 2, 3]
    assert [connection for connection, *_ in numbering.seen] == [0, 1, 1]
    assert all(ended.wait(60) for ended in numbering.ended)


def test_a_job_can_be_settled_in_its_loop_alone(wire):
    """In another one, or after it, its end would never be sent, and the item would be done twice."""
    queue = wire.server.add("jobs", range(4))

    async def leased():
        client = AsyncClient("http://dibs", transport=wire)
        leases = client.queue("jobs").lease(batch=4)
        jobs = [await anext(leases) for _ in range(4)]
        await asyncio.to_thread(jobs[0].ack)  # a thread that works for the loop
        assert await leases.flush(5)
        return leases, jobs[1:]

    async def elsewhere(job):
        ways = [job.ack, job.nack, job.release, lambda: job.extend(5), job.__enter__]
        for way in ways:
            with pytest.raises(OtherLoop):
                way()
        with pytest.raises(OtherLoop):
            async with job:
                pass

    leases, jobs = asyncio.run(leased())
    asyncio.run(elsewhere(jobs[0]))
    with pytest.raises(OtherLoop):
        jobs[1].ack()
    assert queue.acked == 1
    assert not any(job.settled for job in jobs)
    del leases


def test_a_lease_iterator_stays_in_its_loop(wire):
    queue = wire.server.add("jobs", range(3))
    found = []

    async def elsewhere(leases):
        for use in (lambda: anext(leases), leases.flush):
            with pytest.raises(OtherLoop, match="belongs to another event loop"):
                await use()
        found.append("refused")

    async def main():
        async with AsyncClient("http://dibs", transport=wire) as client:
            leases = client.queue("jobs").lease(batch=1)
            job = await anext(leases)
            await asyncio.to_thread(asyncio.run, elsewhere(leases))
            job.ack()

    asyncio.run(main())
    assert found == ["refused"]
    assert queue.acked == 1


def test_leases_of_a_loop_that_has_ended_do_not_keep_a_client_from_closing(wire):
    wire.server.add("jobs", range(3))
    client, kept = AsyncClient("http://dibs", transport=wire), []

    async def first():
        kept.append(client.queue("jobs").lease(batch=1))
        kept.append(await anext(kept[0]))

    asyncio.run(first())
    asyncio.run(asyncio.wait_for(client.close(), 60))
    assert not kept[1].settled


def test_a_transport_that_was_given_stays_in_its_loop(wire):
    wire.server.add("ids", range(3))
    client = AsyncClient("http://dibs", transport=wire)
    assert asyncio.run(take(client)) == 1
    with pytest.raises(OtherLoop, match="the transport of this client was given to it in another event loop"):
        asyncio.run(take(client))
    asyncio.run(client.close())


def test_closing_closes_a_transport_that_was_never_used(wire):
    asyncio.run(AsyncClient("http://dibs", transport=wire).close())
    assert wire.closed
