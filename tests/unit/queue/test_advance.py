"""A jump forward: what lies between counts as jumped; a jump that does not reach the disk did not happen."""

from __future__ import annotations

import asyncio
import itertools
import sys

import pytest
from dibs.errors import (
    LedgerError,
    LedgerUnavailable,
    QueueConflict,
    QueueExhausted,
    QueueFailed,
    SourceBusy,
)
from dibs.ledger.ops import Advance
from dibs.queue.answers import LeaseAsk
from dibs.sources import MAX_SEQ, Registry, SourceSpec


async def next_item(queue) -> tuple[int, str]:
    taken = await queue.take(1, wait=5)
    return taken.first, str(taken.values[0]).strip('"')


SOURCES = ["count", "formatted", "range", "replayed", "resumed"]


@pytest.fixture(params=SOURCES)
def spec(request, stage, script):
    """1, 2, 3… from each kind of source that can be opened anywhere."""
    return {
        "count": "count()",
        "formatted": 'count(format="{}")',
        "range": "range(1, 1000)",
        "replayed": stage.spec(),
        "resumed": stage.spec(resumed=True),
    }[request.param]


async def test_a_jump_goes_on_behind_its_seq_and_counts_what_it_left_out(opened, spec, tmp_path):
    async with opened({"q": spec}, data=tmp_path) as house:
        await house["q"].take(3)
        info = await house["q"].advance(10)
        assert (info.cursor, info.taken, info.jumped) == (10, 3, 7)
        assert await next_item(house["q"]) == (11, "11")
        assert (await house["q"].audit()).balanced
    async with opened({"q": spec}, data=tmp_path) as house:
        assert await next_item(house["q"]) == (12, "12")


async def test_a_restart_right_behind_a_jump(opened, spec, tmp_path):
    async with opened({"q": spec}, data=tmp_path) as house:
        await house["q"].take(3)
        await house["q"].advance(10)
    async with opened({"q": spec}, data=tmp_path) as house:
        assert await next_item(house["q"]) == (11, "11")


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_jump_whose_commit_fails_happened_or_did_not(opened, spec, fault):
    async with opened({"q": spec}) as house:
        await house["q"].take(3)
        house.disk.faults.append(fault)
        if fault == "present":
            assert (await house["q"].advance(10)).cursor == 10
            assert await next_item(house["q"]) == (11, "11")
        else:
            with pytest.raises(LedgerUnavailable):
                await house["q"].advance(10)
            assert await next_item(house["q"]) == (4, "4")
        assert (await house["q"].audit()).balanced


async def test_a_draw_behind_a_jump_that_fails_with_it(opened, spec, eventually):
    """They are absent together: then 1, 2, 3 come, without an error in between."""
    async with opened({"q": spec, "other": "count()"}) as house:
        house.disk.door.shut()
        first = asyncio.ensure_future(house["other"].take(1))
        await house.disk.door.somebody()
        calls = [asyncio.ensure_future(house["q"].advance(10))]
        await eventually(lambda: house.in_line >= 1)
        calls.append(asyncio.ensure_future(house["q"].take(1, key="k")))
        await eventually(lambda: house.in_line >= 2)
        house.disk.faults += [None, "absent"]
        house.disk.door.open()
        await first
        for call in calls:
            with pytest.raises(LedgerError):
                await call
        assert [await next_item(house["q"]) for _ in range(3)] == [(1, "1"), (2, "2"), (3, "3")]


@pytest.mark.parametrize("to_seq", [0, 1, 3])
async def test_it_goes_forward_only(opened, to_seq):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        with pytest.raises(QueueConflict) as caught:
            await house["q"].advance(to_seq)
        assert (caught.value.reason, caught.value.field) == ("not-forward", "to_seq")
        assert await next_item(house["q"]) == (4, "4")


@pytest.mark.parametrize("source", ["range(5)", "staged", 'count(max=5, format="{}")'])
async def test_it_does_not_go_beyond_the_end(opened, stage, source):
    stage.script("s", range(5))
    async with opened({"q": stage.spec() if source == "staged" else source}) as house:
        await house["q"].take(1)
        with pytest.raises(QueueConflict) as caught:
            await house["q"].advance(6)
        assert caught.value.reason == "beyond-end"
        assert (await house["q"].take(1)).first == 2


