"""The line of a queue while its disk fails or is full: who is told what, and who may ask again."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    LedgerFull,
    LedgerUnavailable,
)
from dibs.ledger import writer
from dibs.ledger.ops import EngineFailed
from dibs.queue import asking

from .lines import Client, push

FULL = EngineFailed("ENOSPC", full=True)


# -- while the disk fails


async def test_whoever_hears_that_a_commit_failed_may_ask_again_at_once(opened):
    async with opened({"q": "count()"}) as house:
        for _ in range(20):
            house.disk.faults.append("absent")
            with pytest.raises(LedgerUnavailable):
                await house["q"].take(1)
            await house["q"].take(1)
        assert (await house["q"].audit()).cursor == 20


@pytest.mark.parametrize("verb", ["take", "push"])
async def test_a_caller_that_tries_again_in_a_tight_loop_lets_others_have_their_turn(opened, soon, verb):
    async with opened({"q": None}) as house:
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        failing = await soon(push(house["q"], "1"))
        await house.disk.repair_door.somebody()
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = await soon(others())
        for _ in range(100):
            with pytest.raises(LedgerUnavailable):
                await (house["q"].take(1) if verb == "take" else push(house["q"], "2"))
        assert turns >= 100
        beside.cancel()
        house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await failing


async def test_a_caller_that_is_cancelled_in_the_turn_that_it_gives_to_others(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await queue.pause()
        asking = await soon(queue.take(1))  # it has its refusal
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert queue.stats().in_flight == 0


async def test_an_ask_that_waits_hears_at_its_deadline_that_the_disk_is_full(
    opened, monkeypatch, soon, clock
):
    monkeypatch.setattr(writer, "ROOM_EVERY", 0.01)
    async with opened({"q": None}) as house:
        queue = house["q"]
        waiting = asyncio.ensure_future(queue.take(1, wait=20))
        await queue.take(1)  # a round later it waits
        assert queue.line.parked == 1
        house.disk.faults.append("full")
        house.disk.rooms += [FULL] * 1_000_000
        with pytest.raises(LedgerFull):
            await push(queue, "1")
        newcomer = await soon(queue.take(1, wait=20))
        for each in (waiting, newcomer):
            assert not each.done()  # while the disk is full they stay
        clock.skip(20)
        for each in (waiting, newcomer):
            with pytest.raises(LedgerFull):
                await each
        house.disk.rooms.clear()


async def test_what_waits_for_a_full_disk_is_served_when_there_is_room(opened, monkeypatch):
    monkeypatch.setattr(writer, "ROOM_EVERY", 0.01)
    async with opened({"q": "count()"}) as house:
        house.disk.faults.append("full")
        house.disk.rooms += [FULL] * 1_000_000
        with pytest.raises(LedgerFull):
            await house["q"].take(1)
        waiting = asyncio.ensure_future(house["q"].take(1, wait=20))
        with pytest.raises(LedgerFull):
            await house["q"].take(1)
        assert house["q"].line.parked == 1
        house.disk.rooms.clear()
        assert (await waiting).first == 1


async def test_asks_that_had_not_begun_when_the_disk_failed_hear_it_or_wait(opened, soon):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = await soon(queue.take(1))
        await house.disk.door.somebody()
        waits, asks = await soon(queue.take(1, wait=20)), await soon(queue.take(1))
        ended = Client()
        queue.line.end(queue.line.ask(asking.take(1, queue.line.limits), 20, ended))
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        house.disk.door.open()
        await house.disk.repair_door.somebody()
        with pytest.raises(LedgerUnavailable):
            await asks
        assert [type(told) for told in ended.told] == [LedgerUnavailable]
        house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await first
        assert (await waits).first == 1
