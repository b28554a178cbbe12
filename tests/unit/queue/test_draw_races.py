"""In the middle of a pull: nothing is handed out, the value is the next one out, the order stands."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    LedgerUnavailable,
    QueueExhausted,
    QueuePaused,
    QueueStarting,
    QueueUnknown,
    SourceBusy,
)
from dibs.ledger.ops import Take


@pytest.fixture
def pulling(opened, stage, script):
    """A queue ``q``, and a take of it in the middle of a pull: the source holds its first value back."""

    async def begin(house, count: int = 1, **options):
        script.door.shut()
        task = asyncio.ensure_future(house["q"].take(count, **options))
        await script.door.somebody()
        return task

    return begin


async def taken(queue, count: int = 1) -> list[tuple[int, str]]:
    """The next items as (seq, text), over as many answers as it takes."""
    items: list[tuple[int, str]] = []
    while len(items) < count:
        answer = await queue.take(count - len(items))
        items += enumerate(answer.values, answer.first)
    return items


FIRST_THREE = [(1, "1"), (2, "2"), (3, "3")]


async def test_a_pause_in_the_middle_of_a_pull(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house)
        await house["q"].pause()
        script.door.open()
        with pytest.raises(QueuePaused):
            await task
        assert house["q"].stats().put_back == 1
        with pytest.raises(QueuePaused):
            await house["q"].take(1)
        await house["q"].resume()
        assert await taken(house["q"], 3) == FIRST_THREE
        assert script.pulls == 3


async def test_a_pause_that_is_not_on_disk_yet_counts_too(opened, stage, script, pulling):
    """The gate is narrowed when the op enters the line: a draw behind it would be on disk behind it."""
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house)
        house.disk.door.shut()
        pausing = asyncio.ensure_future(house["q"].pause())
        await house.disk.door.somebody()
        script.door.open()
        with pytest.raises(QueuePaused):
            await task
        with pytest.raises(QueuePaused):
            await house["q"].take(1)
        assert not pausing.done()
        house.disk.door.open()
        assert (await pausing).state == "paused"
        assert house.disk.ops(Take) == []


async def test_a_close_in_the_middle_of_a_pull(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house)
        await house["q"].close()
        script.door.open()
        with pytest.raises(QueueExhausted):
            await task
        assert (await house["q"].audit()).cursor == 0
        assert house.disk.ops(Take) == []


async def test_a_deletion_in_the_middle_of_a_pull_and_the_queue_that_comes_after(
    opened, stage, script, pulling
):
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house)
        await house.queues.delete("q")
        script.door.open()
        with pytest.raises(QueueUnknown):
            await task
        await house.queues.define("q", stage.spec(), trusted=True)
        assert await taken(house["q"], 3) == FIRST_THREE


async def test_a_reset_in_the_middle_of_a_pull(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}) as house:
        await house["q"].take(2)
        task = await pulling(house)
        script.start_door.open()
        defining = asyncio.ensure_future(house.queues.define("q", stage.spec(), trusted=True, reset=True))
        info = await defining
        assert (info.generation, info.cursor) == (2, 0)
        script.door.open()
        with pytest.raises((QueueStarting, QueueUnknown)):
            await task
        assert await taken(house["q"], 3) == FIRST_THREE


async def test_a_caller_that_is_cancelled(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house)
        task.cancel()
        await asyncio.wait([task])
        script.door.open()
        assert await taken(house["q"], 3) == FIRST_THREE
        assert script.pulls == 3


async def test_a_caller_whose_patience_is_over(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}, pull_patience=0.01) as house:
        task = await pulling(house)
        with pytest.raises(SourceBusy) as caught:
            await task
        assert caught.value.retry_after
        script.door.open()
        assert await taken(house["q"], 3) == FIRST_THREE


async def test_a_caller_who_waits_longer_has_more_patience(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}, pull_patience=0.01) as house:
        task = await pulling(house, wait=10)
        with pytest.raises(SourceBusy):  # another one, behind it, has not
            await house["q"].take(1)
        assert not task.done()
        script.door.open()
        assert (await task).first == 1


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_an_epoch_that_is_raised(opened, stage, script, fault):
    """A commit fails while the next value of the same queue is on its way out of the source."""
    async with opened({"q": stage.spec()}) as house:
        house.disk.door.shut()
        enqueued = asyncio.ensure_future(house["q"].take(1))
        await house.disk.door.somebody()
        script.door.shut()
        drawing = asyncio.ensure_future(house["q"].take(1))
        await script.door.somebody()
        house.disk.faults.append(fault)
        house.disk.door.open()
        if fault == "present":
            assert (await enqueued).first == 1
        else:
            with pytest.raises(LedgerUnavailable):
                await enqueued
        script.door.open()
        with pytest.raises(LedgerUnavailable):
            await drawing
        left = FIRST_THREE[1:] if fault == "present" else FIRST_THREE
        assert await taken(house["q"], len(left)) == left
        assert script.pulls == 3
        assert (await house["q"].audit()).balanced


async def test_a_ledger_that_goes_down_between_the_look_and_the_line(opened, stage, script, eventually):
    """The draw saw that the ledger is up, and waits for the source; then another queue's commit fails."""
    async with opened({"q": stage.spec(), "other": "count()"}) as house:
        script.door.shut()
        first = asyncio.ensure_future(house["q"].take(1))
        await script.door.somebody()
        house.disk.repair_door.shut()
        house.disk.faults.append("absent")
        other = asyncio.ensure_future(house["other"].take(1))
        await house.disk.repair_door.somebody()
        script.door.open()
        with pytest.raises(LedgerUnavailable):
            await first
        assert house["q"].stats().put_back == 1
        house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await other
        assert await taken(house["q"], 3) == FIRST_THREE
        assert await taken(house["other"], 1) == [(1, 1)]


