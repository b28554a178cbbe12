"""A request that waits costs nothing until something changes that could serve it; turns are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from dibs.errors import (
    LedgerError,
    LedgerUnavailable,
    QueueExhausted,
    QueuePaused,
    QueueUnknown,
    SourceBusy,
)
from dibs.ledger.work import Ack, Nack, Parcel, Redrive
from dibs.queue import LeaseAsk

QUIET = 0.05  # seconds in which a request that spins makes some thousand turns
TURNS = 12  # that a few timers and a thread that tells something may cost


@contextmanager
def counted() -> Iterator[list[int]]:
    """The turns that the event loop makes meanwhile."""
    loop = asyncio.get_running_loop()
    select, turns = loop._selector.select, [0]

    def counting(timeout=None):
        turns[0] += 1
        return select(timeout)

    loop._selector.select = counting
    try:
        yield turns
    finally:
        loop._selector.select = select


async def quiet() -> int:
    """The turns of a while in which nothing happens."""
    with counted() as turns:
        await asyncio.sleep(QUIET)
    return turns[0]


async def push(queue, *texts: str, **options):
    return await queue.push((Parcel(texts, **options),))


@pytest.fixture
def parked(soon, eventually):
    async def parked(queue, **options) -> asyncio.Task:
        before = queue.stats().waiting
        task = await soon(queue.lease(LeaseAsk(**{"wait": 20, **options})))
        await eventually(lambda: queue.stats().waiting + len(queue.line.upcoming) == before + 1)
        return task

    return parked


async def test_a_paused_queue_with_a_due_item(opened, parked):
    async with opened({"q": None}) as house:
        await push(house["q"], "1")
        await house["q"].pause()
        waits = await parked(house["q"])
        assert await quiet() <= TURNS
        await house["q"].resume()
        assert list((await waits).values) == ["1"]


async def test_what_comes_to_a_paused_queue_wakes_nobody_before_it_goes_on(opened, parked, eventually):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await queue.pause()
        first, second = await parked(queue), await parked(queue)
        with counted() as turns:
            for text in "12345":
                await push(queue, text)
            await asyncio.sleep(QUIET)
        assert turns[0] <= 5 * 4 + TURNS
        assert queue.stats().waiting == 2
        await queue.resume()
        assert [list((await one).values) for one in (first, second)] == [["1"], ["2"]]


async def test_a_paused_and_closed_queue_with_a_due_item(opened, parked):
    async with opened({"q": None}) as house:
        await push(house["q"], "1")
        await house["q"].close()
        await house["q"].pause()
        waits = await parked(house["q"])
        assert await quiet() <= TURNS
        await house["q"].resume()
        assert list((await waits).values) == ["1"]


async def test_a_lease_that_expires_while_the_queue_is_paused(opened, parked):
    async with opened({"q": None}) as house:
        await push(house["q"], "1")
        await house["q"].lease(LeaseAsk(ttl=0.01))
        await house["q"].pause()
        waits = await parked(house["q"])
        assert await quiet() <= TURNS
        await house["q"].resume()
        assert list((await waits).values) == ["1"]


@pytest.mark.parametrize("verb", ["close", "delete"])
async def test_while_an_end_waits_for_a_slow_disk(opened, parked, soon, verb):
    async with opened({"q": None}) as house:
        await push(house["q"], "1")
        house.disk.door.shut()
        ending = await soon(getattr(house["q"], verb)())
        await house.disk.door.somebody()
        waits = await parked(house["q"])
        assert await quiet() <= TURNS
        house.disk.door.open()
        await ending
        if verb == "close":
            assert list((await waits).values) == ["1"]
        else:
            with pytest.raises(QueueUnknown):
                await waits


async def test_an_end_that_does_not_reach_the_disk_lets_go_who_waits(opened, parked, soon):
    async with opened({"q": None}) as house:
        await push(house["q"], "1")
        house.disk.door.shut()
        closing = await soon(house["q"].close())
        await house.disk.door.somebody()
        waits = await parked(house["q"])
        house.disk.faults.append("absent")
        house.disk.door.open()
        with pytest.raises(LedgerError):
            await closing
        assert list((await waits).values) == ["1"]


async def test_a_source_that_is_being_opened(opened, stage, script, parked, tmp_path):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(1)
    script.start_door.shut()
    async with opened({"q": stage.spec()}, data=tmp_path, start_patience=0) as house:
        waits = await parked(house["q"])
        assert await quiet() <= TURNS
        script.start_door.open()
        assert list((await waits).values) == ["2"]


async def test_a_failed_source_with_a_lease_that_expires(opened, stage, script, parked, clock):
    script.errors[2] = RuntimeError("no")
    async with opened({"q": stage.spec()}) as house:
        queue = house["q"]
        await queue.lease(LeaseAsk(ttl=20))
        with pytest.raises(Exception, match="no"):
            await queue.lease(LeaseAsk(ttl=20))
        await queue.pause()
        clock.skip(20)
        waits = await parked(queue)
        assert await quiet() <= TURNS
        await queue.resume()
        assert list((await waits).values) == ["1"]


async def test_a_delayed_item(opened, parked):
    async with opened({"q": None}) as house:
        await push(house["q"], "1", delay=3_600_000)
        await parked(house["q"])
        assert await quiet() <= TURNS


async def test_leases_that_wait_are_bounded_too(opened, parked):
    async with opened({"q": None}, waiting=2) as house:
        first, second = await parked(house["q"]), await parked(house["q"])
        for ask in (house["q"].lease(LeaseAsk(wait=20)), house["q"].take(1, wait=20)):
            with pytest.raises(SourceBusy, match="2 requests wait for q already") as caught:
                await ask
            assert caught.value.retry_after == 1.0
        assert await house["q"].lease(LeaseAsk()) is None  # who does not wait is answered
        await push(house["q"], "1", "2")
        assert [list((await one).values) for one in (first, second)] == [["1"], ["2"]]


async def test_a_settling_is_done_where_its_next_lease_may_not_wait(opened, parked):
    async with opened({"q": None}, waiting=1) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        await parked(queue)
        answered = await queue.settle((Ack(token),), lease=LeaseAsk(wait=20))
        assert [entry[0].verdict for entry in answered.entries] == ["acked"]
        assert isinstance(answered.refusal, SourceBusy)


# -- final words, while nobody knows what a failed commit has left on disk


async def test_nobody_hears_exhausted_before_the_ledger_has_been_read_again(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        await queue.close()
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        failing = await soon(queue.settle((Nack(token, delay=0),)))
        await house.disk.repair_door.somebody()
        for _ in range(2):
            with pytest.raises(LedgerUnavailable):
                await queue.lease(LeaseAsk())
        house.disk.repair_door.open()
        with pytest.raises(LedgerError):
            await failing
        assert await queue.lease(LeaseAsk()) is None  # it is leased: not the end


async def test_the_end_of_an_empty_queue_is_no_word_of_memory_either(opened, soon):
    """What failed may have been a redrive: whether the queue is at its end is for the disk to say."""
    async with opened({"q": None}) as house:
        queue = house["q"]
        await queue.close()
        with pytest.raises(QueueExhausted):
            await queue.take(1)
        house.disk.faults.append("present")
        house.disk.repair_door.shut()
        failing = await soon(queue.redrive())
        await house.disk.repair_door.somebody()
        assert house.disk.ops(Redrive)
        with pytest.raises(LedgerUnavailable):
            await queue.take(1)
        house.disk.repair_door.open()
        with pytest.raises(LedgerError):
            await failing
        with pytest.raises(QueueExhausted):
            await queue.take(1)


async def test_what_waits_is_not_said_to_be_nothing_while_the_ledger_is_reopened(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1", "2")
        assert queue.stats().waiting_items == 2
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        failing = await soon(push(queue, "3"))
        await house.disk.repair_door.somebody()
        house.disk.files.disconnect()
        assert queue.stats().waiting_items == 2
        house.disk.repair_door.open()
        with pytest.raises(LedgerError):
            await failing


async def test_a_pause_is_told_to_who_does_not_wait(opened):
    async with opened({"q": None}) as house:
        await house["q"].pause()
        with pytest.raises(QueuePaused):
            await house["q"].take(1)
