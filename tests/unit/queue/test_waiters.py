"""Waiting costs no thread: parked requests are woken by what happens, in their order, or by their time."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import QueueExhausted, QueuePaused, QueueStarting, QueueUnknown, Stopping
from dibs.queue.wait import Waiters


async def parked(house, name: str, many: int, eventually, **options) -> list[asyncio.Task]:
    """Takes that wait for a paused queue."""
    tasks = []
    for _ in range(many):
        tasks.append(asyncio.ensure_future(house[name].take(1, **{"wait": 20, **options})))
        await eventually(lambda: house[name].stats().waiting == len(tasks))
    return tasks


async def test_a_resume_wakes_all_in_the_order_in_which_they_came(opened, eventually):
    async with opened({"q": "count()"}, threads=1) as house:
        await house["q"].pause()
        threads = house["q"].stats().threads
        tasks = await parked(house, "q", 20, eventually)
        assert house["q"].stats().threads <= threads
        await house["q"].resume()
        assert [task.first for task in await asyncio.gather(*tasks)] == list(range(1, 21))
        assert house["q"].stats().waiting == 0


async def test_an_ending_and_a_deletion_wake_them_with_their_refusals(opened, eventually):
    async with opened({"a": "count()", "b": "count()"}) as house:
        for name in "ab":
            await house[name].pause()
        a = await parked(house, "a", 3, eventually)
        b = await parked(house, "b", 3, eventually)
        await house["a"].close()
        for task in a:
            with pytest.raises(QueueExhausted):
                await task
        await house.queues.delete("b")
        for task in b:
            with pytest.raises(QueueUnknown):
                await task


async def test_who_goes_down_tells_them_at_once(opened, eventually):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        tasks = await parked(house, "q", 3, eventually)
        house.queues.stop()
        for task in tasks:
            with pytest.raises(Stopping) as caught:
                await task
            assert caught.value.retry_after
        with pytest.raises(Stopping):
            await house["q"].take(1, wait=5)


async def test_a_time_that_is_over_is_answered_with_the_refusal(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        with pytest.raises(QueuePaused) as caught:
            await house["q"].take(1, wait=0.01)
        assert caught.value.retry_after
        assert house["q"].stats().waiting == 0


async def test_a_resume_that_is_taken_back_before_they_look_parks_them_again(opened, eventually):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        tasks = await parked(house, "q", 2, eventually)
        resuming = asyncio.ensure_future(house["q"].resume())
        pausing = asyncio.ensure_future(house["q"].pause())
        await asyncio.gather(resuming, pausing)
        assert house["q"].info().state == "paused"
        done = [task for task in tasks if task.done()]
        await eventually(lambda: house["q"].stats().waiting == len(tasks) - len(done))
        await house["q"].resume()
        assert sorted([(await task).first for task in tasks]) == [1, 2]


async def test_a_cancelled_waiter_is_gone_and_took_nothing(opened, eventually):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        tasks = await parked(house, "q", 3, eventually)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert house["q"].stats().waiting == 2
        await house["q"].resume()
        assert [(await task).first for task in (tasks[0], tasks[2])] == [1, 2]


async def test_a_queue_that_is_reset_tells_those_who_waited_for_the_old_one(opened, eventually):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        tasks = await parked(house, "q", 2, eventually)
        await house.queues.define("q", house["q"].spec, reset=True)
        for task in tasks:
            with pytest.raises(QueueStarting) as caught:
                await task
            assert caught.value.retry_after


# -- the waiters by themselves


async def test_nobody_to_wake():
    waiters = Waiters()
    waiters.wake()
    assert len(waiters) == 0


async def test_they_are_woken_in_their_order():
    waiters, woken = Waiters(), []

    async def wait(name: int) -> None:
        await waiters.park(10)
        woken.append(name)

    tasks = [asyncio.ensure_future(wait(name)) for name in range(5)]
    await asyncio.sleep(0)
    assert len(waiters) == 5
    waiters.wake()
    await asyncio.gather(*tasks)
    assert woken == list(range(5))


async def test_one_whose_time_is_over_leaves_the_others_parked():
    waiters = Waiters()
    task = asyncio.ensure_future(waiters.park(10))
    await waiters.park(0.001)
    assert (len(waiters), task.done()) == (1, False)
    waiters.wake()
    await task


async def test_one_that_parks_again_when_woken_is_not_woken_twice():
    """Or a wake would never end."""
    waiters, rounds = Waiters(), []

    async def wait() -> None:
        for number in range(2):
            await waiters.park(10)
            rounds.append(number)

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    waiters.wake()
    for _ in range(5):
        await asyncio.sleep(0)
    assert rounds == [0]
    waiters.wake()
    await task
