"""Whoever waits hears of it: over a new definition, a deletion, a disk that fails or is silent."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import DibsError, LedgerUnavailable, OutcomeUnknown, QueueFailed, QueueUnknown
from dibs.ledger.serve import Key
from dibs.ledger.work import Ack, Parcel
from dibs.queue import LeaseAsk, asking
from dibs.sources import parse_source

PATIENCE = 60.0  # seconds; only a test that fails waits for so long


async def push(queue, *texts: str):
    return await queue.push((Parcel(texts),))


class Outage:
    """The disk fails at a push, and is away until :meth:`over`."""

    def __init__(self, house) -> None:
        self._house = house

    async def begin(self, soon) -> None:
        disk = self._house.disk
        disk.faults.append("absent")
        disk.repair_door.shut()
        self._failing = await soon(push(self._house["other"], "1"))
        await disk.repair_door.somebody()
        while self._house.queues.rounds.down is None:  # noqa: ASYNC110  # a thread tells it
            await asyncio.sleep(0)

    async def over(self) -> None:
        self._house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await self._failing


async def test_an_ask_that_has_gone_over_to_a_new_definition_ends_at_its_deadline(
    opened, soon, clock, eventually
):
    async with opened({"q": None}) as house:
        waits = await soon(house["q"].take(1, wait=20))
        await eventually(lambda: house["q"].stats().waiting == 1)
        await house.queues.define("q", None, reset=True)
        clock.skip(20)
        async with asyncio.timeout(PATIENCE):
            assert await waits is None


async def test_asks_that_are_tried_while_others_begin_to_wait_keep_their_deadlines(
    opened, soon, clock, eventually
):
    async with opened({"q": None, "other": None}) as house:
        queue, outage = house["q"], Outage(house)
        waits = [await soon(queue.take(1, wait=20, key=f"k{n}")) for n in range(100)]
        await eventually(lambda: queue.stats().waiting == 100)
        await outage.begin(soon)
        house.disk.door.shut()
        await outage.over()  # those with keys are asked
        await house.disk.door.somebody()
        waits.append(await soon(queue.take(1, wait=15)))
        house.disk.door.open()
        await eventually(lambda: queue.stats().waiting == 101)
        clock.skip(20)
        async with asyncio.timeout(PATIENCE):
            assert await asyncio.gather(*waits) == [None] * 101


async def test_a_key_of_a_deleted_queue_while_its_name_is_created_again(opened, soon):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(1, key="k")
        await house.queues.delete("q", confirmed=True)
        queue = house.queues.get("q", keyed=True)
        asked = await soon(queue.asked(asking.take(1, queue.line.limits, Key("new", ""))))
        defining = await soon(house.queues.define("q", parse_source("count()")))
        async with asyncio.timeout(PATIENCE):
            answer = await asked
        await defining
        assert list(answer.values) == [2]


async def test_a_repeat_is_looked_up_where_its_queue_is_deleted_meanwhile(opened, soon):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        first = await queue.take(1, key="k")
        house.disk.door.shut()
        deleting = await soon(house.queues.delete("q", confirmed=True))
        await house.disk.door.somebody()
        repeat = await soon(queue.take(1, key="k"))
        fresh = await soon(queue.take(1, key="another"))
        house.disk.door.open()
        await deleting
        assert (await repeat).first == first.first
        with pytest.raises(QueueUnknown):
            await fresh


async def test_a_repeat_that_waited_for_the_disk_is_looked_up_before_the_last_word(opened, soon):
    async with opened({"q": "count(max=1)", "other": None}) as house:
        queue, outage = house["q"], Outage(house)
        await queue.take(1, key="k")
        await outage.begin(soon)
        repeat = await soon(queue.take(1, key="k", wait=20))
        await outage.over()
        assert list((await repeat).values) == [1]


async def test_settlings_that_waited_for_the_disk_are_all_settled(opened, soon, clock):
    async with opened({"q": None, "other": None}) as house:
        queue, outage, many = house["q"], Outage(house), 1_100
        await push(queue, *["1"] * many)
        tokens = [(await queue.lease(LeaseAsk(ttl=60))).token for _ in range(many)]
        await outage.begin(soon)
        more = LeaseAsk(wait=20)
        settlings = [await soon(queue.settle((Ack(token),), lease=more)) for token in tokens]
        await outage.over()
        while (await queue.audit()).acked < many:
            pass
        clock.skip(20)
        told = await asyncio.gather(*settlings, return_exceptions=True)
        assert [type(one).__name__ for one in told if isinstance(one, DibsError)] == []
        assert sum(len(one.entries) for one in told) == many


async def test_nothing_is_handed_out_to_a_caller_that_left_while_its_ask_was_moved(opened, soon, eventually):
    async with opened({"q": "count()", "other": None}) as house:
        house.disk.door.shut()
        pushing = await soon(push(house["other"], "1"))
        await house.disk.door.somebody()
        leaves = await soon(house["q"].take(1))
        reset = await soon(house.queues.define("q", parse_source("count()"), reset=True))
        await eventually(lambda: house.in_line == 2)
        house.disk.door.let_one()
        await house.disk.door.somebody()
        leaves.cancel()
        house.disk.door.open()
        await asyncio.gather(pushing, reset)
        assert (await house["q"].take(1)).first == 1


async def test_a_purge_with_a_key_gets_past_many_leases(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, *["1"] * 250)
        for _ in range(250):
            await queue.lease(LeaseAsk(ttl=60))
        await push(queue, "2")
        async with asyncio.timeout(PATIENCE):
            assert (await queue.purge(("waiting",), key="p")).count == 1


async def test_a_settling_is_told_although_its_lease_meets_a_disk_that_fails(opened, soon, eventually):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        held = await queue.lease(LeaseAsk(ttl=60))
        waits = await soon(queue.settle((Ack(held.token),), lease=LeaseAsk(wait=20)))
        await eventually(lambda: queue.stats().waiting == 1)
        house.disk.faults.extend([None, "absent"])
        await push(queue, "2")
        answer = await waits
        assert [part.verdict for part in answer.entries[0]] == ["acked"]


async def test_who_comes_while_the_disk_is_silent_hears_of_it(opened, soon, clock):
    async with opened({"q": "count()"}, commit_patience=30.0) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = await soon(queue.take(1))
        await house.disk.door.somebody()
        behind, pushing = await soon(queue.take(1)), await soon(queue.pause())
        clock.skip(30)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(OutcomeUnknown):
                await first
            with pytest.raises(LedgerUnavailable):
                await behind
            with pytest.raises(LedgerUnavailable):
                await pushing


async def test_takes_are_not_starved_by_large_pushes(opened, soon, monkeypatch):
    monkeypatch.setattr("dibs.queue.batch.BYTES_MOST", 1_000)
    async with opened({"q": "count()", "p": None}) as house:
        done = False

        async def pushes() -> None:
            while not done:
                await push(house["p"], f'"{"x" * 1_000}"')

        pushing = [await soon(pushes()) for _ in range(4)]
        await asyncio.sleep(0.05)
        try:
            async with asyncio.timeout(PATIENCE):
                assert (await house["q"].take(1)).first == 1
        finally:
            done = True
            await asyncio.gather(*pushing)


def broken(*args, **named):
    raise ValueError("no such source")


async def test_an_answer_that_cannot_be_made_is_that_callers_alone(opened, soon, monkeypatch):
    async with opened({"q": "count()", "other": None}) as house:
        queue = house["q"]
        await queue.take(1, key="k")
        house.disk.door.shut()
        pushing = await soon(push(house["other"], "1"))
        await house.disk.door.somebody()

        monkeypatch.setattr(queue.line.computing, "of", broken)
        fresh = await soon(queue.take(1))
        repeat = await soon(queue.take(1, key="k"))
        after = await soon(queue.take(1))
        house.disk.door.open()
        await pushing
        assert (await fresh).first == 2
        assert (await after).first == 3
        with pytest.raises(OutcomeUnknown):
            await repeat
        assert queue.line.meter.in_flight == 0


@pytest.mark.parametrize("error", [SystemExit("out"), KeyboardInterrupt()])
async def test_a_source_that_leaves_its_thread_in_a_replay_has_failed(opened, stage, script, error, tmp_path):
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        await house["q"].take(2)
    script.errors[1] = error
    async with opened({"q": stage.spec()}, data=tmp_path) as house:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(QueueFailed):
                await house["q"].take(1, wait=20)


async def test_what_is_refused_while_the_server_goes_down_waits_no_more(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = await soon(queue.pause())
        await house.disk.door.somebody()
        waits = await soon(queue.take(1, wait=20, key="k"))
        house.queues.stop()
        house.disk.faults.append("absent")
        house.disk.repair_door.shut()
        house.disk.door.open()
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(DibsError):
                await waits
        house.disk.repair_door.open()
        with pytest.raises(LedgerUnavailable):
            await first


async def test_a_round_that_cannot_begin_is_told_to_those_in_it(opened, stage, script, monkeypatch):
    async with opened({"q": stage.spec()}) as house:
        queue = house["q"]
        await queue.take(1)

        def fails(items: int) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(queue.line.feeder, "offer", fails)
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(LedgerUnavailable):
                    await queue.take(1, key="k")
        assert (await queue.take(1, key="k")).first == 2


class Watched(list):
    """A list that nobody looks through for one."""

    def __contains__(self, one: object) -> bool:
        raise AssertionError

    remove = __contains__


async def test_who_leaves_the_line_is_not_looked_for_in_it(opened, soon):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        pausing = await soon(queue.resume())
        await house.disk.door.somebody()
        tasks = [await soon(queue.take(1)) for _ in range(3)]
        queue.line.upcoming._asks = Watched(queue.line.upcoming._asks)
        tasks[0].cancel()
        tasks[2].cancel()
        house.disk.door.open()
        await pausing
        assert (await tasks[1]).first == 1
        assert (await queue.take(1)).first == 2
        assert queue.line.meter.in_flight == 0
