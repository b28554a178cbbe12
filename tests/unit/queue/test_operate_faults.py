"""Operations whose commit fails: what the ledger says afterwards is what the queue is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from dibs.errors import LedgerError, LedgerUnavailable, QueueUnknown, Refused
from dibs.ledger.ops import Fail
from dibs.sources import parse_source

COUNT, RANGE = parse_source("count()"), parse_source("range(100)")


async def first_of(queue) -> tuple:
    taken = await queue.take(1, wait=5)
    return taken.first, taken.values[0]


async def decided(fault: str, call: Awaitable[Any]) -> None:
    """The call whose commit fails hears for certain what came of it; the ledger is open again then."""
    if fault == "present":
        await call
    else:
        with pytest.raises(LedgerUnavailable):
            await call


@pytest.fixture(params=["absent", "present"])
def fault(request) -> str:
    return request.param


async def test_a_pause(opened, fault):
    async with opened({"q": "count()"}) as house:
        house.disk.faults.append(fault)
        await decided(fault, house["q"].pause())
        assert house["q"].info().state == ("paused" if fault == "present" else "open")
        assert house["q"].stats().state == house["q"].info().state
        await house["q"].resume()
        assert await first_of(house["q"]) == (1, 1)


async def test_a_resume(opened, fault):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        waiting = asyncio.ensure_future(house["q"].take(1, wait=5))
        await asyncio.sleep(0)
        house.disk.faults.append(fault)
        await decided(fault, house["q"].resume())
        if fault == "absent":
            assert house["q"].stats().state == "paused"
            await house["q"].resume()
        assert (await waiting).first == 1


async def test_a_close(opened, fault):
    async with opened({"q": "count()"}) as house:
        house.disk.faults.append(fault)
        await decided(fault, house["q"].close())
        if fault == "absent":
            assert await first_of(house["q"]) == (1, 1)
        else:
            assert house["q"].stats().state == "closed"


async def test_a_deletion(opened, fault):
    async with opened({"q": "count()", "other": "count()"}) as house:
        await house["q"].take(3)
        house.disk.faults.append(fault)
        await decided(fault, house.queues.delete("q"))
        await house.queues.stats()
        if fault == "absent":
            assert await first_of(house["q"]) == (4, 4)
        else:
            with pytest.raises(QueueUnknown):
                house.queues.get("q")
        assert (await house.queues.define("q", COUNT)).cursor >= 3
        assert (await first_of(house["q"]))[0] in (4, 5)


async def test_a_take_and_the_deletion_behind_it(opened, fault, eventually):
    """One commit, one fate: the taker hears that the queue is gone, or neither is on disk."""
    async with opened({"q": "count()", "other": "count()"}) as house:
        house.disk.door.shut()
        first = asyncio.ensure_future(house["other"].take(1))
        await house.disk.door.somebody()
        taking = asyncio.ensure_future(house["q"].take(1))
        await eventually(lambda: house.in_line == 1)
        deleting = asyncio.ensure_future(house.queues.delete("q"))
        await eventually(lambda: house.in_line == 2)
        house.disk.faults += [None, fault]
        house.disk.door.open()
        await first
        await decided(fault, deleting)
        if fault == "present":
            with pytest.raises(QueueUnknown):  # ops come before the asks of their batch
                await taking
            await house.queues.define("q", COUNT)
            assert await first_of(house["q"]) == (1, 1)
        else:
            with pytest.raises(LedgerUnavailable):
                await taking
            assert await first_of(house["q"]) == (1, 1)


async def test_a_first_definition(opened, fault):
    async with opened() as house:
        house.disk.faults.append(fault)
        await decided(fault, house.queues.define("q", COUNT))
        assert [queue.name for queue in house.queues.list()] == (["q"] if fault == "present" else [])
        await house.queues.define("q", COUNT)
        assert await first_of(house["q"]) == (1, 1)


async def test_a_definition_that_wakes_a_tombstone(opened, fault):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        await house.queues.delete("q")
        house.disk.faults.append(fault)
        await decided(fault, house.queues.define("q", COUNT))
        await house.queues.define("q", COUNT)
        assert await first_of(house["q"]) == (4, 4)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_definition_in_place_of_another(opened, fault, reset):
    async with opened({"q": "count()"}) as house:
        if reset:
            await house["q"].take(3)
        house.disk.faults.append(fault)
        await decided(fault, house.queues.define("q", RANGE, reset=reset))
        if fault == "present":
            assert await first_of(house["q"]) == (1, 0)
            assert house["q"].info().source == "range"
        else:
            assert await first_of(house["q"]) == ((4, 4) if reset else (1, 1))
            assert house["q"].info().source == "count"


@pytest.mark.parametrize("count", [1, 5])
async def test_a_source_s_end(opened, stage, fault, count):
    script = stage.script("s", range(1, 10))
    script.errors[3] = ValueError("bad")
    async with opened({"q": stage.spec()}) as house:
        got: list[str] = []
        house.disk.fault = lambda ops: fault if any(getattr(op, "end", None) for op in ops) else None
        tries = 0
        while house["q"].info().state != "failed":
            tries += 1
            house.disk.fault = house.disk.fault if tries < 5 else lambda ops: None
            try:
                got += (await house["q"].take(count)).values
            except (LedgerError, Refused):
                continue
        assert got == ["1", "2"]
        assert house["q"].info().failure.seq == 3
        assert house["q"].stats().state == "failed"


@pytest.fixture
def other_values(opened, stage, script, tmp_path):
    """A folder whose queue ``q`` handed out three items of a source that has other values now."""

    async def prepare() -> None:
        async with opened({"q": stage.spec()}, data=tmp_path) as house:
            await house["q"].take(3, wait=5)
        script.values = [1, 2]

    return prepare


async def test_a_source_that_can_not_be_opened_while_the_disk_fails(
    opened, other_values, tmp_path, fault, eventually, monkeypatch
):
    """The failure is recorded as soon as it can be."""
    monkeypatch.setattr("dibs.queue.opening.TRY_EVERY", 0.01)
    await other_values()
    async with opened(data=tmp_path, disk=lambda disk: disk.faults.append(fault)) as house:
        await eventually(lambda: house["q"].stats().state == "failed")
        assert house["q"].info().failure.type == "source-changed"


async def test_a_source_that_can_not_be_opened_in_a_queue_that_was_closed_meanwhile(
    opened, other_values, script, tmp_path, eventually
):
    """There is nothing left to record, and nothing is tried for ever."""
    await other_values()
    script.start_door.shut()
    async with opened(data=tmp_path, start_patience=0) as house:
        await script.start_door.somebody()
        await house["q"].close()
        script.start_door.open()
        await eventually(lambda: not house["q"].supply.starting)
        assert house.disk.ops(Fail) == []
        assert house["q"].info().state == "closed"


async def test_a_source_that_can_not_be_opened_in_a_queue_that_was_paused_meanwhile(
    opened, other_values, script, tmp_path, eventually
):
    """A pause, or other settings, do not make it a source that can be opened."""
    await other_values()
    script.start_door.shut()
    async with opened(data=tmp_path, start_patience=0) as house:
        await script.start_door.somebody()
        await house["q"].pause()
        script.start_door.open()
        await eventually(lambda: house["q"].stats().state == "failed")
        assert house["q"].info().failure.type == "source-changed"
