"""Rounds: all queues of a loop share one commit, and what is asked meanwhile shares the next."""

import asyncio

import pytest
from dibs.errors import LedgerFull, LedgerUnavailable
from dibs.ledger.ops import Take
from dibs.queue.rounds import Rounds


class Loop:
    """Steps, time and timers by hand."""

    def __init__(self):
        self.now = 100.0
        self.soon = []
        self.timers = []

    def time(self):
        return self.now

    def call_soon(self, callback):
        self.soon.append(callback)

    def call_later(self, seconds, callback):
        self.timers.append((self.now + seconds, callback))

    def step(self):
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def pass_(self, seconds):
        until = self.now + seconds
        while due := sorted((timer for timer in self.timers if timer[0] <= until), key=lambda one: one[0]):
            self.timers.remove(due[0])
            self.now = due[0][0]
            due[0][1]()
        self.now = until


class Op:
    """Begins when its round does; ``once`` does something before."""

    def __init__(self, rounds, story, name, *, sends=True, once=None):
        self.rounds, self.story, self.name, self.sends, self.once = rounds, story, name, sends, once

    def begin(self):
        self.story.append(self.name)
        if self.once is not None:
            self.once()
        if self.sends:
            self.rounds.began(self)

    def late(self):
        self.story.append(f"{self.name} is late")
        self.rounds.ended(self)


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def rounds(loop):
    return Rounds(loop, 30.0)


def test_who_comes_meanwhile_waits_for_all_of_the_round(loop, rounds):
    story = []
    first = [Op(rounds, story, name) for name in "ab"]
    for op in first:
        rounds.join(op)
    assert story == []
    loop.step()
    assert story == ["a", "b"]
    rounds.join(Op(rounds, story, "c"))
    rounds.ended(first[0])
    loop.step()
    assert story == ["a", "b"]
    rounds.ended(first[1])
    rounds.join(Op(rounds, story, "d"))  # who was told in this step, and asks again
    assert story == ["a", "b"]
    loop.step()
    assert story == ["a", "b", "c", "d"]


def test_a_round_that_sends_nothing_keeps_nobody_waiting(loop, rounds):
    story = []
    rounds.join(Op(rounds, story, "a", sends=False, once=lambda: rounds.join(Op(rounds, story, "b"))))
    loop.step()
    loop.step()
    assert story == ["a", "b"]


def test_who_joins_again_in_its_own_turn_is_in_the_next_round(loop, rounds):
    story = []
    first = Op(rounds, story, "a", once=lambda: rounds.join(second))
    second = Op(rounds, story, "b")
    rounds.join(first)
    loop.step()
    loop.step()
    assert story == ["a"]
    rounds.ended(first)
    loop.step()
    assert story == ["a", "b"]


def test_one_that_raises_takes_nobody_with_it(loop, rounds, caplog):
    story = []

    def fails():
        raise RuntimeError("boom")

    rounds.join(Op(rounds, story, "a", once=fails))
    rounds.join(Op(rounds, story, "b"))
    loop.step()
    assert story == ["a", "b"]
    assert "boom" in caplog.text


def test_a_silent_disk_is_told_once_and_then_the_next_may_try(loop, rounds):
    story = []
    rounds.join(Op(rounds, story, "a"))
    loop.step()
    loop.pass_(29)
    rounds.join(Op(rounds, story, "b"))
    loop.pass_(2)
    assert story == ["a", "a is late"]
    loop.step()
    assert story == ["a", "a is late", "b"]
    loop.pass_(100)
    assert story == ["a", "a is late", "b", "b is late"]
    assert (loop.soon, loop.timers) == ([], [])


def test_each_round_has_its_own_time_and_all_one_timer(loop, rounds):
    story = []
    for name in "abcd":
        op = Op(rounds, story, name)
        rounds.join(op)
        loop.step()
        loop.pass_(20)
        if name != "d":
            rounds.ended(op)
        assert len(loop.timers) == 1
    loop.pass_(9)
    assert story == ["a", "b", "c", "d"]
    loop.pass_(2)
    assert story[-1] == "d is late"
    loop.pass_(100)
    assert loop.timers == []


