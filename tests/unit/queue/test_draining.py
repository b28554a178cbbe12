"""Draining the inbox: what is asked of it, of the ledger and of the queues, and in which order."""

from __future__ import annotations

import asyncio
import json
import logging
import re

import pytest
from dibs.errors import LedgerCopied, LedgerFault, LedgerUnavailable, OutcomeUnknown
from dibs.ledger.inbox import (
    Arrival,
    BoundInbox,
    InboxUnreadable,
    Look,
    Measure,
    Place,
    TakeIn,
    TakenIn,
    Unfit,
)
from dibs.queue import draining, pace
from dibs.queue.draining import Draining, InboxState, text_by
from dibs.queue.limits import Limits

from .conftest import PATIENCE


class Stage:
    """An inbox of rows, and a ledger whose answers a test may change; all that happens is in ``told``."""

    def __init__(self, *texts, **limits):
        self.rows = [Arrival(Place(5, at), "q", text) for at, text in enumerate(texts, 1)]
        self.full = set()
        self.full_queues = set()
        self.room = set()
        self.shut = None
        self.told = []
        self.fails = []  # errors of the next looks and commits
        self.unfit = ()
        self.measured = Measure(0, None, 0)
        self.loop = asyncio.get_running_loop()
        self.closed = False
        self.hears = False
        self.told_of = None  # what is called when something was pushed
        notify = limits.pop("notify", False)
        self.draining = Draining(self, self, self, Limits(**limits), lambda: 7, notify=notify)

    def note(self, what, *more):
        self.told.append((what, *more))

    # -- the inbox

    def look(self, text, now, most):
        assert now() == 7
        self.note("look", most)
        if self.fails and isinstance(self.fails[0], InboxUnreadable):
            raise self.fails.pop(0)
        some = [row for row in self.rows if row.queue not in self.full][:most]
        unfit, self.unfit = self.unfit, ()
        return Look(tuple(some), unfit, len(some) < most, 1)

    def listen(self, told):
        self.told_of = told

    def committed(self, taken):
        self.note("committed", len(taken.taken), len(taken.refused))
        gone = {*taken.taken, *(place for place, _ in taken.refused)}
        self.rows = [row for row in self.rows if row.place not in gone]
        self.full |= taken.full

    def failed(self):
        self.note("failed")

    def roomy(self, queue):
        self.note("roomy", queue)
        self.full.discard(queue)

    def measure(self, most):
        self.note("measure", most)
        return self.measured

    def close(self):
        self.closed = True

    # -- the ledger

    def commit(self, op):
        future = self.loop.create_future()
        size = len(op.arrivals) if isinstance(op, TakeIn) else op
        self.note("commit", size)
        error = self.fails.pop(0) if self.fails else None
        if isinstance(op, TakeIn) and any(arrival.text == "poison" for arrival in op.arrivals):
            error = LedgerFault("it is poison")
        if error is not None:
            future.set_exception(error)
        elif isinstance(op, BoundInbox):
            future.set_result(op)
        else:
            fits = [row for row in op.arrivals if row.queue not in self.full_queues]
            left = frozenset(row.queue for row in op.arrivals if row.queue in self.full_queues)
            pushed = {"q": len(fits)} if fits else {}
            future.set_result(TakenIn(tuple([row.place for row in fits]), op.unfit, left, pushed))
        return future

    # -- the queues

    def names(self):
        return ["q", "r"]

    def has_room(self, queue):
        return queue in self.room

    def arrived(self, queue, count):
        self.note("arrived", queue, count)

    # -- the test

    async def until(self, holds):
        async with asyncio.timeout(PATIENCE):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    def commits(self):
        return [size for what, size in (told[:2] for told in self.told if told[0] == "commit")]

    def taken(self):
        return [size for size in self.commits() if not isinstance(size, BoundInbox)]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(draining, "AGAIN", 0.001)
    monkeypatch.setattr(pace, "EVERY", 0.001)
    monkeypatch.setattr(draining, "MEASURE_BUSY", 0.0)
    monkeypatch.setattr(draining, "MEASURE_EVERY", 0.0)


