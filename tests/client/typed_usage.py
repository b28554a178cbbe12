"""How the types come out: read by a type checker (test_typing.py runs mypy over it)."""

from collections.abc import Iterator
from typing import Any, assert_type

from dibs import AsyncClient, Client
from dibs.client import (
    AsyncLeases,
    Audit,
    Counts,
    Item,
    Job,
    Lease,
    LeaseAsk,
    Leases,
    PushReport,
    QueueInfo,
    QueueItem,
    Result,
    Settlement,
)


def threads() -> None:
    with Client(patience=5) as client:
        queue = client.queue("x")
        with queue.lease(batch=50, ttl=30, on_error="raise") as leases:
            assert_type(leases, Leases)
            for job in leases:
                assert_type(job, Job)
                with job:
                    job.ack(Result("done", job.value))
            assert_type(leases.flush(), bool)
        assert_type(queue.push(range(3), key=str), PushReport)
        assert_type(queue.put({"any": ["json"]}), int)
        assert_type(queue.claim(LeaseAsk(1)), Lease | None)
        assert_type(queue.settle([]), Settlement)
        assert_type(queue.info(), QueueInfo)
        assert_type(queue.audit(), Audit)
        assert_type(queue.next(), Item | None)
        assert_type(next(queue.items("dead")), QueueItem)
        assert_type(client.work(len, "x", batch=3), Counts)
        assert_type(client.map(len, "x", workers=2, until_empty=True), Iterator[tuple[Any, Any]])
        for value in queue:
            assert_type(value, Any)


async def tasks() -> None:
    async with AsyncClient() as client:
        queue = client.queue("x")
        async with queue.lease() as leases:
            assert_type(leases, AsyncLeases)
            async for job in leases:
                assert_type(job, Job)
        assert_type(await queue.push([1]), PushReport)
        assert_type(await queue.claim(), Lease | None)
        assert_type(await queue.item(1), QueueItem)
        async for item in queue.items("dead"):
            assert_type(item, QueueItem)
        async for value in queue:
            assert_type(value, Any)