class Taker:
    """Asks for one; when it is told, perhaps for another."""

    count, key, request = 1, None, "take 1"

    def __init__(self, queue, more=0):
        self.queue, self.more, self.got = queue, more, []
        self.over = asyncio.get_running_loop().create_future()
        queue.gathering.take(self)

    def handed(self, first, values, state):
        self.got.append(first)
        if len(self.got) <= self.more:
            self.queue.gathering.take(self)
        else:
            self.over.set_result(self.got)

    def refused(self, error):
        self.over.set_exception(error)

    def alone(self):
        self.over.set_exception(AssertionError("it was to be drawn together"))


async def over(takers):
    return await asyncio.wait_for(asyncio.gather(*(taker.over for taker in takers)), 10)


async def test_many_queues_share_one_commit(opened):
    names = [f"q{number}" for number in range(20)]
    async with opened(dict.fromkeys(names, "count")) as house:
        before = len(house.disk.batches)
        assert await over([Taker(house[name]) for name in names * 2]) == [[1]] * 20 + [[2]] * 20
        assert [len(batch) for batch in house.disk.batches[before:]] == [20]


NAMES = [f"q{number}" for number in range(5)]


@pytest.mark.parametrize("fault", ["absent", "present", "full"])
async def test_a_commit_of_many_queues_that_fails_is_decided_for_each_by_its_cursor(opened, fault):
    async with opened(dict.fromkeys(NAMES, "count")) as house:
        await over([Taker(house[name]) for name in NAMES[:2]])
        house.disk.faults.append(fault)
        takers = [Taker(house[name]) for name in NAMES]
        answers = await asyncio.wait_for(
            asyncio.gather(*(taker.over for taker in takers), return_exceptions=True), 10
        )
        expected = [[2], [2], [1], [1], [1]]
        if fault == "present":
            assert answers == expected
            expected = [[3], [3], [2], [2], [2]]
        else:
            assert {type(each) for each in answers} <= {LedgerUnavailable, LedgerFull}
        assert await over([Taker(house[name]) for name in NAMES]) == expected
        for name in NAMES:
            assert (await house[name].audit()).balanced
            assert house[name].stats().in_flight == 0


async def test_one_queue_at_fault_fails_alone(opened):
    async with opened(dict.fromkeys(NAMES, "count")) as house:
        house["q1"]._draw._next_seq += 5
        takers = [Taker(house[name]) for name in NAMES]
        answers = await asyncio.wait_for(
            asyncio.gather(*(taker.over for taker in takers), return_exceptions=True), 10
        )
        assert isinstance(answers.pop(1), LedgerUnavailable)
        assert answers == [[1]] * 4
        assert await over([Taker(house[name]) for name in NAMES if name != "q1"]) == [[2]] * 4


async def test_who_asks_again_shares_the_commit_of_who_waited_meanwhile(opened):
    async with opened({"q": "count", "r": "count"}) as house:
        house.disk.door.shut()
        takers = [Taker(house["q"], more=1)]
        await house.disk.door.somebody()
        takers.append(Taker(house["r"]))
        house.disk.door.open()
        assert await over(takers) == [[1, 2], [1]]
        takes = [[op for op in batch if isinstance(op, Take)] for batch in house.disk.batches]
        assert [len(batch) for batch in takes if batch] == [1, 2]


async def test_a_draw_that_goes_wrong_is_told_and_nothing_is_lost(opened, monkeypatch, caplog):
    async with opened({"q": "count"}) as house:
        draw = house["q"]._draw

        def fails(*_):
            raise RuntimeError("boom")

        with monkeypatch.context() as broken:
            broken.setattr(draw, "_entry", fails)
            with pytest.raises(LedgerUnavailable):
                await over([Taker(house["q"])])
        assert "boom" in caplog.text
        assert await over([Taker(house["q"])]) == [[1]]


async def test_an_answer_that_cant_be_made_costs_the_others_nothing(opened, caplog):
    async with opened({"q": "count"}) as house:
        first, second = Taker(house["q"]), Taker(house["q"])
        first.over.set_result("gone")
        assert (await over([second])) == [[2]]
        assert "an answer" in caplog.text
        assert house["q"].stats().in_flight == 0