async def drained(stage, holds):
    stage.draining.start()
    await stage.until(holds)
    await stage.draining.stop(PATIENCE)
    assert stage.closed


async def test_what_is_found_is_committed_then_noted_then_counted():
    stage = Stage("1", "2")
    await drained(stage, lambda: not stage.rows)
    assert stage.told[:4] == [("look", 1000), ("commit", 2), ("committed", 2, 0), ("arrived", "q", 2)]


async def test_a_look_begins_only_when_the_one_before_is_decided():
    stage = Stage(*"123456")
    stage.draining._most = 2
    await drained(stage, lambda: not stage.rows)
    order = [told[0] for told in stage.told if told[0] in {"look", "committed"}]
    assert order[: len(order) // 2 * 2] == ["look", "committed"] * (len(order) // 2)


async def test_the_limits_are_told_once():
    stage = Stage(value_bytes=1000, key_bytes=40, delay=3)
    await drained(stage, lambda: len([told for told in stage.told if told[0] == "measure"]) > 5)
    assert [told for told in stage.commits() if isinstance(told, BoundInbox)] == [
        BoundInbox(1000, 40, 3000, ())
    ]


async def test_changed_limits_are_told():
    stage = Stage()
    stage.draining.start()
    await stage.until(stage.commits)
    stage.draining._limits.become(Limits(key_bytes=36))
    await stage.until(lambda: len(stage.commits()) == 2)
    await stage.draining.stop(PATIENCE)
    assert [told.key_bytes for told in stage.commits()] == [255, 36]


async def test_a_ledger_that_fails_is_asked_by_an_empty_op_before_the_next_look():
    stage = Stage("1")
    stage.fails = [OutcomeUnknown("nobody knows"), LedgerUnavailable("not yet")]
    await drained(stage, lambda: not stage.rows)
    kinds = [told for told in stage.told if told[0] != "measure"]
    assert kinds[:6] == [
        ("look", 1000),
        ("commit", 1),
        ("commit", 0),
        ("commit", 0),
        ("failed",),
        ("look", 1000),
    ]


async def test_a_row_that_the_ledger_cant_take_is_found_and_refused():
    stage = Stage("1", "2", "poison", "3", "4")
    await drained(stage, lambda: not stage.rows)
    refused = [told for told in stage.told if told[0] == "committed" and told[2]]
    assert refused == [("committed", 0, 1)]
    assert sum(told[2] for told in stage.told if told[0] == "arrived") == 4


async def test_nothing_is_taken_in_while_the_ledger_is_held():
    stage = Stage("1")
    stage.shut = LedgerCopied("it is a backup")
    stage.draining.start()
    await asyncio.sleep(0.02)
    assert stage.told == []
    stage.shut = None
    await stage.until(lambda: not stage.rows)
    await stage.draining.stop(PATIENCE)


async def test_an_inbox_that_cant_be_read_is_told_once_and_read_again(caplog):
    stage = Stage("1")
    stage.fails = [InboxUnreadable("gone"), InboxUnreadable("gone")]
    with caplog.at_level(logging.WARNING, "dibs.queue"):
        await drained(stage, lambda: not stage.rows)
    assert [record.getMessage() for record in caplog.records] == [
        "the inbox can't be drained now: gone",
        "the inbox is drained again",
    ]


async def test_a_bug_does_not_end_the_draining(caplog):
    stage = Stage("1")
    stage.fails = [ZeroDivisionError()]
    with caplog.at_level(logging.ERROR, "dibs.queue"):
        stage.draining.start()
        await stage.until(lambda: "draining the inbox" in caplog.text)
        await stage.until(lambda: not stage.rows)
        await stage.draining.stop(PATIENCE)


def test_the_thread_that_looks_ends_with_the_loop_though_nobody_has_stopped_it():
    async def left():
        stage = Stage()
        stage.draining.start()
        await stage.until(lambda: ("look", 1000) in stage.told)
        return stage.draining._thread

    looking = asyncio.run(left())
    looking.submit(int).result(PATIENCE)  # it does what comes next: a thread that looks on has no end
    looking.shutdown()


async def test_a_full_queue_is_tried_again_when_it_has_room():
    stage = Stage("1")
    stage.full_queues = {"q"}
    stage.draining.start()
    await stage.until(lambda: stage.full == {"q"})
    await asyncio.sleep(0.01)
    assert ("roomy", "q") not in stage.told
    stage.full_queues, stage.room = set(), {"q"}
    await stage.until(lambda: not stage.rows)
    await stage.draining.stop(PATIENCE)
    assert stage.told.count(("roomy", "q")) == 1


def stops(stage):
    return [told.stopped for told in stage.commits() if isinstance(told, BoundInbox)]


async def test_full_queues_are_stopped_above_the_bound_and_go_on_below_nine_tenths_of_it():
    stage = Stage("1", inbox_max=100)
    stage.full_queues = {"q"}
    stage.measured = Measure(100, 3.0, 2)
    stage.draining.start()
    await stage.until(lambda: stage.draining.state.full == ("q",) and stage.draining.state.stopped == ("q",))
    assert stage.draining.state == InboxState(100, 3.0, 2, ("q",), ("q",))
    for length, stopped in ((90, ("q",)), (89, ()), (99, ()), (100, ("q",))):
        stage.measured = Measure(length, 3.0, 2)
        await stage.until(lambda length=length: stage.draining.state.length == length)
        assert stage.draining.state.stopped == stopped
    await stage.draining.stop(PATIENCE)
    assert stops(stage)[-3:] == [("q",), (), ("q",)]


async def test_where_no_queue_is_full_all_are_stopped():
    stage = Stage(inbox_max=100)
    stage.measured = Measure(100, 3.0, 0)
    await drained(stage, lambda: stage.draining.state.length == 100)
    assert stage.draining.state.stopped == ("q", "r")


async def test_what_the_owner_before_had_stopped_stays_until_that_is_decided():
    stage = Stage(inbox_max=100)
    stage.measured = Measure(95, 3.0, 0)
    await drained(stage, lambda: stage.draining.state.length == 95)
    assert stops(stage) == [None]


async def test_what_cant_become_an_item_is_refused():
    stage = Stage()
    stage.unfit = (Unfit(Place(5, 1), "it is bad"),)
    await drained(stage, lambda: ("committed", 0, 1) in stage.told)


async def test_where_pushes_are_told_a_look_waits_for_one(monkeypatch):
    monkeypatch.setattr(pace, "HEARD", 3600.0)
    monkeypatch.setattr(draining, "MEASURE_EVERY", 3600.0)
    stage = Stage(notify=True)
    stage.draining.start()
    await stage.until(lambda: stage.told.count(("look", 1000)) > 3)  # nobody tells yet
    [told] = [told for told in stage.commits() if isinstance(told, BoundInbox)]
    assert told.notify
    stage.hears = True
    stage.told_of()
    await stage.until(lambda: not stage.draining._pace._woken.is_set())
    await asyncio.sleep(0.01)
    looks = len(stage.told)
    await asyncio.sleep(0.02)  # some looks, if nobody told
    assert len(stage.told) == looks
    stage.rows.append(Arrival(Place(6, 1), "q", "1"))
    stage.told_of()
    await stage.until(lambda: not stage.rows)
    stage.rows.append(Arrival(Place(7, 1), "q", "2"))
    stage.full_queues = {"q"}
    stage.told_of()
    await stage.until(lambda: stage.full)
    stage.full_queues, stage.room = set(), {"q"}  # of room nobody tells
    await stage.until(lambda: not stage.rows)
    await stage.draining.stop(PATIENCE)


def looks(stage):
    return [what for what in stage.told if what[0] == "look"]


@pytest.mark.parametrize("notify", [False, True])
async def test_what_comes_in_quickly_goes_along_with_the_next_look(monkeypatch, notify):
    stage = Stage("1", notify=notify)
    stage.hears = notify
    monkeypatch.setattr(pace, "EVERY", 3600.0)
    stage.draining.start()
    await stage.until(lambda: ("measure", stage.draining._limits.inbox_max) in stage.told)
    assert not stage.rows
    stage.rows.append(Arrival(Place(6, 1), "q", "2"))
    if notify:
        stage.told_of()
    await asyncio.sleep(0.05)  # many looks, if one followed the other
    assert len(looks(stage)) == 1
    await stage.draining.stop(0)


async def test_a_look_that_has_not_found_all_is_followed_by_the_next_at_once(monkeypatch):
    stage = Stage(*map(str, range(2_500)))
    monkeypatch.setattr(pace, "EVERY", 3600.0)
    stage.draining.start()
    await stage.until(lambda: not stage.rows)
    await stage.draining.stop(0)
    assert [told for told in stage.told if told[0] == "committed"] == [
        *(("committed", 1000, 0), ("committed", 1000, 0), ("committed", 500, 0)),
    ]


@pytest.fixture
def seldom_measured(monkeypatch):
    monkeypatch.setattr(draining, "MEASURE_EVERY", 3600.0)


@pytest.mark.usefixtures("seldom_measured")
async def test_looks_that_find_nothing_are_not_told_to_the_loop(monkeypatch):
    stage, turns = Stage(), []
    looked = stage.draining._next
    monkeypatch.setattr(stage.draining, "_next", lambda: turns.append(len(looks(stage))) or looked())
    await drained(stage, lambda: len(looks(stage)) > 20)
    assert len(turns) <= 2, turns  # the first is followed by a measuring


@pytest.mark.usefixtures("seldom_measured")
async def test_the_end_waits_for_no_look_that_is_due_later(monkeypatch):
    stage = Stage()
    monkeypatch.setattr(pace, "EVERY", 3600.0)
    stage.draining.start()
    await stage.until(lambda: looks(stage) and not stage.draining._pace._at_once)
    async with asyncio.timeout(PATIENCE):
        await stage.draining.stop(2 * PATIENCE)
    assert (stage.closed, len(looks(stage))) == (True, 1)


@pytest.mark.usefixtures("seldom_measured")
async def test_a_ledger_that_is_held_meanwhile_is_seen_before_the_next_look(caplog):
    stage = Stage()
    stage.draining.start()
    await stage.until(lambda: len(looks(stage)) > 3)
    with caplog.at_level(logging.WARNING, "dibs.queue"):
        stage.shut = LedgerCopied("it is a backup")
        await stage.until(lambda: "can't be drained now: it is a backup" in caplog.text)
        before = len(looks(stage))
        stage.rows.append(Arrival(Place(6, 1), "q", "1"))
        await asyncio.sleep(0.02)  # many looks, if it were not held
        assert (len(looks(stage)), stage.taken()) == (before, [])
        stage.shut = None
        await stage.until(lambda: "drained again" in caplog.text and not stage.rows)
    await stage.draining.stop(PATIENCE)


def test_values_become_what_the_ledger_keeps():
    text = text_by(20)
    assert text("[1.50, 0.00001]") == "[1.5,1e-05]"
    assert text('{"to": [1, "ü"]}') == '{"to":[1,"ü"]}'
    for value, why in (
        (
            "9007199254740992",
            "an integer beyond ±(2^53-1), 9007199254740992, which many readers of JSON would round",
        ),
        (json.dumps("x" * 19), "a value of 21 bytes; the limit is 20"),
        ("[" * 101 + "]" * 101, "a value of more than 20 bytes"),
    ):
        with pytest.raises(ValueError, match=re.escape(why)) as caught:
            text(value)
        assert str(caught.value) == why
