"""The life of the house: copies while it works, going down, what it says of itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from dibs.errors import (
    LimitExceeded,
    QueueConflict,
    QueuePaused,
    Stopping,
)
from dibs.ledger import open_ledger
from dibs.ledger.serve import Serve
from dibs.queue import Queues, asking
from dibs.sources import parse_source

COUNT = parse_source("count()")


async def first_of(queue) -> int:
    return (await queue.take(1, wait=5)).first


# -- copies


async def test_a_backup_goes_into_the_data_folder_and_can_be_opened(opened, tmp_path):
    async with opened({"q": "count()"}, data=tmp_path) as house:
        await house["q"].take(5)
        copy = await house.queues.backups.write("now.db")
        await house["q"].take(5)
        assert Path(copy.path) == tmp_path / "backups" / "now.db"
        assert copy.bytes == size_of(copy.path)
        with pytest.raises(QueueConflict) as caught:
            await house.queues.backups.write("now.db")
        assert caught.value.reason == "backup-exists"
        assert Path((await house.queues.backups.write()).path).parent == tmp_path / "backups"
    assert cursor_in(copy.path) == 5


def size_of(path: str) -> int:
    return Path(path).stat().st_size


def cursor_in(backup: str) -> int:
    """Restore a backup as its own data folder, and look."""
    restored = Path(backup).parent / "restored"
    restored.mkdir()
    Path(backup).rename(restored / "dibs.db")
    engine = open_ledger(restored)
    try:
        return engine.rows()[0].cursor
    finally:
        engine.close()


@pytest.mark.parametrize(
    "name", ["", "a", "../a.db", "a/b.db", "/a.db", "a\0.db", ".db", "ä.db", "x" * 200 + ".db", "a.db\n"]
)
async def test_a_backup_s_name_is_a_plain_file_name(opened, tmp_path, name):
    async with opened(data=tmp_path) as house:
        if name:
            with pytest.raises(LimitExceeded) as caught:
                await house.queues.backups.write(name)
            assert caught.value.field == "name"
        assert not (tmp_path / "backups").exists()


# -- the server's life


async def test_going_down_answers_what_is_in_the_line_and_begins_nothing_more(opened, tmp_path):
    async with opened({"q": "count()"}, data=tmp_path) as house:
        assert house.queues.ready
        house.disk.door.shut()
        taking = [asyncio.ensure_future(house["q"].take(1)) for _ in range(4)]
        await house.disk.door.somebody()
        house.queues.stop()
        assert not house.queues.ready
        for call in (house["q"].take(1), house.queues.define("new", COUNT)):
            with pytest.raises(Stopping):
                await call
        house.disk.door.open()
        answered = await asyncio.gather(*taking, return_exceptions=True)
        await house.queues.close()
        assert answered
        seqs = sorted(answer.first for answer in answered if not isinstance(answer, Exception))
        assert seqs == list(range(1, len(seqs) + 1))
    engine = open_ledger(tmp_path)
    assert engine.rows()[0].cursor == len(seqs)
    engine.close()


async def test_a_source_that_raises_or_hangs_at_its_end_keeps_nobody_from_going_down(opened, stage, tmp_path):
    stage.script("raises").last_words = ZeroDivisionError()
    stage.script("hangs")
    async with opened({"raises": stage.spec("raises"), "hangs": stage.spec("hangs")}, data=tmp_path) as house:
        for name in ("raises", "hangs"):
            await house[name].take(1)
        stage.scripts["hangs"].door.shut()
        hanging = asyncio.ensure_future(house["hangs"].take(1))
        await stage.scripts["hangs"].door.somebody()
        await house.queues.close()
        assert open_ledger(tmp_path).close() is None  # it is free
        stage.scripts["hangs"].door.open()
        with pytest.raises(Exception, match=r"down|in time"):
            await hanging
        assert stage.scripts["raises"].closed == 1


async def test_a_source_that_raises_at_its_end_can_be_deleted_and_retried(opened, stage, script):
    async with opened({"q": stage.spec()}) as house:
        await house["q"].take(2)
        script.last_words = ZeroDivisionError()
        await house.queues.delete("q")
        await house.queues.define("q", stage.spec(), trusted=True)
        assert await first_of(house["q"]) == 3
        assert (await house["q"].advance(7)).cursor == 7
        assert await first_of(house["q"]) == 8


async def test_while_the_ledger_is_down_it_is_not_ready_and_says_what_it_knows(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(3)
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        taking = asyncio.ensure_future(house["q"].take(1))
        await house.disk.repair_door.somebody()
        assert not house.queues.ready
        assert (await house.queues.stats()).queues[0].taken == 3
        house.disk.repair_door.open()
        with pytest.raises(Exception, match="nothing was handed out"):
            await taking
        assert house.queues.ready
        assert (await house.queues.stats()).ledger.reopened == 1


async def test_statistics_count_what_happened(opened):
    async with opened({"a": "count()", "b": "range(3)"}) as house:
        await house["a"].take(5)
        await house["a"].take(2, key="k")
        await house["a"].take(2, key="k")
        await house["b"].block(2)
        await house["b"].pause()
        with pytest.raises(QueuePaused):
            await house["b"].take(1)
        stats = await house.queues.stats()
        a, b = stats.queues
        assert (a.queue, a.cursor, a.taken, a.requests, a.handed_out, a.replays) == ("a", 7, 7, 3, 7, 1)
        assert (b.queue, b.taken, b.requests, b.handed_out, b.refused) == ("b", 2, 2, 2, 1)
        assert (stats.requests, stats.handed_out, stats.replays, stats.refused) == (5, 9, 1, 1)
        assert (stats.in_flight, stats.waiting, a.buffered) == (0, 0, 0)
        assert a.answer.samples == 3
        assert stats.ledger.ops == 2 + 1 + len(house.disk.ops(Serve))
        assert stats.ledger.commits == len(house.disk.batches)
        assert stats.ledger.syncs == 0  # in memory
        assert stats.uptime >= 0


async def test_a_queue_of_the_real_house_opens_without_any_seam(tmp_path):
    queues = await Queues.open(tmp_path, define={"q": COUNT})
    assert (await queues.get("q").asked(asking.take(2, queues.limits))).first == 1
    await queues.close()
    queues = await Queues.open(tmp_path)
    assert (await queues.get("q").asked(asking.take(2, queues.limits))).first == 3
    await queues.close()
