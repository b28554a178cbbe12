"""Takes that are drawn together: each gets its own, whatever happens in between, and nothing is lost."""

import asyncio
from collections import Counter

import pytest
from dibs.errors import LedgerUnavailable, OutcomeUnknown, Stopping
from dibs.ledger.ops import Pause, Take
from dibs.queue.gather import ITEMS_MOST, first_of


class Taker:
    """Notes what it is told; who has to ask alone does so."""

    def __init__(self, queue, count=1, key=None):
        self.queue, self.count, self.key = queue, count, key
        self.told = asyncio.get_running_loop().create_future()
        self.went_alone = False

    @property
    def request(self):
        return f"take {self.count}"

    def handed(self, first, values, state):
        self.told.set_result((first, list(values), state))

    def refused(self, error):
        self.told.set_exception(error)

    def alone(self):
        self.went_alone = True
        self.task = asyncio.ensure_future(self.ask())

    async def ask(self):
        try:
            taken = await self.queue.take(self.count, key=self.key)
            self.told.set_result((taken.first, list(taken.values), taken.state))
        except Exception as error:
            self.told.set_exception(error)


def takers(queue, *counts, keys=()):
    keys = [*keys, *[None] * (len(counts) - len(keys))]
    asked = [Taker(queue, count, key) for count, key in zip(counts, keys, strict=True)]
    for taker in asked:
        queue.gathering.take(taker)
    return asked


async def told(asked):
    return [await asyncio.wait_for(taker.told, 10) for taker in asked]


async def errors(asked):
    return await asyncio.wait_for(
        asyncio.gather(*(taker.told for taker in asked), return_exceptions=True), 10
    )