@pytest.mark.parametrize(
    "source",
    [
        "count(max=2**63-1)",
        "range(2**60)",
        'count(max=2**63-1, format="{:d}")',
        "uuid7()",
        "snowflake(1)",
        "at",
    ],
)
async def test_every_queue_ends_at_the_largest_seq_that_json_keeps(opened, stage, source, monkeypatch):
    if source == "at":
        source = SourceSpec("staged:at")
        monkeypatch.setattr(
            sys.modules["staged"], "at", lambda resume_at: itertools.repeat("x"), raising=False
        )
    async with opened({"q": source}) as house:
        queue = house["q"]
        await queue.advance(MAX_SEQ - 2)
        taken = await queue.take(5, wait=5)
        assert (taken.first, taken.size, taken.state) == (MAX_SEQ - 1, 2, "exhausted")
        with pytest.raises(QueueExhausted):
            await queue.take(1)
        with pytest.raises(QueueExhausted):
            await queue.lease(LeaseAsk(5))
        assert queue.info().cursor == MAX_SEQ


async def test_to_the_very_end_is_forward(opened):
    async with opened({"q": "range(5)"}) as house:
        assert (await house["q"].advance(5)).jumped == 5
        with pytest.raises(QueueExhausted):
            await house["q"].take(1)


async def test_a_source_that_raises_on_the_way_is_not_harmed(opened, stage, script):
    script.errors[5] = ValueError("bad")
    async with opened({"q": stage.spec()}) as house:
        await house["q"].take(1)
        with pytest.raises(QueueConflict, match="ValueError"):
            await house["q"].advance(8)
        assert await next_item(house["q"]) == (2, "2")


async def test_an_ended_queue_is_not_advanced(opened, stage, script):
    script.errors[1] = ValueError("bad")
    async with opened({"q": stage.spec(), "closed": "count()"}) as house:
        with pytest.raises(QueueFailed):
            await house["q"].take(1)
        with pytest.raises(QueueFailed):
            await house["q"].advance(8)
        await house["closed"].close()
        with pytest.raises(QueueExhausted):
            await house["closed"].advance(8)


async def test_a_paused_queue_may_be_advanced(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].pause()
        assert (await house["q"].advance(8)).state == "paused"
        await house["q"].resume()
        assert await next_item(house["q"]) == (9, "9")


async def test_a_replay_that_takes_too_long_is_given_up_and_nothing_was_changed(opened, stage, script, clock):
    async with opened({"q": stage.spec()}, operate_patience=20) as house:
        assert await next_item(house["q"]) == (1, "1")
        script.door.shut()
        advancing = asyncio.ensure_future(house["q"].advance(10**6))
        await script.door.somebody()
        clock.skip(20)
        for _ in range(2):  # the timer comes in the first turn
            await asyncio.sleep(0)
        script.door.open()
        with pytest.raises(SourceBusy):
            await advancing
        assert await next_item(house["q"]) == (2, "2")


async def test_while_a_jump_replays_the_source_that_is_there_goes_on_giving(opened, stage, script):
    async with opened({"q": stage.spec()}) as house:
        assert await next_item(house["q"]) == (1, "1")
        script.start_door.shut()
        advancing = asyncio.ensure_future(house["q"].advance(10))
        await script.start_door.somebody()
        assert await next_item(house["q"]) == (2, "2")
        script.start_door.open()
        assert (await advancing).jumped == 8
        assert await next_item(house["q"]) == (11, "11")


async def test_takes_at_the_same_time_lie_before_or_behind_and_none_is_refused(opened, spec):
    async with opened({"q": spec}) as house:
        calls = [house["q"].take(1, wait=5) for _ in range(20)] + [house["q"].advance(100)]
        calls += [house["q"].take(1, wait=5) for _ in range(20)]
        answers = await asyncio.gather(*calls)
        firsts = sorted(answer.first for answer in answers if hasattr(answer, "first"))
        before = [first for first in firsts if first <= 100]
        behind = [first for first in firsts if first > 100]
        assert before == list(range(1, len(before) + 1))
        assert behind == list(range(101, 101 + len(behind)))
        assert (await house["q"].audit()).balanced
        assert len(house.disk.ops(Advance)) == 1


@pytest.mark.parametrize("source", ["snowflake(1)", "uuid7()"])
async def test_identifiers_are_never_given_again_after_a_jump(opened, source, tmp_path):
    """Even if the clock stands still, and over a restart right behind the jump."""
    still = Registry(clock=lambda: 1_750_000_000_000_000_000, random_bits=lambda bits: 0)
    got: list[str] = []
    for life in range(2):
        async with opened({"q": source}, data=tmp_path, sources=still) as house:
            for step in range(1, 4):
                got += (await house["q"].take(3, wait=5)).values
                await house["q"].advance(100 * (3 * life + step))
    assert len(set(got)) == 18
    assert got == sorted(got)


async def test_with_a_key_it_is_done_once(opened):
    async with opened({"q": "count()"}) as house:
        first = await house["q"].advance(8, key="k")
        await house["q"].take(1)
        again = await house["q"].advance(8, key="k")
        assert (again.replayed, again.cursor, again.jumped) == (True, 8, 8)
        assert not first.replayed
        assert (await house["q"].take(1)).first == 10
