"""Who waits for work is woken at once by what brings some, in the order of coming; nobody polls."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import QueueExhausted, Stopping
from dibs.ledger.work import Ack, Claim, Nack, Parcel, Release, Result
from dibs.queue import LeaseAsk


async def push(queue, *texts: str, **options):
    return await queue.push((Parcel(texts, **options),))


@pytest.fixture
def parked(soon, eventually):
    """So many leases that wait, in a known order."""

    async def parked(queue, many: int, **options) -> list[asyncio.Task]:
        tasks = []
        for number in range(many):
            ask = LeaseAsk(**{"wait": 20, "worker": f"w{number}", **options})
            tasks.append(await soon(queue.lease(ask)))
            await eventually(lambda: queue.stats().waiting == len(tasks))
        return tasks

    return parked


def values(task) -> list[str]:
    return list(task.result().values)


async def test_a_push_wakes_the_first_who_came(opened, parked):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 3)
        for text in "123":
            await push(house["jobs"], text)
        await asyncio.wait(tasks)
        assert [values(task) for task in tasks] == [["1"], ["2"], ["3"]]


async def test_a_push_of_many_wakes_as_many(opened, parked):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 50)
        await push(house["jobs"], *map(str, range(50)))
        await asyncio.wait(tasks)
        assert [values(task) for task in tasks] == [[str(number)] for number in range(50)]


async def test_who_gets_nothing_keeps_its_place(opened, parked, eventually):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 4, most=2)
        await push(house["jobs"], "1", "2")  # wakes two, and the first takes both
        await asyncio.wait(tasks[:1])
        await eventually(lambda: house["jobs"].stats().waiting == 3)
        await push(house["jobs"], "3")
        await asyncio.wait(tasks[1:2])
        assert [values(task) for task in tasks[:2]] == [["1", "2"], ["3"]]
        assert not tasks[2].done()
        assert not tasks[3].done()


async def test_a_nack_a_release_and_an_expiry_wake(opened, parked):
    async with opened({"jobs": None}) as house:
        await push(house["jobs"], "1")
        first = await house["jobs"].lease(LeaseAsk())
        [waiting] = await parked(house["jobs"], 1)
        await house["jobs"].settle((Nack(first.token, delay=0, error="e"),))
        second = await waiting
        assert second.spans[0].attempt == 2
        [waiting] = await parked(house["jobs"], 1, ttl=0.05)
        await house["jobs"].settle((Release(second.token),))
        third = await waiting  # and nobody settles this one
        [waiting] = await parked(house["jobs"], 1)
        fourth = await waiting
        assert (third.spans[0].attempt, fourth.spans[0].attempt) == (2, 3)


async def test_a_delay_and_a_back_off_wake_when_they_are_over(opened, parked):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 1)
        await push(house["jobs"], "1", delay=40)
        await asyncio.wait(tasks)
        assert values(tasks[0]) == ["1"]
        [waiting] = await parked(house["jobs"], 1)
        await house["jobs"].settle((Nack(tasks[0].result().token, delay=30),))
        assert (await waiting).spans[0].attempt == 2


async def test_a_result_wakes_the_next_stage(opened, parked):
    async with opened({"ids": "count()", "done": None}) as house:
        tasks = await parked(house["done"], 1)
        leased = await house["ids"].lease(LeaseAsk())
        await house["ids"].settle((Ack(leased.token, push=(Result("done", '"r"'),)),))
        await asyncio.wait(tasks)
        assert values(tasks[0]) == ['"r"']


async def test_closing_tells_all_who_wait(opened, parked):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 5)
        await house["jobs"].close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {QueueExhausted}


async def test_going_down_tells_all_who_wait(opened, parked):
    async with opened({"jobs": None}) as house:
        tasks = await parked(house["jobs"], 5)
        house.queues.stop()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {Stopping}


async def test_who_leaves_passes_on_what_it_was_woken_for(opened, parked):
    async with opened({"jobs": None}) as house:
        first, second = await parked(house["jobs"], 2)
        pushed = asyncio.ensure_future(push(house["jobs"], "1"))
        house["jobs"]._waiters.wake(1)
        first.cancel()  # woken and cancelled in one turn of the loop
        await pushed
        assert list((await second).values) == ["1"]
        assert first.cancelled()


async def test_a_lease_that_nobody_receives_is_given_back(opened, parked, eventually):
    async with opened({"jobs": None}) as house:
        await push(house["jobs"], "1")
        house.disk.door.shut()
        asking = asyncio.ensure_future(house["jobs"].lease(LeaseAsk(ttl=1000)))
        await house.disk.door.somebody()  # the claim is in the line, and can't be withdrawn
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        house.disk.door.open()
        again = await house["jobs"].lease(LeaseAsk(wait=20))
        assert (list(again.values), again.spans[0].attempt) == (["1"], 1)


async def test_when_the_wait_is_over_it_is_empty(opened):
    async with opened({"jobs": None}) as house:
        assert await house["jobs"].lease(LeaseAsk(wait=0.02)) is None
        assert house["jobs"].stats().waiting == 0


async def test_a_thousand_who_wait_cost_one_claim_each(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        tasks = [await soon(house["jobs"].lease(LeaseAsk(wait=30))) for _ in range(1000)]
        await eventually(lambda: house["jobs"].stats().waiting == 1000)
        for at in range(0, 1000, 100):
            await push(house["jobs"], *map(str, range(at, at + 100)))
        leases = await asyncio.gather(*tasks)
        assert [list(leased.values) for leased in leases] == [[str(number)] for number in range(1000)]
        assert len(house.disk.ops(Claim)) < 2500
