"""Operations whose commit fails: what the ledger says afterwards is what the queue is."""

from __future__ import annotations

import asyncio
import threading

import pytest
from dibs.errors import LedgerError, LedgerUnavailable, OutcomeUnknown, QueueUnknown, Refused
from dibs.ledger.ops import Delete, Take
from dibs.sources import SourceSpec, parse_source

COUNT, RANGE = parse_source("count()"), parse_source("range(100)")


async def first_of(queue) -> tuple:
    taken = await queue.take(1, wait=5)
    return taken.first, taken.values[0]


@pytest.fixture(params=["absent", "present"])
def fault(request) -> str:
    return request.param


async def test_a_pause(opened, fault):
    async with opened({"q": "count()"}) as house:
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house["q"].pause()
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
        with pytest.raises(OutcomeUnknown):
            await house["q"].resume()
        if fault == "absent":
            assert house["q"].stats().state == "paused"
            await house["q"].resume()
        try:
            first = (await waiting).first
        except LedgerUnavailable:  # it was woken a moment before the ledger was back
            first = (await house["q"].take(1)).first
        assert first == 1


async def test_a_close(opened, fault):
    async with opened({"q": "count()"}) as house:
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house["q"].close()
        if fault == "absent":
            assert await first_of(house["q"]) == (1, 1)
        else:
            assert house["q"].stats().state == "closed"


async def test_a_deletion(opened, fault):
    async with opened({"q": "count()", "other": "count()"}) as house:
        await house["q"].take(3)
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house.queues.delete("q")
        await house.queues.stats()
        if fault == "absent":
            assert await first_of(house["q"]) == (4, 4)
        else:
            with pytest.raises(QueueUnknown):
                house.queues.get("q")
        assert (await house.queues.define("q", COUNT)).cursor >= 3
        assert (await first_of(house["q"]))[0] in (4, 5)


async def test_a_take_and_the_deletion_behind_it(opened, fault, eventually):
    """One commit, one fate: on disk both, the taker has its item; or neither, and the item is the next."""
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
        with pytest.raises(OutcomeUnknown):
            await deleting
        if fault == "present":
            assert (await taking).first == 1
            await house.queues.define("q", COUNT)
            assert await first_of(house["q"]) == (2, 2)
            assert len(house.disk.ops(Delete)) == 1
        else:
            with pytest.raises(LedgerUnavailable):
                await taking
            assert await first_of(house["q"]) == (1, 1)


async def test_a_first_definition(opened, fault):
    async with opened() as house:
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house.queues.define("q", COUNT)
        assert [queue.name for queue in house.queues.list()] == (["q"] if fault == "present" else [])
        await house.queues.define("q", COUNT)
        assert await first_of(house["q"]) == (1, 1)


async def test_a_definition_that_wakes_a_tombstone(opened, fault):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        await house.queues.delete("q")
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house.queues.define("q", COUNT)
        await house.queues.define("q", COUNT)
        assert await first_of(house["q"]) == (4, 4)


@pytest.mark.parametrize("reset", [False, True])
async def test_a_definition_in_place_of_another(opened, fault, reset):
    async with opened({"q": "count()"}) as house:
        if reset:
            await house["q"].take(3)
        house.disk.faults.append(fault)
        with pytest.raises(OutcomeUnknown):
            await house.queues.define("q", RANGE, reset=reset)
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
    monkeypatch.setattr("dibs.queue.feed.TRY_EVERY", 0.01)
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
    async with opened(data=tmp_path) as house:
        await script.start_door.somebody()
        await house["q"].close()
        script.start_door.open()
        await eventually(lambda: not house["q"]._draw._starting)
        assert [op for op in house.disk.ops(Take) if op.end] == []
        assert house["q"].info().state == "closed"


async def test_a_source_that_can_not_be_opened_in_a_queue_that_was_paused_meanwhile(
    opened, other_values, script, tmp_path, eventually
):
    """A pause, or other settings, do not make it a source that can be opened."""
    await other_values()
    script.start_door.shut()
    async with opened(data=tmp_path) as house:
        await script.start_door.somebody()
        await house["q"].pause()
        script.start_door.open()
        await eventually(lambda: not house["q"]._draw._starting)
        assert house["q"].info().failure.type == "source-changed"


async def test_a_failure_to_open_does_not_get_behind_a_new_definition(opened, soon, monkeypatch, tmp_path):
    """The thread that failed has seen the old definition, when the new one comes into the line before it."""
    monkeypatch.setattr("dibs.queue.feed.TRY_EVERY", 0.0)
    lines = tmp_path / "lines"
    lines.touch()
    spec = SourceSpec("lines", {"path": str(lines)})
    async with opened({"q": spec}, data=tmp_path / "data"):
        lines.unlink()
    doors = []

    def look_with_a_pause(disk):
        doors.append(door := type(disk.door)())
        door.shut()

        def row(queue):
            found = disk._engine.row(queue)
            if threading.current_thread() is not threading.main_thread():
                door.pass_()
            return found

        disk.row = row

    async with opened(data=tmp_path / "data", disk=look_with_a_pause) as house:
        [door] = doors
        await door.somebody()  # before the source is opened
        door.let_one()
        await door.somebody()  # and before its failure is recorded
        house.disk.door.shut()
        defining = await soon(house.queues.define("q", COUNT, trusted=True))
        await house.disk.door.somebody()
        door.let_one()
        await door.somebody()  # it looks again
        assert house.in_line == 0
        house.disk.door.open()
        door.open()
        assert (await defining).source == "count"
        assert await first_of(house["q"]) == (1, 1)
        assert [op for op in house.disk.ops(Take) if op.end] == []


async def test_an_op_that_is_done_before_anyone_waits_is_seen_by_who_waited(opened, monkeypatch):
    """The committer is so quick that the op is settled when its caller looks: the queue is there."""
    async with opened() as house:
        submit = type(house.queues)._submit

        def submit_and_let_it_be_done(queues, op):
            pending = submit(queues, op)
            pending.result(10)
            return pending

        monkeypatch.setattr(type(house.queues), "_submit", submit_and_let_it_be_done)
        await house.queues.define("q", None)
        assert house["q"].name == "q"
