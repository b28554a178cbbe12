"""All the queues of one ledger: defining, deleting, coming back; configuration; copies; going down."""

from __future__ import annotations

import asyncio
import importlib

import pytest
from dibs.errors import (
    ConfigError,
    QueueConflict,
    QueueExhausted,
    QueueFailed,
    QueueUnknown,
)
from dibs.ledger.ops import Define
from dibs.queue.answers import LeaseAsk
from dibs.queue.definition import KEPT
from dibs.sources import parse_source

COUNT, RANGE = parse_source("count()"), parse_source("range(100)")


def names(house) -> list[str]:
    return [queue.name for queue in house.queues.list()]


async def first_of(queue, **options) -> int:
    return (await queue.take(1, **{"wait": 5, **options})).first


# -- which there are


async def test_the_same_definition_again_finds_the_queue_as_it_is(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        info = await house.queues.define("q", parse_source("count(start=1)"))
        assert (info.created, info.cursor) == (False, 3)
        assert len(house.disk.ops(Define)) == 1


# -- definitions that change


async def test_where_nothing_was_handed_out_a_definition_may_change(opened):
    async with opened({"q": "count()"}) as house:
        info = await house.queues.define("q", RANGE)
        assert (info.source, info.created, info.generation) == ("range", True, 1)
        assert list((await house["q"].take(2, wait=5)).values) == [0, 1]


async def test_a_first_take_that_is_not_on_disk_yet_counts_as_handed_out(opened):
    async with opened({"q": "count()"}) as house:
        house.disk.door.shut()
        taking = asyncio.ensure_future(house["q"].take(1))
        await house.disk.door.somebody()
        defining = asyncio.ensure_future(house.queues.define("q", RANGE))
        house.disk.door.open()
        with pytest.raises(QueueConflict) as caught:
            await defining
        assert caught.value.reason == "source-changed"
        assert (await taking).first == 1
        assert await first_of(house["q"]) == 2


async def test_many_definitions_of_one_name_at_once_make_one_queue(opened):
    async with opened() as house:
        infos = await asyncio.gather(*(house.queues.define("q", COUNT) for _ in range(10)))
        assert [info.created for info in infos].count(True) == 1
        answers = await asyncio.gather(*(house["q"].take(1, wait=5) for _ in range(10)))
        assert sorted(answer.first for answer in answers) == list(range(1, 11))


# -- deleting


async def test_a_deleted_queue_is_gone_and_comes_back_behind_its_cursor(opened, tmp_path):
    async with opened({"q": "count()"}, data=tmp_path) as house:
        queue = house["q"]
        await queue.take(3)
        info = await house.queues.delete("q")
        assert (info.queue, info.cursor) == ("q", 3)
        assert names(house) == []
        for call in (queue.take(1, wait=5), queue.pause(), queue.delete(), house.queues.delete("q")):
            with pytest.raises(QueueUnknown):
                await call
        with pytest.raises(QueueUnknown):
            queue.info()
    async with opened(data=tmp_path) as house:  # over a restart too
        assert names(house) == []
        info = await house.queues.define("q", COUNT)
        assert (info.created, info.cursor, info.generation) == (True, 3, 1)
        assert await first_of(house["q"]) == 4


async def test_statistics_asked_for_in_the_moment_of_a_deletion(opened, eventually):
    """It is on disk, and the loop has not heard of it yet."""
    async with opened({"q": "count()", "other": "count()"}) as house:
        house.disk.door.shut()
        deleting = asyncio.ensure_future(house.queues.delete("q"))
        await house.disk.door.somebody()
        house.disk.door.open()
        while house.disk.row(1).deleted_at is None:  # the loop has no turn meanwhile
            pass
        assert "other" in [stats.queue for stats in (await house.queues.stats()).queues]
        await deleting
        assert [stats.queue for stats in (await house.queues.stats()).queues] == ["other"]


async def test_a_caller_of_delete_or_define_that_is_cancelled_leaves_a_house_in_order(opened):
    """The op was in the line: what the ledger says decides, whoever waits."""
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        for call, left in (
            (house.queues.delete("q"), []),
            (house.queues.define("q", COUNT), ["q"]),
            (house.queues.define("q", RANGE, reset=True), ["q"]),
            (house.queues.define("new", COUNT), ["new", "q"]),
        ):
            house.disk.door.shut()
            task = asyncio.ensure_future(call)
            await house.disk.door.somebody()
            task.cancel()
            await asyncio.wait([task])
            house.disk.door.open()
            await house.queues.define("probe", COUNT)  # a commit later
            await house.queues.delete("probe")
            assert names(house) == left
        assert house["q"].info().source == "range"
        assert list((await house["q"].take(2, wait=5)).values) == [0, 1]
        await house.queues.stats()


# -- configuration


async def test_the_configuration_may_name_functions_of_the_user(opened, stage, script, tmp_path):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        assert await first_of(house["q"]) == 1
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        assert await first_of(house["q"]) == 2
        assert len(house.disk.ops(Define)) == 0


@pytest.mark.parametrize("changed", ["count()", "nosuch()", "nosuch:function(1)", None])
async def test_a_source_that_changed_fails_its_queue_and_no_other(opened, tmp_path, changed):
    async with opened({"q": "count()"}, data=tmp_path):
        pass
    async with opened({"q": "range(50)"}, data=tmp_path) as house:  # nothing was handed out: it may
        await house["q"].take(1)
        await house["q"].lease(LeaseAsk(1))
    for _ in range(2):  # it stays so
        async with opened({"q": changed, "other": "count()"}, data=tmp_path) as house:
            assert await first_of(house["other"])
            with pytest.raises(QueueFailed) as caught:
                await house["q"].take(1)
            assert (caught.value.cause_type, caught.value.seq) == ("source-changed", 3)
            assert "dibs retry q" in caught.value.cause_message
            assert "POST /queues/q/retry" in caught.value.cause_message
            info = house["q"].info()
            assert (info.source, info.leased, info.configured) == ("range", 1, "file")
    async with opened({"q": "range(50)"}, data=tmp_path) as house:  # the old one is back, and it goes on
        assert await first_of(house["q"]) == 3
        assert house["q"].info().failure is None


async def test_a_source_that_changed_goes_on_as_it_was_where_that_is_meant(opened, tmp_path):
    async with opened({"q": "count()"}, data=tmp_path) as house:
        await house["q"].take(2)
    async with opened({"q": "count(start=100)"}, data=tmp_path) as house:
        await house["q"].retry()
        assert await first_of(house["q"], wait=5) == 3
    async with opened({"q": "count(start=100)"}, data=tmp_path) as house:
        assert house["q"].info().failure.type == "source-changed"
        await house["q"].delete()
    async with opened({"q": "count(start=100)"}, data=tmp_path) as house:
        assert (await house["q"].take(1)).values[0] == 103


async def test_an_ended_source_that_changed_has_failed_and_a_closed_queue_stays_closed(opened, tmp_path):
    async with opened({"ended": "range(2)", "closed": "count()"}, data=tmp_path) as house:
        for _ in range(2):
            await house["ended"].take(1)
        with pytest.raises(QueueExhausted):
            await house["ended"].take(1)
        await house["closed"].take(1)
        await house["closed"].close()
    async with opened({"ended": "range(3)", "closed": "range(4)"}, data=tmp_path) as house:
        assert house["ended"].info().failure.type == "source-changed"
        assert house["closed"].info().state == "closed"
    async with opened({"ended": "nosuch()", "closed": "nosuch()"}, data=tmp_path) as house:
        assert [house[name].info().state for name in ("ended", "closed")] == ["failed", "closed"]


async def test_a_queue_that_left_the_configuration_stays_and_is_told(opened, tmp_path, caplog):
    async with opened({"q": "count()"}, data=tmp_path) as house:
        assert house["q"].info().configured == "file"
        await house["q"].take(2)
        assert (await house.queues.define("http", None)).configured == "http"
    assert "configuration" not in caplog.text
    async with opened({"other": "count()"}, data=tmp_path) as house:
        assert names(house) == ["http", "other", "q"]
        assert [house[name].info().configured for name in names(house)] == ["http", "file", "gone"]
        assert await first_of(house["q"]) == 3
        assert "queue q is no longer in the configuration" in caplog.text
        assert "`dibs delete q`" in caplog.text
        assert "queue http" not in caplog.text
        kept = await house.queues.define("q", KEPT)
        assert (kept.configured, kept.source, kept.cursor) == ("http", "count", 3)
    caplog.clear()
    async with opened({"other": "count()"}, data=tmp_path) as house:
        assert house["q"].info().configured == "http"
    assert caplog.text == ""


async def test_a_queue_that_comes_back_into_the_configuration_is_of_it_again(opened, tmp_path):
    for define, configured in (({"q": "count()"}, "file"), ({}, "gone"), ({"q": "count()"}, "file")):
        async with opened(define, data=tmp_path) as house:
            assert house["q"].info().configured == configured
            await house["q"].take(1)


WRONG = ["nosuch()", "count(step=0)", "nosuch:function(1, n=2)", "count(stop=3)", "lines('nowhere.txt')"]


@pytest.mark.parametrize("spec", WRONG)
async def test_a_source_of_the_configuration_that_is_wrong_is_named(opened, spec):
    with pytest.raises(ConfigError, match="queue bad"):
        async with opened({"bad": spec}):
            pass


@pytest.mark.parametrize("spec", WRONG)
async def test_a_wrong_source_of_the_configuration_fails_its_queue_and_no_other(opened, spec, tmp_path):
    for _ in range(2):
        async with opened({"bad": spec, "good": "count()"}, data=tmp_path) as house:
            assert await first_of(house["good"])
            with pytest.raises(QueueFailed) as caught:
                await house["bad"].take(1)
            assert (caught.value.cause_type, caught.value.seq) == ("source-invalid", 1)
            assert "dibs retry bad" in caught.value.cause_message
            await house["bad"].retry()
            with pytest.raises(QueueFailed):
                await house["bad"].take(1, wait=5)
    async with opened({"bad": "count(start=5)", "good": "count()"}, data=tmp_path) as house:  # it was mended
        assert (await house["bad"].take(1)).values[0] == 5


async def test_a_function_that_comes_to_be_there_goes_on_after_a_retry(opened, tmp_path, monkeypatch):
    """What was written down before it could be checked is no other source afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    define = {"late": "late_source:numbers(5)", "good": "count()"}
    async with opened(define, data=tmp_path / "data") as house:
        assert house["late"].info().failure.type == "source-invalid"
        (tmp_path / "late_source.py").write_text(
            "from dibs import threadsafe_generator\n\n\n@threadsafe_generator\ndef numbers(start):\n"
            "    while True:\n        yield start\n        start += 1\n"
        )
        importlib.invalidate_caches()
        await house["late"].retry()
        assert (await house["late"].take(2, wait=5)).values == ("5", "6")
    async with opened(define, data=tmp_path / "data") as house:
        assert (await house["late"].take(1, wait=5)).values == ("7",)
    async with opened({**define, "late": "late_source:numbers(6)"}, data=tmp_path / "data") as house:
        assert house["late"].info().failure.type == "source-changed"


async def test_a_name_of_the_configuration_that_is_wrong_is_named(opened):
    with pytest.raises(ConfigError, match="NO"):
        async with opened({"NO": "count()"}):
            pass


async def test_a_file_that_vanished_is_a_matter_of_its_queue_alone(opened, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("ann\nben\n")
    define = {"q": f"lines({str(path)!r})", "other": "count()"}
    async with opened(define, data=tmp_path / "data") as house:
        await house["q"].take(1, wait=5)
    path.unlink()
    async with opened(define, data=tmp_path / "data") as house:
        assert await first_of(house["other"]) == 1
        assert house["q"].info().state == "failed"