async def test_put_back_values_survive_a_ledger_that_goes_down_meanwhile(
    opened, stage, script, pulling, eventually
):
    async with opened({"q": stage.spec(), "other": "count()"}) as house:
        task = await pulling(house, 3)
        await house["q"].pause()
        script.door.open()
        with pytest.raises(QueuePaused):
            await task
        await house["q"].resume()
        draw = house["q"]._draw
        with draw.source.iterator.hold():  # the next draw looks, then waits here
            waiting = asyncio.ensure_future(house["q"].take(1))
            await eventually(lambda: draw.source.iterator.stats().waiting)
            house.disk.repair_door.shut()
            house.disk.faults.append("absent")
            other = asyncio.ensure_future(house["other"].take(1))
            await house.disk.repair_door.somebody()
        with pytest.raises(LedgerUnavailable):
            await waiting
        house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await other
        assert await taken(house["q"], 4) == [*FIRST_THREE, (4, "4")]
        assert script.openings == 1


async def test_what_was_put_back_goes_out_first_and_never_with_fresh_values(opened, stage, script, pulling):
    async with opened({"q": stage.spec()}) as house:
        task = await pulling(house, 3)
        await house["q"].pause()
        script.door.open()
        with pytest.raises(QueuePaused):
            await task
        await house["q"].resume()
        answers = [await house["q"].take(count) for count in (2, 5, 2)]
        assert [(a.first, list(a.values)) for a in answers] == [
            (1, ["1", "2"]),
            (3, ["3"]),
            (4, ["4", "5"]),
        ]


async def test_arithmetic_values_are_put_back_as_ranges(opened):
    async with opened({"q": "count(start=10, step=5)"}) as house:
        house.disk.faults.append("absent")
        with pytest.raises(LedgerUnavailable):
            await house["q"].block(1_000_000)
        assert house["q"].stats().put_back == 1_000_000
        block = await house["q"].block(3)
        assert (block.seq, block.first, block.last, block.step, block.count) == (1, 10, 20, 5, 3)
        rest = await house["q"].block(1_000_000)
        assert (rest.seq, rest.first, rest.count) == (4, 25, 999_997)


async def test_threads_that_wait_for_the_source_are_served_in_the_order_of_its_values(
    opened, stage, script, eventually
):
    async with opened({"q": stage.spec()}) as house:
        script.door.shut()
        tasks = [asyncio.ensure_future(house["q"].take(1)) for _ in range(8)]
        await script.door.somebody()
        script.door.open()
        answers = await asyncio.gather(*tasks)
        assert sorted(a.first for a in answers) == list(range(1, 9))
        assert all(list(a.values) == [str(a.first)] for a in answers)
        assert [op.first for op in house.disk.ops(Take)] == list(range(1, 9))


async def test_a_take_from_a_source_that_counts_leaves_no_timer_behind(opened, monkeypatch):
    async with opened({"q": "count()"}) as house:
        late = []
        monkeypatch.setattr(house["q"], "_late", lambda *args: late.append(args))
        for _ in range(20):
            await house["q"].take(1)
        assert not late
