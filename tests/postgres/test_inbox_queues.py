"""What is pushed by SQL comes out of the queues: draining, the rounds and the ledger together."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from functools import wraps

import psycopg
import pytest
from dibs.ledger.ops import EngineFailed
from dibs.ledger.postgres.inbox import PostgresInbox
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.queue import Limits, Queues, draining, pace
from dibs.queue.asking import take
from dibs.queue.definition import queue_settings

from .inboxes import connect, define, execute, made

PATIENCE = 60


def on_a_loop(test):
    """Run an asynchronous test, on an event loop of its own."""

    @wraps(test)
    def run(*arguments, **named):
        asyncio.run(test(*arguments, **named))

    return run


class Shipping(SqliteEngine):
    """A ledger in memory, whose transactions do to the inbox what their outcomes say; ``fails`` so many."""

    def __init__(self, url):
        super().__init__(None)
        self.writer = connect(url)
        self.inbox = PostgresInbox(lambda: connect(url))
        self.fails = 0

    def apply(self, ops):
        if self.fails:
            self.fails -= 1
            raise EngineFailed("the network is gone")
        applied = super().apply(ops)
        with self.writer.transaction():
            execute(self.writer, *applied.outcomes)
        return applied

    def close(self):
        self.writer.close()
        super().close()


@pytest.fixture
def app(database):
    made(database.url)
    with connect(database.url) as connection:
        yield connection


@asynccontextmanager
async def opened(database, app, monkeypatch, *, notify=False, **limits):
    monkeypatch.setattr(draining, "MEASURE_EVERY", 0.05)
    engine = Shipping(database.url)
    define_all = {"q": None, "small": None}
    queues = await Queues.over(engine, limits=Limits(**limits), define=define_all, notify=notify)
    await queues.define("small", None, settings=queue_settings(max_ready=2))
    for name in ("q", "small"):
        define(app, name)
    try:
        yield queues, engine
    finally:
        await queues.close()


def left(app):
    return app.execute("SELECT count(*) FROM inbox").fetchone()[0]


async def until(holds):
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def items(queues, name, count):
    """Take so many, as they come; their values."""
    found = []
    while len(found) < count:
        answer = await queues.get(name).asked(take(count - len(found), queues.limits), PATIENCE)
        found += [json.loads(value) for value in answer.values]
    return found


@on_a_loop
async def test_a_push_by_sql_wakes_who_waits(database, app, monkeypatch):
    async with opened(database, app, monkeypatch) as (queues, _):
        waiting = asyncio.create_task(items(queues, "q", 1))
        await until(lambda: queues.get("q").line.parked)
        app.execute("SELECT push('q', '{\"to\": [1, 1.50]}')")
        assert await waiting == [{"to": [1, 1.5]}]
        await until(lambda: queues.get("q").line.meter.pushed == 1)
        assert left(app) == 0


@on_a_loop
async def test_a_push_that_is_told_is_not_waited_for(database, app, monkeypatch):
    """No look but the one for which the database calls."""
    monkeypatch.setattr(pace, "HEARD", 3600.0)
    async with opened(database, app, monkeypatch, notify=True) as (queues, engine):
        told = "SELECT notify FROM inbox_limits"
        await until(lambda: app.execute(told).fetchone() == (True,) and engine.inbox.hears)
        for number in range(3):
            app.execute("SELECT push('q', %s)", [str(number)])
            assert await items(queues, "q", 1) == [number]
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
        assert app.execute(ended).fetchall() == [(True,)]
        await until(lambda: not engine.inbox.hears)
        app.execute("SELECT push('q', '7')")
        assert await items(queues, "q", 1) == [7]


@on_a_loop
async def test_known_keys_and_priorities_are_those_of_any_push(database, app, monkeypatch):
    async with opened(database, app, monkeypatch) as (queues, _):
        with app.transaction():
            app.execute("SELECT push('q', '1', priority => 1)")
            app.execute("SELECT push('q', '2', 'k')")
            app.execute("SELECT push('q', '3', 'k')")
        await until(lambda: not left(app))
        assert await items(queues, "q", 2) == [2, 1]


@on_a_loop
async def test_a_full_queue_leaves_its_rows_until_there_is_room(database, app, monkeypatch):
    async with opened(database, app, monkeypatch) as (queues, _):
        for number in range(5):
            app.execute("SELECT push('small', %s)", [str(number)])
        app.execute("SELECT push('q', '7')")
        assert await items(queues, "q", 1) == [7]
        await until(lambda: queues.inbox.state.full == ("small",))
        assert left(app) == 3
        assert await items(queues, "small", 5) == [0, 1, 2, 3, 4]
        await until(lambda: not left(app))


@on_a_loop
async def test_what_fills_the_inbox_is_stopped_and_goes_on(database, app, monkeypatch):
    monkeypatch.setattr(draining, "MEASURE_BUSY", 0.05)
    async with opened(database, app, monkeypatch, inbox_max=10) as (queues, _):
        app.execute("SELECT count(push('small', '1')) FROM generate_series(1, 12)")
        await until(lambda: queues.inbox.state.stopped == ("small",))
        with pytest.raises(psycopg.Error) as caught:
            app.execute("SELECT push('small', '1')")
        assert caught.value.sqlstate == "QD003"
        app.execute("SELECT push('q', '1')")
        assert await items(queues, "small", 12) == [1] * 12
        await until(lambda: queues.inbox.state.stopped == ())
        app.execute("SELECT push('small', '2')")
        assert await items(queues, "small", 1) == [2]


@on_a_loop
async def test_a_queue_that_is_gone_is_refused_and_tried_again(database, app, monkeypatch):
    async with opened(database, app, monkeypatch) as (queues, engine):
        define(app, "other")
        app.execute("SELECT push('other', '1')")
        await until(lambda: not left(app))
        await until(lambda: queues.inbox.state.refused == 1)
        [row] = await asyncio.to_thread(engine.inbox.refused, None, 0, 10)
        assert (row.queue, row.value, row.reason) == ("other", "1", "there is no queue of this name any more")
        await queues.define("other", None)
        assert await asyncio.to_thread(engine.inbox.retry, "other") == 1
        assert await items(queues, "other", 1) == [1]


@on_a_loop
async def test_a_row_that_no_push_has_made_holds_up_nobody(database, app, monkeypatch):
    monkeypatch.setattr(draining, "AGAIN", 0.01)
    async with opened(database, app, monkeypatch) as (queues, engine):
        with app.transaction():
            app.execute("SELECT push('q', '1')")
            for value, priority, delay in ((2, 12, None), (3, -1, None), (4, 0, -5)):
                app.execute(
                    "INSERT INTO inbox (queue, value, priority, delay_ms) VALUES ('q', %s, %s, %s)",
                    [str(value), priority, delay],
                )
            app.execute("SELECT push('q', '5')")
        assert await items(queues, "q", 3) == [1, 4, 5]
        await until(lambda: not left(app))
        refused = await asyncio.to_thread(engine.inbox.refused, None, 0, 10)
        assert [(row.value, row.reason.partition(":")[0]) for row in refused] == [
            ("2", "the ledger could not take it"),
            ("3", "the ledger could not take it"),
        ]


@on_a_loop
async def test_a_ledger_that_failed_takes_each_row_once(database, app, monkeypatch):
    monkeypatch.setattr(draining, "AGAIN", 0.01)
    async with opened(database, app, monkeypatch) as (queues, engine):
        await until(lambda: queues.inbox.state.length == 0 and queues.inbox._told is not None)
        for number in range(20):
            engine.fails = 1 if number % 4 == 0 else 0
            app.execute("SELECT push('q', %s)", [str(number)])
            await asyncio.sleep(0.01)
        engine.fails = 0
        assert await items(queues, "q", 20) == list(range(20))
        await until(lambda: not left(app))
        assert (await queues.get("q").browser.read()).cursor == 20


@on_a_loop
async def test_limits_are_those_of_the_server(database, app, monkeypatch):
    async with opened(database, app, monkeypatch, value_bytes=10) as (queues, _):
        await until(lambda: queues.inbox._told is not None)
        with pytest.raises(psycopg.Error) as caught:
            app.execute("SELECT push('q', %s)", [json.dumps("x" * 9)])
        assert caught.value.sqlstate == "QD006"


@on_a_loop
async def test_a_server_that_went_down_leaves_the_rest_to_the_next(database, app, monkeypatch):
    async with opened(database, app, monkeypatch) as (queues, _):
        app.execute("SELECT push('q', '1')")
        assert await items(queues, "q", 1) == [1]
    app.execute("SELECT push('q', '2')")
    await asyncio.sleep(0.1)
    assert left(app) == 1
    sessions = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await until(lambda: app.execute(sessions).fetchone() == (0,))
