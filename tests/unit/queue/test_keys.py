"""A key means one request: sent again after any failure it gets the same answer, and nothing more."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    KeyReused,
    SourceBusy,
)
from dibs.ledger.serve import Key
from dibs.sources import parse_source


def keyed(text: str) -> Key:
    return Key(text, "")


def handed(answer) -> tuple:
    return answer.queue, answer.first, list(answer.values)


async def test_the_same_key_at_once_is_one_draw(opened, stage, script):
    async with opened({"q": stage.spec()}) as house:
        script.door.shut()
        calls = [asyncio.ensure_future(house["q"].take(2, key="k", wait=5)) for _ in range(5)]
        await script.door.somebody()
        script.door.open()
        *older, last = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in older] == [SourceBusy] * 4  # one ask of a key is alive
        again = await house["q"].take(2, key="k")
        assert handed(again) == handed(last) == ("q", 1, ["1", "2"])
        assert (last.replayed, again.replayed) == (False, True)
        assert (await house["q"].audit()).cursor == 2


async def test_when_the_first_fails_the_second_runs(opened, stage, script):
    async with opened({"q": stage.spec()}, pull_patience=0.01) as house:
        script.door.shut()
        first = asyncio.ensure_future(house["q"].take(1, key="k"))
        await script.door.somebody()
        second = asyncio.ensure_future(house["q"].take(1, key="k", wait=5))
        with pytest.raises(SourceBusy):
            await first
        script.door.open()
        answer = await second
        assert (answer.first, answer.replayed) == (1, False)
        assert (await house["q"].audit()).cursor == 1


async def test_a_key_of_another_request_is_refused_in_flight_and_later(opened, stage, script):
    async with opened({"q": stage.spec(), "n": "count()"}) as house:
        script.door.shut()
        first = asyncio.ensure_future(house["q"].take(1, key="k", wait=5))
        await script.door.somebody()
        with pytest.raises(KeyReused) as caught:
            await house["q"].take(2, key="k")
        assert caught.value.field == "Idempotency-Key"
        script.door.open()
        await first
        for other in (house["q"].take(2, key="k"), house["q"].pause(key="k"), house["q"].advance(9, key="k")):
            with pytest.raises(KeyReused):
                await other
        await house["n"].block(5, key="k")  # a key belongs to its queue
        with pytest.raises(KeyReused):
            await house["n"].take(5, key="k")
        assert (await house["q"].audit()).cursor == 1


async def test_waiting_is_not_part_of_the_request(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(1, key="k", wait=3)
        assert (await house["q"].take(1, key="k", wait=0)).replayed


@pytest.mark.parametrize(
    "source", ["count()", "count(max=2**63-1)", 'count(format="N{}")', "staged", "uuid7()"]
)
async def test_a_replay_over_a_restart(opened, stage, script, source, tmp_path):
    define = {"q": stage.spec() if source == "staged" else source}
    async with opened(define, data=tmp_path) as house:
        first = await house["q"].take(3, key="k")
        await house["q"].take(3)
    async with opened(define, data=tmp_path) as house:
        again = await house["q"].take(3, key="k")
        assert (handed(again), again.replayed) == (handed(first), True)


async def test_a_block_is_replayed_as_a_block(opened, tmp_path):
    async with opened({"q": "count(step=5)", "w": "count(max=2**63-1)"}, data=tmp_path) as house:
        blocks = [await house[name].block(1000, key="k") for name in "qw"]
    async with opened(data=tmp_path) as house:
        for name, block in zip("qw", blocks, strict=True):
            again = await house[name].block(1000, key="k")
            assert again.replayed
            assert (again.spans, again.values, again.size) == (block.spans, block.values, 1000)


async def test_a_cancelled_caller_finds_its_answer_by_its_key(opened):
    """Its op was in the line: it can't be withdrawn, so the key says what came of it."""
    async with opened({"q": "count()"}) as house:
        house.disk.door.shut()
        call = asyncio.ensure_future(house["q"].take(2, key="k"))
        await house.disk.door.somebody()
        call.cancel()
        await asyncio.wait([call])
        retry = asyncio.ensure_future(house["q"].take(2, key="k"))
        await asyncio.sleep(0)
        assert not retry.done()  # the key is held until the op is settled
        house.disk.door.open()
        answer = await retry
        assert (answer.first, answer.size, answer.replayed) == (1, 2, True)
        assert (await house["q"].audit()).cursor == 2


async def test_a_caller_that_is_cancelled_in_the_pull_has_drawn_nothing(opened, stage, script):
    async with opened({"q": stage.spec()}) as house:
        script.door.shut()
        call = asyncio.ensure_future(house["q"].take(2, key="k"))
        await script.door.somebody()
        call.cancel()
        await asyncio.wait([call])
        script.door.open()
        answer = await house["q"].take(2, key="k")
        assert (answer.first, answer.replayed) == (1, False)


# -- operations have keys too


async def test_operations_are_done_once(opened):
    async with opened({"q": "count()"}) as house:
        done = [
            await house["q"].pause(key="p"),
            await house["q"].resume(key="r"),
            await house["q"].pause(key="p"),  # a retry that comes late: it does not pause again
        ]
        assert [info.replayed for info in done] == [False, False, True]
        assert (await house["q"].take(1)).first == 1
        await house["q"].close(key="c")
        again = await house["q"].close(key="c")
        assert (again.state, again.replayed) == ("closed", True)


async def test_deletions_are_made_once_and_a_late_retry_spares_the_queue_that_came_after(opened):
    async with opened({"q": "count()"}) as house:
        assert not (await house.queues.delete("q", key=keyed("d"))).replayed
        assert (await house.queues.delete("q", key=keyed("d"))).replayed
        await house.queues.define("q", parse_source("count()"))
        assert (await house.queues.delete("q", key=keyed("d"))).replayed
        assert (await house["q"].take(1, wait=5)).first == 1