async def test_what_is_asked_in_one_step_is_one_draw_and_each_gets_the_next(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        assert await told(takers(queue, 1, 3, 2)) == [
            (1, [1], "open"),
            (2, [2, 3, 4], "open"),
            (5, [5, 6], "open"),
        ]
        assert [(take.first, take.count) for take in house.disk.ops(Take)] == [(1, 6)]
        assert (await queue.take(1)).first == 7
        stats = queue.stats()
        assert (stats.requests, stats.handed_out, stats.in_flight, stats.answer.samples) == (4, 7, 0, 4)


async def test_who_asks_while_the_disk_is_busy_is_in_the_next_draw(opened, eventually):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = takers(queue, 1)
        await house.disk.door.somebody()
        later = takers(queue, 1)
        await asyncio.sleep(0)
        later += takers(queue, 2)
        assert not house.in_line
        house.disk.door.let_one()
        assert await told(first) == [(1, [1], "open")]
        await house.disk.door.somebody()
        house.disk.door.open()
        assert await told(later) == [(2, [2], "open"), (3, [3, 4], "open")]
        assert [take.count for take in house.disk.ops(Take)] == [1, 3]


async def test_many_loops_of_many_takers_get_each_value_once_and_in_order(opened):
    async with opened({"q": "count"}) as house:
        queue, seen = house["q"], []
        for turn in range(50):
            asked = takers(queue, *[1 + (turn + n) % 3 for n in range(20)])
            for first, values, _ in await told(asked):
                assert values == list(range(first, first + len(values)))
                seen += values
        assert seen == list(range(1, len(seen) + 1))


async def test_the_last_items_go_to_the_first_and_the_others_are_told_the_end(opened):
    async with opened({"q": "range(0, 4)"}) as house:
        answers = await errors(takers(house["q"], 1, 2, 3, 1))
        assert answers[:3] == [(1, [0], "open"), (2, [1, 2], "open"), (4, [3], "exhausted")]
        assert str(answers[3]) == "q has handed out all its items"
        assert [str(each)[:1] for each in await errors(takers(house["q"], 1, 1))] == ["q", "q"]


async def test_wide_numbers_stay_strings(opened):
    async with opened({"q": "count(max=9223372036854775807)"}) as house:
        assert await told(takers(house["q"], 1, 2)) == [(1, ['"1"'], "open"), (2, ['"2"', '"3"'], "open")]


@pytest.mark.parametrize("source", ['count(format="N-{}")', "grid(a=[1, 2, 3])"])
async def test_a_source_that_does_not_count_is_asked_one_by_one(opened, source):
    async with opened({"q": source}) as house:
        asked = takers(house["q"], 1, 1)
        assert sorted(first for first, _, _ in await told(asked)) == [1, 2]
        assert all(taker.went_alone for taker in asked)


async def test_what_waits_goes_out_first(opened):
    async with opened({"q": "count"}) as house:
        from dibs.ledger.work import Nack
        from dibs.queue import LeaseAsk

        queue = house["q"]
        lease = await queue.lease(LeaseAsk(2))
        await queue.settle((Nack(lease.token, delay=0),))
        assert Counter(first for first, _, _ in await told(takers(queue, 1, 1, 1))) == Counter([1, 2, 3])


async def test_a_paused_queue_says_so_to_each(opened):
    async with opened({"q": "count"}) as house:
        await house["q"].pause()
        assert [str(each) for each in await errors(takers(house["q"], 1, 1))] == ["q is paused"] * 2
        await house["q"].resume()
        assert await told(takers(house["q"], 1)) == [(1, [1], "open")]


async def test_a_pause_between_asking_and_drawing(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        asked = takers(queue, 1)
        pausing = queue.submit(Pause(queue.row.id, True))
        answers = await errors(asked)
        await pausing
        assert "paused" in str(answers[0])
        await queue.resume()
        assert await told(takers(queue, 1)) == [(1, [1], "open")]


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_commit_that_fails_is_decided_for_all_by_the_cursor(opened, fault):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        house.disk.faults.append(fault)
        answers = await errors(takers(queue, 1, 2, keys=["k"]))
        after = await told(takers(queue, 1, 1, keys=["k"]))
        if fault == "present":
            assert answers == [(1, [1], "open"), (2, [2, 3], "open")]
            assert after == [(1, [1], "open"), (4, [4], "open")]
        else:
            assert [type(each) for each in answers] == [LedgerUnavailable] * 2
            assert sorted(after) == [(1, [1], "open"), (2, [2], "open")]
        assert not len(queue.keys)
        assert queue.stats().in_flight == 0


async def test_while_the_ledger_is_down_each_is_told_and_nothing_is_drawn(opened):
    async with opened({"q": "count"}) as house:
        house.disk.repair_door.shut()
        house.disk.faults.append("absent")
        first = takers(house["q"], 1)
        await house.disk.repair_door.somebody()
        second = takers(house["q"], 1, 1)
        third = takers(house["q"], 1)
        house.disk.repair_door.open()
        answers = await errors([*first, *second, *third])
        assert {type(each) for each in answers} <= {LedgerUnavailable, tuple}
        handed = [each[0] for each in answers if isinstance(each, tuple)]
        last = await told(takers(house["q"], 1))
        assert [*handed, last[0][0]] == list(range(1, len(handed) + 2))


async def test_a_silent_disk_is_told_and_keeps_nobody_who_comes_later(opened):
    async with opened({"q": "count"}, pull_patience=0.01, commit_patience=0.02) as house:
        queue = house["q"]
        house.disk.door.shut()
        asked = takers(queue, 1, keys=["k"])
        await house.disk.door.somebody()
        later = takers(queue, 1)
        answers = await errors([*asked, *later])
        assert [type(each) for each in answers] == [OutcomeUnknown] * 2
        assert len(queue.keys) == 1, "the key is held while nobody knows"
        again = asyncio.ensure_future(queue.take(1, key="k"))
        house.disk.door.open()
        assert (await again).first == 1
        assert (await queue.take(1)).first == 3
        assert queue.stats().in_flight == 0


async def test_a_server_that_goes_down_refuses(opened):
    async with opened({"q": "count"}) as house:
        house.queues.stop()
        assert [type(each) for each in await errors(takers(house["q"], 1))] == [Stopping]


class TestKeys:
    async def test_the_same_key_twice_in_one_step_is_one_take(self, opened):
        async with opened({"q": "count"}) as house:
            asked = takers(house["q"], 1, 1, 1, keys=["k", "k", "l"])
            assert await told(asked) == [(1, [1], "open"), (1, [1], "open"), (2, [2], "open")]
            assert await told(takers(house["q"], 1, keys=["k"])) == [(1, [1], "open")]
            assert house["q"].info().cursor == 2

    async def test_a_key_of_another_request_is_refused_and_draws_nothing(self, opened):
        async with opened({"q": "count"}) as house:
            await told(takers(house["q"], 1, keys=["k"]))
            answers = await errors(takers(house["q"], 2, 1, keys=["k"]))
            assert "first sent with another request (take 1, not take 2)" in str(answers[0])
            assert answers[1] == (2, [2], "open")

    async def test_a_key_in_flight_the_ordinary_way_is_waited_for(self, opened, soon):
        async with opened({"q": "count"}) as house:
            house.disk.door.shut()
            first = await soon(house["q"].take(1, key="k"))
            await house.disk.door.somebody()
            asked = takers(house["q"], 1, keys=["k"])
            await asyncio.sleep(0)
            house.disk.door.open()
            assert await told(asked) == [((await first).first, [1], "open")]

    async def test_over_a_restart(self, opened, tmp_path):
        async with opened({"q": "count"}, data=tmp_path) as house:
            before = await told(takers(house["q"], 2, 1, 3, keys=["a", "b"]))
        async with opened({"q": "count"}, data=tmp_path) as house:
            assert await told(takers(house["q"], 2, 1, keys=["a", "b"])) == before[:2]
            assert (await house["q"].take(2, key="a")).replayed
            assert await told(takers(house["q"], 1)) == [(7, [7], "open")]

    async def test_keys_that_cant_be_looked_up_draw_nothing(self, opened, monkeypatch):
        async with opened({"q": "count"}) as house:

            def fails(*_):
                raise LedgerUnavailable("the disk fails")

            monkeypatch.setattr(house.disk, "known_keys", fails, raising=False)
            monkeypatch.setattr(house.disk, "recall", fails, raising=False)
            answers = await errors(takers(house["q"], 1, 1, keys=["k"]))
            assert [type(each) for each in answers] == [OutcomeUnknown, tuple]
            assert answers[1] == (1, [1], "open")
            assert not len(house["q"].keys)


async def test_a_large_crowd_is_served_in_parts(opened):
    async with opened({"q": "count"}) as house:
        await told(takers(house["q"], *[ITEMS_MOST // 3] * 7))
        assert [take.count for take in house.disk.ops(Take)] == [ITEMS_MOST // 3 * 3] * 2 + [ITEMS_MOST // 3]


async def test_a_large_crowd_is_refused_one_after_the_other_while_the_ledger_is_down(opened):
    async with opened({"q": "count"}) as house:
        house.queues._committer._down = LedgerUnavailable("the disk fails")
        crowd = takers(house["q"], *[ITEMS_MOST] * 500)
        assert {type(each) for each in await errors(crowd)} == {LedgerUnavailable}
        house.queues._committer._down = None
        assert await told(takers(house["q"], 1)) == [(1, [1], "open")]


def test_one_is_served_however_much_it_asks_for():
    assert first_of(["a", "b"], [ITEMS_MOST * 2, 1]) == (["a"], ["b"])
    assert first_of(["a", "b"], [ITEMS_MOST, 1]) == (["a"], ["b"])
    assert first_of(["a", "b"], [1, 1]) == (["a", "b"], [])


@pytest.mark.parametrize("keys", [(), ("a", None, "c")])
async def test_a_history_tells_whose_each_item_is(opened, keys):
    async with opened({"q": "count"}) as house:
        await house.queues.define("q", house["q"].spec, settings={"history": 1_000})
        await told(takers(house["q"], 1, 3, 2, keys=keys))
        found = await house.queues.history("q", seq=None, after=0, limit=10)
        assert [(row.first, row.last) for row in found.rows] == [(1, 1), (2, 4), (5, 6)]
        assert [row.key for row in found.rows] == list(keys or (None,) * 3)
        assert len(house.disk.ops(Take)) == 1
