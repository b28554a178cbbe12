"""Thousands of queues: what never waits needs no thread, and who looks at all of them holds up nobody."""

from __future__ import annotations

import threading

import pytest
from dibs.errors import SourceBusy
from dibs.queue.browsing import Browser
from dibs.queue.pool import Pool
from dibs.sources import Registry, parse_source


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("count", True),
        ("range(5)", True),
        ("grid(a=[1, 2])", True),
        ("snowflake(1)", True),
        ("uuid7", True),
        ("lines(names.txt)", False),
        ("module:function", False),
    ],
)
def test_which_sources_never_wait(source, prompt):
    assert Registry().is_prompt(parse_source(source)) is prompt


@pytest.fixture
def no_threads(monkeypatch):
    """The system gives no thread while the list is empty."""
    given: list[bool] = []
    submit = Pool.submit

    def refuse(pool, job):
        if not given:
            raise SourceBusy("the system gives no more threads; ask again", retry_after=1.0)
        submit(pool, job)

    monkeypatch.setattr(Pool, "submit", refuse)
    monkeypatch.setattr("dibs.queue.opening.TRY_EVERY", 0.01)
    return given


async def test_queues_whose_sources_never_wait_start_and_end_without_a_thread(opened, no_threads, tmp_path):
    sources = ["count", "range(10)", "grid(a=[1, 2])", "snowflake(1)", "uuid7", "count(format='N{}')"]
    define = {f"q{number}": sources[number % len(sources)] for number in range(60)}
    for round_ in (1, 2):
        async with opened(define, data=tmp_path) as house:
            assert [queue.browser.info().state for queue in house.queues.list()] == ["open"] * 60
            assert (await house["q0"].take(1)).first == round_
            house["q0"].retire()


async def test_a_source_that_takes_a_thread_is_tried_again_until_there_is_one(
    opened, no_threads, stage, script, eventually
):
    """The queue is known meanwhile: whoever defined it hears that, and no restart is needed."""
    async with opened(start_patience=0) as house:
        info = await house.queues.define("q", stage.spec(), trusted=True)
        assert (info.created, info.state, house["q"].info().state) == (True, "starting", "starting")
        no_threads.append(True)
        await eventually(lambda: house["q"].info().state == "open")
        assert (await house["q"].take(1, wait=5)).first == 1
        no_threads.clear()  # the source is let go all the same when the server goes down


async def test_pages_of_queues_and_of_statistics_are_read_off_the_loop(opened, monkeypatch):
    where: list[str] = []
    look = Browser.look

    def note(queue):
        where.append(threading.current_thread().name)
        return look(queue)

    async with opened({f"q{number}": "count" for number in range(7)}) as house:
        for number in range(7):
            await house[f"q{number}"].take(number + 1)
        monkeypatch.setattr(Browser, "look", note)
        infos, following = await house.queues.infos("q1", 3)
        assert ([info.queue for info in infos], following) == (["q2", "q3", "q4"], "q4")
        assert [info.cursor for info in infos] == [3, 4, 5]
        infos, following = await house.queues.infos("q4", 3)
        assert ([info.queue for info in infos], following) == (["q5", "q6"], None)
        stats = await house.queues.stats("", 2)
        assert ([queue.queue for queue in stats.queues], stats.next) == (["q0", "q1"], "q1")
        assert (stats.handed_out, stats.requests, stats.queue_count) == (28, 7, 7)  # of all, not of the page
        assert threading.current_thread().name not in where
        assert len(where) == 3 + 2 + 2


async def test_a_queue_that_is_deleted_while_a_page_is_read_is_not_on_it(opened, monkeypatch):
    async with opened({"a": "count", "b": "count"}) as house:
        a = house["a"]
        await a.take(1)
        await a.delete()
        house.queues._queues["a"] = a.queue  # as it is until the loop hears of it
        infos, _ = await house.queues.infos("", 10)
        assert [info.queue for info in infos] == ["b"]
