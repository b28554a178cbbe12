"""The openings of a source and its feeder: no thread, no disk, a caller that goes, an end in the middle."""

from __future__ import annotations

import asyncio
import sys
import traceback
from dataclasses import replace

import pytest
from dibs.errors import LedgerUnavailable, QueueExhausted, QueueFailed, SourceBusy
from dibs.queue.pool import Pool

SOURCE = """
def look(prices, n):
    return prices[n]

def prices(resume_at):
    for n in range(resume_at, 9):
        yield look({1: 10, 2: 20}, n)
"""


@pytest.fixture
def feed(tmp_path, monkeypatch):
    """A module of a user, in a file: its function raises at item 3."""
    (tmp_path / "a_users_feed.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_users_feed"
    sys.modules.pop("a_users_feed", None)


async def test_what_a_source_raised_is_logged_once_with_the_lines_of_its_author(opened, feed, caplog):
    async with opened({"q": f"{feed}:prices"}) as house:
        assert (await house["q"].take(9, wait=20)).size == 2
        for _ in range(3):
            with pytest.raises(QueueFailed):
                await house["q"].take(1, wait=20)
    [told] = [record for record in caplog.records if "raised" in record.getMessage()]
    assert (told.levelname, told.getMessage()) == ("ERROR", "the source of q raised at item 3: KeyError: 3")
    lines = [frame.name for frame in traceback.extract_tb(told.exc_info[2])]
    assert lines == ["prices", "look"]


async def test_a_source_of_ours_that_raises_is_logged_without_a_traceback(opened, tmp_path, caplog):
    (tmp_path / "x.jsonl").write_text("1\nno json\n")
    async with opened({"q": f"jsonl({str(tmp_path / 'x.jsonl')!r})"}, root=tmp_path) as house:
        await house["q"].take(9, wait=20)
    [told] = [record for record in caplog.records if "raised" in record.getMessage()]
    assert told.getMessage().startswith("the source of q raised at item 2: ValueRefused: line 2 is not JSON")
    assert told.exc_info is None


@pytest.fixture
def no_threads(monkeypatch):
    """The system gives no thread while the list has something in it: each refusal is added to it."""
    refused: list[bool] = []
    submit = Pool.submit

    def refuse(pool, job):
        if refused:
            refused.append(True)
            raise SourceBusy("the system gives no more threads; ask again", retry_after=1.0)
        submit(pool, job)

    monkeypatch.setattr(Pool, "submit", refuse)
    monkeypatch.setattr("dibs.queue.feeder.TRY_EVERY", 0.01)
    return refused


async def test_a_pull_that_gets_no_thread_is_tried_again(opened, stage, script, no_threads, eventually):
    async with opened({"q": stage.spec()}) as house:
        await eventually(lambda: not house["q"].supply.starting)
        no_threads.append(True)
        taking = asyncio.ensure_future(house["q"].take(1, wait=20))
        await eventually(lambda: len(no_threads) > 2)
        no_threads.clear()
        assert (await taking).first == 1


async def test_a_source_that_never_waits_is_opened_when_the_disk_can_be_read_again(
    opened, eventually, monkeypatch
):
    monkeypatch.setattr("dibs.queue.opening.TRY_EVERY", 0.01)
    async with opened({"q": "uuid7()"}) as house:
        queue, row = house["q"], house.disk.row
        await queue.close()
        unreadable = [True]

        def read(queue: int):
            if unreadable:
                raise LedgerUnavailable("EIO")
            return row(queue)

        house.disk.row = read
        queue.supply.open(replace(row(queue.line.row.id), ending=None))
        assert queue.supply.starting
        unreadable.clear()
        await eventually(lambda: not queue.supply.starting)


async def test_an_advance_whose_caller_goes_lets_its_source_go(opened, stage, script, eventually):
    async with opened({"q": stage.spec()}) as house:
        await house["q"].take(1)
        script.start_door.shut()
        jumping = asyncio.ensure_future(house["q"].advance(10))
        await script.start_door.somebody()
        jumping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await jumping
        script.start_door.open()
        await eventually(lambda: script.closed == 1)
        assert (await house["q"].take(1)).first == 2


async def test_a_source_that_was_prepared_for_a_jump_that_did_not_come_is_let_go(
    opened, stage, script, eventually
):
    async with opened({"q": stage.spec()}) as house:
        queue = house["q"]
        await queue.take(1)
        house.disk.faults.append("absent")
        with pytest.raises(LedgerUnavailable):
            await queue.advance(10)
        await queue.advance(20)  # another is prepared in the place of the first
        await eventually(lambda: script.closed == 2)  # and of the one that stood at 1
        assert (await queue.take(1, wait=5)).first == 21
        house.disk.faults.append("absent")
        with pytest.raises(LedgerUnavailable):
            await queue.advance(30)
        await queue.close()
        await eventually(lambda: script.closed == script.openings)


async def test_a_queue_that_is_deleted_in_the_middle_of_a_replay(opened, stage, script, tmp_path, eventually):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(3)
    closed = script.closed
    script.start_door.shut()
    async with opened({"q": stage.spec()}, data=tmp_path, start_patience=0) as house:
        await script.start_door.somebody()
        await house.queues.delete("q")
        script.start_door.open()
        await eventually(lambda: script.closed == closed + 1)


async def test_a_pull_that_waits_for_its_turn_ends_with_the_source(opened, stage, script, eventually):
    async with opened({"q": stage.spec()}, threads=2) as house:
        queue = house["q"]
        script.door.shut()
        taking = [asyncio.ensure_future(queue.take(1, wait=20))]
        await script.door.somebody()
        taking.append(asyncio.ensure_future(queue.take(1, wait=20)))  # the pull that runs is not for this one
        await eventually(lambda: queue.supply.iterator_stats().waiting == 1)
        await queue.close()
        for take in taking:
            with pytest.raises(QueueExhausted):
                await take
        script.door.open()
        await eventually(lambda: script.closed == 1)
