"""A source whose values need not repeat: each start is another run of it, and the queue goes on counting."""

from __future__ import annotations

import sys

import pytest
from dibs.errors import LedgerUnavailable, QueueConflict, QueueExhausted, QueueFailed
from dibs.iterators import threadsafe_generator
from dibs.sources import SourceSpec


@pytest.fixture
def search(stage, script, monkeypatch) -> SourceSpec:
    """Each run of it gives what the script says, from its start."""

    @threadsafe_generator(resume="anew")
    def anew():
        for value in stage.scripts["s"].play():
            yield f"{stage.scripts['s'].openings}-{value}"

    monkeypatch.setattr(sys.modules["staged"], "anew", anew, raising=False)
    return SourceSpec("staged:anew")


async def take(queue, count: int) -> list[tuple[int, str]]:
    taken = await queue.take(count, wait=5)
    return [(taken.first + at, text.strip('"')) for at, text in enumerate(taken.values)]


async def test_after_a_restart_it_is_run_anew_and_nothing_is_skipped(opened, search, script, tmp_path):
    async with opened({"q": search}, data=tmp_path) as house:
        assert await take(house["q"], 2) == [(1, "1-1"), (2, "1-2")]
    async with opened({"q": search}, data=tmp_path) as house:
        assert await take(house["q"], 2) == [(3, "2-1"), (4, "2-2")]
        assert (await house["q"].audit()).balanced
        assert house.disk.row(1).mark is None
    assert (script.openings, script.closed) == (2, 2)


async def test_an_advance_does_not_open_it_again(opened, search, script, tmp_path):
    async with opened({"q": search}, data=tmp_path) as house:
        await take(house["q"], 2)
        info = await house["q"].advance(10)
        assert (info.cursor, info.jumped) == (10, 8)
        assert await take(house["q"], 2) == [(11, "1-3"), (12, "1-4")]
        assert script.openings == 1
        with pytest.raises(QueueConflict):
            await house["q"].advance(11)
        assert (await house["q"].audit()).balanced


async def test_an_advance_loses_nothing_that_was_put_back(opened, search):
    async with opened({"q": search}) as house:
        house.disk.faults.append("absent")
        with pytest.raises(LedgerUnavailable):
            await house["q"].take(3)
        assert house["q"].stats().buffered == 3
        await house["q"].advance(10)
        assert await take(house["q"], 3) == [(11, "1-1"), (12, "1-2"), (13, "1-3")]
        assert await take(house["q"], 1) == [(14, "1-4")]


async def test_an_advance_that_does_not_reach_the_disk_neither(opened, search, script):
    async with opened({"q": search}) as house:
        assert await take(house["q"], 1) == [(1, "1-1")]
        house.disk.faults.append("absent")
        with pytest.raises(LedgerUnavailable):
            await house["q"].advance(10)
        assert await take(house["q"], 2) == [(2, "1-2"), (3, "1-3")]
        assert script.openings == 1


async def test_a_failed_one_is_run_anew_by_a_retry(opened, search, script):
    script.errors[3] = OSError("the API is down")
    async with opened({"q": search}) as house:
        assert await take(house["q"], 2) == [(1, "1-1"), (2, "1-2")]
        with pytest.raises(QueueFailed):
            await house["q"].take(1, wait=5)
        script.errors.clear()
        await house["q"].retry()
        assert await take(house["q"], 2) == [(3, "2-1"), (4, "2-2")]


async def test_one_that_has_ended_is_not_run_again(opened, search, stage, tmp_path):
    stage.script("s", [1])
    async with opened({"q": search}, data=tmp_path) as house:
        assert await take(house["q"], 2) == [(1, "1-1")]
    async with opened({"q": search}, data=tmp_path) as house:
        with pytest.raises(QueueExhausted):
            await house["q"].take(1)
    assert stage.scripts["s"].openings == 1
