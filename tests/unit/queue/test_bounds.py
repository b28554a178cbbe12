"""How much one answer holds: the count, the bytes, the seconds that a slow source may take."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from dibs.errors import NotArithmetic, QueueExhausted, SourceBusy
from dibs.queue import buffer
from dibs.queue import pull as pull_module


async def all_of(queue, count: int = 10_000) -> list[list[str]]:
    """Answers until there is nothing more."""
    answers = []
    with suppress(QueueExhausted):
        while True:
            answers.append(list((await queue.take(count)).values))
    return answers


def sizes(answers) -> list[int]:
    return [sum(len(text.encode()) for text in answer) for answer in answers]


@pytest.mark.parametrize(
    "values",
    [
        ["x" * 28] * 20,
        ["x"] * 50 + ["y" * 58] * 50,  # what came before does not tell what comes
        ["y" * 58] * 3 + ["x"] * 60,
        ["x" * 98, "y", "z" * 98],
        ["ä" * 14] * 20,  # bytes, not characters
    ],
    ids=["even", "growing", "shrinking", "at the limit", "umlauts"],
)
async def test_an_answer_stops_at_the_limit_of_bytes_and_the_rest_goes_to_the_next(opened, stage, values):
    stage.script("s", values)
    async with opened({"q": stage.spec()}, handout_bytes=100) as house:
        answers = await all_of(house["q"])
    assert [text for answer in answers for text in answer] == [f'"{value}"' for value in values]
    assert max(sizes(answers)) <= 100
    assert min(map(len, answers)) >= 1


async def test_one_item_goes_out_however_large_it_is(opened, stage):
    stage.script("s", ["x" * 500, "y", "z" * 500])
    async with opened({"q": stage.spec()}, handout_bytes=100) as house:
        answers = await all_of(house["q"])
    assert [len(answer) for answer in answers] == [1, 1, 1]


async def test_what_is_drawn_beyond_the_bytes_is_bounded(opened, stage, monkeypatch):
    """Memory: a source whose values grow suddenly is asked for no more than a few of these."""
    monkeypatch.setattr(buffer, "PULL_BYTES", 50_000)
    script = stage.script("s", ["x"] * 5_000 + ["y" * 1_000] * 5_000)
    async with opened({"q": stage.spec()}, handout_bytes=50_000) as house:
        await house["q"].take(10_000)
        assert script.pulls < 5_000 + 200


async def test_the_rest_goes_out_in_order_when_many_ask(opened, stage):
    stage.script("s", [f"{n:030}" for n in range(200)])
    async with opened({"q": stage.spec()}, handout_bytes=100) as house:
        answers = await asyncio.gather(*(house["q"].take(5) for _ in range(60)))
        for answer in answers:
            assert list(answer.values) == [f'"{answer.first - 1 + n:030}"' for n in range(answer.size)]
        seqs = sorted(seq for answer in answers for seq in answer.seqs)
        assert seqs == list(range(1, len(seqs) + 1))


async def test_an_end_behind_a_rest_is_told_when_the_rest_is_gone(opened, stage):
    stage.script("s", ["x" * 60] * 3)
    async with opened({"q": stage.spec()}, handout_bytes=100) as house:
        for seq in (1, 2, 3):
            assert house["q"].info().state == "open"
            assert (await house["q"].take(9)).first == seq
        with pytest.raises(QueueExhausted):
            await house["q"].take(9)


async def test_numbers_are_not_cut(opened):
    async with opened({"q": "count()"}, handout_bytes=100) as house:
        assert (await house["q"].take(10_000)).size == 10_000


class Clock:
    """Moves by what each pull costs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("cost", "given"), [(0.0, 100), (0.001, 100), (0.1, 8), (1.0, 2)])
async def test_a_slow_source_gives_a_short_answer_not_a_late_one(opened, stage, monkeypatch, cost, given):
    clock = Clock()
    monkeypatch.setattr(pull_module, "perf_counter", clock)

    class Slow(list):
        def __getitem__(self, at):
            return (self.tick(value) for value in list.__getitem__(self, at))

        def tick(self, value):
            clock.now += cost
            return value

    stage.script("s", Slow(range(1, 1000)))
    async with opened({"q": stage.spec()}) as house:
        taken = await house["q"].take(100)
        assert taken.size <= given if cost else taken.size == 100
        assert taken.size >= 1
        later = await house["q"].take(1)
        assert later.first == taken.size + 1
        assert clock.now <= 0.25 + max(2, 2 * taken.size) * cost


# -- blocks


async def test_a_block_is_the_bounds_of_consecutive_numbers(opened):
    async with opened({"q": "count(start=7, step=3)"}) as house:
        assert (await house["q"].take(2)).first == 1
        block = await house["q"].block(1_000_000)
        assert (block.first, block.size) == (3, 1_000_000)
        assert block.values == range(13, 13 + 3 * 1_000_000, 3)
        assert (await house["q"].take(1)).first == 1_000_003


async def test_a_block_downwards_and_a_wide_one(opened):
    async with opened({"down": "range(5, -5, -2)", "wide": "count(start=2**60, max=2**63-1)"}) as house:
        down = await house["down"].block(100)
        assert (down.values, down.size, down.state) == (range(5, -5, -2), 5, "exhausted")
        wide = await house["wide"].block(2)
        assert wide.values == range(2**60, 2**60 + 2)
        assert list((await house["wide"].take(1)).values) == [f'"{2**60 + 2}"']


@pytest.mark.parametrize("source", ["staged", 'count(format="{}")', "grid(a=[1,2])", "uuid7()"])
async def test_only_a_source_that_counts_gives_blocks(opened, stage, script, source):
    async with opened({"q": stage.spec() if source == "staged" else source}) as house:
        with pytest.raises(NotArithmetic):
            await house["q"].block(1)
        assert (await house["q"].audit()).cursor == 0


# -- threads


async def test_a_source_that_sleeps_holds_up_its_own_queue_only(opened, stage, script):
    async with opened({"slow": stage.spec(), "quick": "count()"}, threads=2) as house:
        script.door.shut()
        stuck = [asyncio.ensure_future(house["slow"].take(1, wait=5)) for _ in range(8)]
        await script.door.somebody()
        answers = await asyncio.gather(*(house["quick"].take(1) for _ in range(50)))
        assert sorted(answer.first for answer in answers) == list(range(1, 51))
        assert house["slow"].stats().threads <= 2
        assert not any(task.done() for task in stuck)
        script.door.open()
        assert sorted([(await task).first for task in stuck]) == list(range(1, 9))


async def test_more_requests_than_may_wait_for_a_thread_are_refused_with_a_time_to_come_back(
    opened, stage, script, eventually
):
    async with opened({"q": stage.spec()}, threads=1, waiting=3) as house:
        script.door.shut()
        first = asyncio.ensure_future(house["q"].take(1, wait=5))
        await script.door.somebody()
        queued = [asyncio.ensure_future(house["q"].take(1, wait=5)) for _ in range(2)]
        await eventually(lambda: house["q"].stats().waiting == 3)
        with pytest.raises(SourceBusy) as caught:
            await house["q"].take(1, wait=5)
        assert caught.value.retry_after
        script.door.open()
        assert sorted([(await task).first for task in [first, *queued]]) == [1, 2, 3]
