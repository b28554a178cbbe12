"""Takes that are drawn together, where things end or go wrong: each hears the truth, and hears it once."""

import asyncio

import pytest
from dibs.errors import LedgerUnavailable, OutcomeUnknown, QueueExhausted
from dibs.queue import LeaseAsk
from dibs.queue.draw import Ask
from dibs.queue.exchange import _Deal
from dibs.queue.gather import ITEMS_MOST

from tests.unit.queue.test_gather import Taker, errors, takers, told


class TestTheEnd:
    """A source gives its last while others ask."""

    @pytest.mark.parametrize("source", ["range(0, 4)", "count(max=4)"])
    @pytest.mark.parametrize("before", [0, 4])
    async def test_whose_commit_failed_comes_again(self, opened, source, before):
        async with opened({"q": source}) as house:
            queue = house["q"]
            if before:
                await told(takers(queue, before))
            house.disk.faults.append("absent")
            await errors(takers(queue, 5))
            if not before:
                assert [len(values) for _, values, _ in await told(takers(queue, 4))] == [4]
            for _ in range(3):
                assert [type(each) for each in await errors(takers(queue, 1))] == [QueueExhausted]
            assert queue.stats().state == "exhausted"

    async def test_that_is_on_its_way_by_the_ordinary_way_is_told(self, opened, soon):
        async with opened({"q": "range(0, 4)"}) as house:
            queue = house["q"]
            house.disk.door.shut()
            last = await soon(queue.take(5))
            await house.disk.door.somebody()
            asked = takers(queue, 1)
            await asyncio.sleep(0)
            house.disk.door.open()
            assert len((await last).values) == 4
            assert [type(each) for each in await errors(asked)] == [QueueExhausted]

    async def test_between_the_looks_at_the_gate_is_no_last_word_while_something_is_leased(
        self, opened, monkeypatch
    ):
        async with opened({"q": "range(0, 4)"}) as house:
            queue = house["q"]
            await queue.lease(LeaseAsk(1))
            draw = queue._draw.draw_for_many

            def drawn_empty_first(many):
                ask = Ask(10)
                queue._draw.draw(ask)
                ask.pending.result(5)
                return draw(many)

            monkeypatch.setattr(queue._draw, "draw_for_many", drawn_empty_first)
            taker = Gone(queue)
            queue.gathering.take(taker)
            await asyncio.wait_for(taker.over, 10)
            assert taker.heard == ["alone"]
            assert await queue.take(1) is None, "it may come back"


class Gone(Taker):
    """Can't be told anything but what it was handed."""

    def __init__(self, *args):
        super().__init__(*args)
        self.heard = []
        self.over = asyncio.get_running_loop().create_future()

    def refused(self, error):
        self.hear(error)

    def alone(self):
        self.hear("alone")

    def hear(self, word):
        self.heard.append(word)
        self.over.set_result(None)
        raise RuntimeError("the connection is gone")


async def test_after_an_interrupt_the_numbers_go_on(opened):
    async with opened({"q": "count(step=3)"}) as house:
        queue = house["q"]
        iterator = queue._draw.source.iterator
        for left in (3, 1):  # what an interrupt between a pull and its hand-over leaves
            with iterator.hold():
                iterator._draw(left, quiet=True)
                iterator._mend()
            first, values, _ = (await told(takers(queue, left)))[0]
            assert values == [1 + 3 * (seq - 1) for seq in range(first, first + left)]
        assert (await queue.take(1)).values[0] == 13


async def test_a_large_crowd_is_answered_in_steps(opened):
    async with opened({"q": "count"}) as house:
        queue, step, told_in = house["q"], 0, {}

        async def count_steps():
            nonlocal step
            while True:
                step += 1
                await asyncio.sleep(0)

        class Large(Taker):
            def handed(self, first, values, state):
                told_in[step] = told_in.get(step, 0) + len(values)
                super().handed(first, values, state)

        counting = asyncio.ensure_future(count_steps())
        crowd = [Large(queue, ITEMS_MOST // 2) for _ in range(20)]
        for taker in crowd:
            queue.gathering.take(taker)
        await told(crowd)
        counting.cancel()
        assert set(told_in.values()) == {ITEMS_MOST}


async def test_one_who_cant_be_told_costs_the_others_nothing(opened):
    async with opened({"q": "count"}, commit_patience=0.05) as house:
        queue = house["q"]
        house.disk.faults.append("absent")
        for way in ("refused", "alone", "late"):
            gone, here = Gone(queue), Taker(queue)
            if way == "alone":
                await queue.pause()
            if way == "late":
                house.disk.door.shut()
            queue.gathering.take(gone)
            queue.gathering.take(here)
            answers = await errors([here])
            assert gone.heard
            if way == "alone":
                await queue.resume()
            else:
                assert isinstance(answers[0], LedgerUnavailable | OutcomeUnknown)
        house.disk.door.open()
        assert queue.stats().in_flight == 0


async def test_a_disk_that_is_silent_for_many_queues_is_told_to_all(opened):
    names = [f"q{number}" for number in range(8)]
    async with opened(dict.fromkeys(names, "count"), commit_patience=0.05) as house:
        house.disk.door.shut()
        asked = [Gone(house[names[0]]), *(Taker(house[name]) for name in names[1:])]
        for taker in asked:
            taker.queue.gathering.take(taker)
        assert {type(each) for each in await errors(asked[1:])} == {OutcomeUnknown}
        assert asked[0].heard
        later = takers(house[names[0]], 1)
        assert [type(each) for each in await errors(later)] == [OutcomeUnknown]
        house.disk.door.open()


async def test_keys_that_cant_be_looked_up_for_whatever_reason_are_let_go(opened, monkeypatch):
    async with opened({"q": "count"}) as house:

        def fails(*_):
            raise RuntimeError("boom")

        monkeypatch.setattr(house.disk, "known_keys", fails, raising=False)
        assert await told(takers(house["q"], 1, 1, keys=["k"])) == [(2, [2], "open"), (1, [1], "open")]
        assert not len(house["q"].keys)


async def test_a_deal_that_cant_be_answered_costs_the_other_queues_nothing(opened, monkeypatch):
    async with opened({"q": "count", "r": "count"}) as house:

        def fails(*_):
            raise RuntimeError("boom")

        class Trader:
            token, ask = None, LeaseAsk(1)

            def __init__(self):
                self.told = asyncio.get_running_loop().create_future()

            def refused(self, error):
                self.told.set_exception(error)

        with monkeypatch.context() as broken:
            broken.setattr(_Deal, "_leases", fails)
            trader = Trader()
            house["q"].exchanging.trade(trader)
            assert [type(each) for each in await errors([trader])] == [OutcomeUnknown]
        assert await told(takers(house["r"], 1)) == [(1, [1], "open")]
        assert house["q"].stats().in_flight == 0
