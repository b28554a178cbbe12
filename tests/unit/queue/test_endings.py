"""Exhausted, failed and closed: each ends a queue in its own way, and is never taken for another."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    LedgerError,
    QueueConflict,
    QueueExhausted,
    QueueFailed,
    QueueStarting,
    Refused,
)


def texts(taken) -> list[str]:
    return list(taken.values)


@pytest.mark.parametrize("spec", ["range(5)", "staged", 'count(start=0, max=4, format="{}")'])
async def test_a_source_that_ends_short_of_the_count_gives_what_is_left_and_says_so(opened, stage, spec):
    stage.script("s", range(5))
    async with opened({"q": stage.spec() if spec == "staged" else spec}) as house:
        taken = await house["q"].take(9)
        assert (taken.state, taken.first, taken.size) == ("exhausted", 1, 5)
        assert house["q"].info().state == "exhausted"
        assert (await asyncio.gather(house["q"].take(1), return_exceptions=True))[0].retry_after is None


async def test_an_empty_source_is_exhausted_at_zero(opened):
    async with opened({"q": "range(0)"}) as house:
        with pytest.raises(QueueExhausted):
            await house["q"].take(1)
        assert (house["q"].info().state, house["q"].info().cursor) == ("exhausted", 0)


@pytest.mark.parametrize("callers", [1, 6])
async def test_many_callers_at_the_end_share_what_is_left(opened, stage, callers):
    stage.script("s", range(10))
    async with opened({"q": stage.spec()}) as house:
        answers = await asyncio.gather(*(house["q"].take(4) for _ in range(callers)), return_exceptions=True)
        answers += await asyncio.gather(*(house["q"].take(4) for _ in range(4)), return_exceptions=True)
        given = [answer for answer in answers if not isinstance(answer, Exception)]
        assert sorted(seq for a in given for seq in a.seqs) == list(range(1, 11))
        refused = {type(answer) for answer in answers if isinstance(answer, Exception)}
        assert refused == {QueueExhausted}
        assert house["q"].info().state == "exhausted"


async def test_an_end_stays_over_a_restart(opened, tmp_path):
    async with opened({"q": "range(2)"}, data=tmp_path) as house:
        await house["q"].take(5)
    async with opened(data=tmp_path) as house:
        with pytest.raises(QueueExhausted):
            await house["q"].take(1)


# -- failed


@pytest.mark.parametrize("at", [1, 2, 4, 8])
@pytest.mark.parametrize("count", [1, 3, 100])
async def test_a_source_that_raises_at_item_k_gives_exactly_what_came_before(
    opened, stage, script, at, count
):
    script.errors[at] = ValueError("item is bad")
    async with opened({"q": stage.spec()}) as house:
        got: list[str] = []
        while len(got) < at - 1:
            got += texts(await house["q"].take(count))
        assert got == [str(seq) for seq in range(1, at)]
        with pytest.raises(QueueFailed) as caught:
            await house["q"].take(count)
        error = caught.value
        assert (error.cause_type, error.cause_message, error.seq) == ("ValueError", "item is bad", at)
        assert error.retry_after is None
        info = house["q"].info()
        assert (info.state, info.cursor, info.taken) == ("failed", at - 1, at - 1)
        assert (info.failure.type, info.failure.message, info.failure.seq) == (
            "ValueError",
            "item is bad",
            at,
        )
        assert house["q"].stats().failure == info.failure


async def test_the_last_answer_before_a_failure_says_so(opened, stage, script):
    script.errors[3] = ValueError("no")
    async with opened({"q": stage.spec()}) as house:
        assert (await house["q"].take(100)).state == "failed"


async def test_a_failure_stays_over_a_restart_and_the_source_is_not_even_opened(
    opened, stage, script, tmp_path
):
    script.errors[3] = ValueError("item is bad")
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(5)
    assert script.openings == 1
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        with pytest.raises(QueueFailed, match="item is bad") as caught:
            await house["q"].take(1)
        assert caught.value.seq == 3
    assert script.openings == 1


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_retry_goes_on_after_the_cursor(opened, stage, script, resumed):
    script.errors[3] = ValueError("item is bad")
    async with opened({"q": stage.spec(resumed=resumed)}) as house:
        await house["q"].take(5)
        del script.errors[3]
        info = await house["q"].retry()
        assert info.state in ("open", "starting")
        assert texts(await house["q"].take(2, wait=5)) == ["3", "4"]


@pytest.mark.parametrize("resumed", [False, True])
async def test_a_retry_after_a_restart_does_too(opened, stage, script, tmp_path, resumed):
    script.errors[3] = ValueError("item is bad")
    spec = stage.spec(resumed=resumed)
    async with opened({"q": spec}, data=tmp_path) as house:
        await house["q"].take(5)
    async with opened({"q": spec}, data=tmp_path) as house:
        del script.errors[3]
        await house["q"].retry()
        assert texts(await house["q"].take(2, wait=5)) == ["3", "4"]


async def test_a_retry_that_fails_again_is_failed_again(opened, stage, script):
    script.errors[3] = ValueError("bad")
    async with opened({"q": stage.spec()}) as house:
        await house["q"].take(5)
        for _ in range(2):
            await house["q"].retry()
            with pytest.raises(QueueFailed):
                await house["q"].take(1, wait=5)
        assert house["q"].info().cursor == 2


async def test_a_source_that_changed_is_failed_as_such(opened, stage, script, tmp_path):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(3)
    script.values = [1, 2, "other", 4]
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        with pytest.raises(QueueFailed) as caught:
            await house["q"].take(1, wait=5)
        assert (caught.value.cause_type, caught.value.seq) == ("source-changed", 4)
        script.values = range(1, 9)
        await house["q"].retry()
        assert texts(await house["q"].take(1, wait=5)) == ["4"]


@pytest.mark.parametrize("value", [float("nan"), 2**53, "\ud800", object(), {1: 2}])
async def test_a_value_that_json_can_not_carry_fails_the_source_at_its_seq(opened, stage, value):
    stage.script("s", ["a", value, "c"])
    async with opened({"q": stage.spec()}) as house:
        taken = await house["q"].take(9)
        assert (texts(taken), taken.state) == (['"a"'], "failed")
        assert house["q"].info().failure.type == "ValueRefused"


class Speechless(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "error", [Speechless(), ValueError("\ud800"), ValueError("x" * 10**7), ValueError(), SystemExit(3)]
)
async def test_whatever_the_cause_says_the_items_before_it_are_given(opened, stage, script, error):
    script.errors[3] = error
    async with opened({"q": stage.spec()}) as house:
        assert texts(await house["q"].take(9)) == ["1", "2"]
        with pytest.raises(QueueFailed) as caught:
            await house["q"].take(1)
        assert caught.value.cause_type == type(error).__name__
        assert len(str(caught.value)) < 10_000


async def test_only_a_failed_queue_is_retried(opened):
    async with opened({"q": "range(1)"}) as house:
        with pytest.raises(QueueConflict) as caught:
            await house["q"].retry()
        assert caught.value.reason == "not-failed"
        await house["q"].take(2)
        with pytest.raises(QueueConflict):
            await house["q"].retry()


async def test_two_retries_at_once_are_one(opened, stage, script, eventually):
    script.errors[1] = ValueError("bad")
    async with opened({"q": stage.spec()}) as house:
        with pytest.raises(QueueFailed):
            await house["q"].take(1)
        del script.errors[1]
        answers = await asyncio.gather(house["q"].retry(), house["q"].retry(), return_exceptions=True)
        assert not any(isinstance(answer, LedgerError) for answer in answers)
        assert texts(await house["q"].take(1, wait=5)) == ["1"]
        assert script.openings == 2


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_retry_whose_commit_fails_leaves_a_queue_that_can_be_used(opened, stage, script, fault):
    script.errors[1] = ValueError("bad")
    async with opened({"q": stage.spec()}) as house:
        with pytest.raises(QueueFailed):
            await house["q"].take(1)
        del script.errors[1]
        house.disk.faults.append(fault)
        if fault == "absent":
            with pytest.raises(LedgerError):
                await house["q"].retry()
            with pytest.raises(QueueFailed):
                await house["q"].take(1)
        await house["q"].retry()
        assert texts(await house["q"].take(1, wait=5)) == ["1"]


@pytest.mark.parametrize("ending", ["exhausted", "failed"])
async def test_an_outcome_older_than_an_ending_does_not_lift_it(opened, stage, eventually, ending):
    """A resume and the draw that meets the end share a commit; the resume's row is of before the end."""
    script = stage.script("s", [1, 2, 3] if ending == "failed" else [1, 2])
    script.errors = {3: ValueError("bad")}
    async with opened({"q": stage.spec(), "other": "count()"}) as house:
        house.disk.door.shut()
        first = asyncio.ensure_future(house["other"].take(1))
        await house.disk.door.somebody()
        taking = asyncio.ensure_future(house["q"].take(5, wait=5))
        await eventually(lambda: script.closed and not house["q"].line.feeder.pulling)
        resuming = asyncio.ensure_future(house["q"].resume())
        await eventually(lambda: house.in_line == 1)
        house.disk.door.open()
        await asyncio.gather(first, resuming)
        assert (await taking).state == ending
        assert [type(op).__name__ for op in house.disk.batches[-1]] == ["Pause", "Serve"]
        assert house["q"].stats().state == ending
        with pytest.raises(Refused):
            await house["q"].take(1)
        assert script.openings == 1


async def test_while_its_source_is_replayed_a_queue_is_starting(opened, stage, script, tmp_path):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(3, wait=5)
    script.door.shut()
    async with opened({"q": stage.spec()}, data=tmp_path, start_patience=0) as house:
        assert house["q"].info().state == "starting"
        with pytest.raises(QueueStarting) as caught:
            await house["q"].take(1)
        assert caught.value.retry_after
        waiting = asyncio.ensure_future(house["q"].take(1, wait=5))
        await asyncio.sleep(0)
        script.door.open()
        assert texts(await waiting) == ["4"]
