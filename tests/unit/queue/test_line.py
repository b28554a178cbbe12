"""The line of a queue: who joins a round, who waits and until when."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    KeyReused,
    OutcomeUnknown,
    QueueFailed,
    QueueUnknown,
    SourceBusy,
    Stopping,
)
from dibs.ledger.serve import Ask, HandOut, Key, Serve
from dibs.ledger.work import Ack, Parcel, Release
from dibs.queue import LeaseAsk, asking
from dibs.queue.callers import Nobody
from dibs.queue.limits import Limits
from dibs.queue.upcoming import Upcoming
from dibs.queue.wait import WAIT, Wait
from dibs.queue.waiting import Waiting
from dibs.sources import parse_source as parse

from .lines import Client, push


def sizes(house) -> list[int]:
    """How many asks each round has had that is on disk."""
    return [len(serve.asks) for serve in house.disk.ops(Serve)]


# -- keys


def test_a_key_that_asked_for_no_items_counts_for_those_that_it_asks_for_next():
    upcoming = Upcoming(drawn=True)
    for n, handout in ((1, None), (2, HandOut(3, 1_000))):
        ask = Ask(handout, key=Key("k", f"request {n}", n))
        upcoming.add(Waiting(None, ask, Nobody(), 0.0, 0.0))
        assert upcoming.wanted == (3 if handout else 0)
        upcoming.take()


async def test_repeats_of_one_key_draw_its_values_once(opened, stage, script, eventually):
    async with opened({"q": stage.spec()}) as house:
        script.door.shut()
        calls = [asyncio.ensure_future(house["q"].take(2, key="k", wait=5)) for _ in range(5)]
        await script.door.somebody()
        script.door.open()
        await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.gather(*(house["q"].take(2, key="k") for _ in range(5)))
        await eventually(lambda: not house["q"].supply.pulling)
        assert script.pulls in {2, 4}  # two for the key, perhaps two ahead for those that might have been new
        assert (await house["q"].audit()).cursor == 2


async def test_another_request_under_the_key_of_one_that_waits_is_refused(opened, eventually, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        waiting = await soon(queue.lease(LeaseAsk(wait=20), key="k"))
        await eventually(lambda: queue.line.parked == 1)
        with pytest.raises(KeyReused):
            await queue.lease(LeaseAsk(2, wait=20), key="k")
        await push(queue, "1")
        assert list((await waiting).values) == ["1"]


# -- asks that wait


async def test_a_push_is_handed_in_its_own_batch_to_as_many_as_it_may_serve(opened, eventually):
    async with opened({"q": None}, waiting=1000) as house:
        queue, clients = house["q"], [Client() for _ in range(500)]
        for client in clients:
            queue.line.ask(asking.take(1, queue.line.limits), 20, client)
        await queue.take(1)
        assert queue.line.parked == 500
        before = len(house.disk.batches)
        await push(queue, *map(str, range(300)))
        await eventually(lambda: sum(bool(client.told) for client in clients) == 300)
        await push(queue, "300")
        await queue.push((Parcel(("301",), delay=20),))
        assert [[type(op).__name__ for op in batch] for batch in house.disk.batches[before:]] == [
            ["Push", "Serve"],
            ["Push", "Serve"],
            ["Push"],
        ]
        assert sizes(house)[-2:] == [300, 1]
        await eventually(lambda: sum(bool(client.told) for client in clients) == 302)
        told = [client.told[0].values[0] for client in clients if client.told]
        assert told == [str(number) for number in range(302)]  # in order of arrival
        queue.line.stop()


async def test_asks_that_wait_are_tried_64_at_first_and_then_twice_as_many_while_all_are_served(
    opened, eventually
):
    async with opened({"q": None}, waiting=1000) as house:
        queue, clients = house["q"], [Client() for _ in range(500)]
        await push(queue, *map(str, range(370)))
        leases = [await queue.lease(LeaseAsk(most=most)) for most in (300, 70)]
        for client in clients:
            queue.line.ask(asking.take(1, queue.line.limits), 20, client)
        await queue.take(1)
        before = len(sizes(house))
        await queue.settle((Release(leases[0].token),))
        await eventually(lambda: sum(bool(client.told) for client in clients) == 300)
        assert sizes(house)[before:] == [1, 64, 128, 256]  # of which 148 were in vain
        await queue.settle((Release(leases[1].token),))
        await eventually(lambda: sum(bool(client.told) for client in clients) == 370)
        assert sizes(house)[before + 4 :] == [1, 64, 128]
        told = [client.told[0].values[0] for client in clients if client.told]
        assert told == [str(number) for number in range(370)]  # in order of arrival
        queue.line.stop()


async def test_an_ask_that_is_sent_again_has_its_turn_in_the_round(opened, soon, eventually):
    async with opened({"q": None}) as house:
        queue, limits = house["q"], house["q"].line.limits
        first, second, repeat = Client(), Client(), Client()

        def ask(key: str, client: Client) -> None:
            queue.line.ask(asking.take(1, limits, Key(key, "")), 20, client)

        ask("one", first)
        await eventually(lambda: queue.line.parked == 1)
        house.disk.door.shut()
        pausing = await soon(queue.resume())  # on its way to the disk, while others gather
        await house.disk.door.somebody()
        ask("two", second)
        ask("one", repeat)
        pushing = await soon(push(queue, "1"))
        house.disk.door.open()
        await pausing
        await pushing
        assert isinstance(first.told[0], SourceBusy)
        assert list(repeat.told[0].values) == ["1"]
        assert not second.told
        queue.line.stop()


async def test_a_block_never_waits(opened, eventually):
    async with opened({"q": "count(max=3)"}) as house:
        queue, client = house["q"], Client()
        leased = await queue.lease(LeaseAsk(most=3))
        await queue.settle((Release(leased.token),))  # what waits is for others than blocks
        before = len(sizes(house))
        queue.line.ask(asking.block(1, queue.line.limits), 20, client)
        await eventually(lambda: bool(client.told))
        assert sizes(house)[before:] == [1]
        assert client.told[0].size == 0


@pytest.mark.parametrize("sure", [True, False])
async def test_that_there_is_nothing_is_said_from_memory_only_by_who_is_sure_to_own(opened, eventually, sure):
    async with opened({"q": None}) as house:
        queue, client = house["q"], Client()
        await push(queue, "1")
        await queue.take(1)
        before = len(sizes(house))
        house.disk.sure = sure
        queue.line.ask(asking.take(1, queue.line.limits), 0, client)
        await eventually(lambda: bool(client.told))
        assert client.told[0].size == 0
        assert len(sizes(house)) == before + (not sure)


@pytest.mark.parametrize("sure", [True, False])
async def test_so_it_is_said_to_who_has_waited_for_it(opened, eventually, sure):
    async with opened({"q": None}) as house:
        queue, client = house["q"], Client()
        before = len(sizes(house))
        queue.line.ask(asking.take(1, queue.line.limits), 0.05, client)
        assert queue.line.parked == 1
        house.disk.sure = sure
        await eventually(lambda: bool(client.told))
        assert (client.told[0].size, queue.line.parked) == (0, 0)
        assert len(sizes(house)) == before + (not sure)


async def test_two_requests_of_one_key_in_one_instant(opened, monkeypatch, eventually):
    async with opened({"q": None}) as house:
        queue, clients = house["q"], [Client(), Client()]
        now = queue.line._loop.time()
        monkeypatch.setattr(queue.line._loop, "time", lambda: now)  # uvloop's time stands for a millisecond
        queue.line.ask(asking.take(1, queue.line.limits, Key("k", "")), 20, clients[0])
        await eventually(lambda: queue.line.parked == 1)
        queue.line.ask(asking.take(1, queue.line.limits, Key("k", "")), 20, clients[1])
        assert isinstance(clients[0].told[0], SourceBusy)
        await eventually(lambda: queue.line.parked == 1)
        await push(queue, "1")
        assert list(clients[1].told[0].values) == ["1"]
        queue.line.stop()


async def test_of_several_asks_one_leaves_before_its_round_begins(opened):
    async with opened({"q": "count()"}) as house:
        queue, limits = house["q"], house["q"].line.limits
        one, two, three = Client(), Client(), Client()
        queue.line.ask(asking.take(1, limits), 0, one)
        dropped = queue.line.ask(asking.take(1, limits), 0, two)
        queue.line.drop(dropped)
        queue.line.ask(asking.take(1, limits), 0, three)
        await queue.take(1, key="k")
        assert [client.told[0].first for client in (one, three)] == [1, 2]
        assert (two.told, queue.stats().in_flight) == ([], 0)


async def test_a_settling_whose_client_goes_before_its_round_settles_and_leases_nothing(opened):
    async with opened({"q": "count()"}) as house:
        queue, client = house["q"], Client()
        token = (await queue.lease(LeaseAsk())).token
        settling = asking.work((Ack(token),), LeaseAsk(), queue.line.limits, queue.line.tokens.new)
        client.gone = True
        queue.line.drop(queue.line.ask(settling, 0, client))
        await queue.take(1)
        audit = await queue.audit()
        assert (audit.acked, audit.leased, audit.taken, client.told) == (1, 0, 1, [])


async def test_an_ask_of_a_queue_that_is_gone_hears_that_there_is_none(opened):
    async with opened({"q": "count()"}) as house:
        line, client = house["q"].line, Client()
        await house.queues.delete("q")
        line.drop(line.ask(asking.take(1, line.limits), 20, client))
        assert [type(told) for told in client.told] == [QueueUnknown]


async def test_asks_of_a_queue_that_is_defined_anew_go_to_the_new_one(opened, soon):
    async with opened({"q": None}) as house:
        old = house["q"].line
        waiting, client = await soon(house["q"].take(1, wait=20)), Client()
        await house["q"].take(1)
        await house.queues.define("q", parse("count()"))
        old.ask(asking.take(1, old.limits), 0, client)
        await house["q"].take(1)
        assert ((await waiting).first, client.told[0].first) == (1, 2)


# -- going down


async def test_going_down_tells_those_that_wait_and_a_settling_what_it_has_settled(opened, eventually, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        settling = await soon(queue.settle((Ack(token),), lease=LeaseAsk(wait=20), key="k"))
        taking = await soon(queue.take(1, wait=20, key="t"))
        await eventually(lambda: queue.line.parked == 2)
        house.queues.stop()
        settled = await settling
        assert [entry[0].verdict for entry in settled.entries] == ["acked"]
        assert isinstance(settled.refusal, Stopping)
        with pytest.raises(Stopping):
            await taking
        with pytest.raises(Stopping):
            await queue.take(1, wait=20)


# -- a source that does not stand where its queue does


async def test_a_buffer_that_begins_beyond_the_next_item_fails_the_source_until_a_retry(
    opened, stage, script
):
    async with opened({"q": stage.spec()}) as house:
        queue = house["q"]
        await queue.take(2)
        queue.line.supply._buffer.first += 5  # as no rule of ours ever leaves it
        with pytest.raises(QueueFailed, match="it stands at item 8, and the queue at 2"):
            await queue.take(1, wait=20)
        await queue.retry()
        taken = await queue.take(2, wait=20)
        assert (taken.first, list(taken.values)) == (3, ["3", "4"])


async def test_more_asks_than_may_wait_leave_the_older_ones_waiting(opened):
    async with opened({"q": None}, waiting=1) as house:
        queue, client = house["q"], Client()
        queue.line.ask(asking.take(1, queue.line.limits, Key("a", "")), 20, client)
        with pytest.raises(SourceBusy):
            await queue.take(1, wait=20, key="b")
        await push(queue, "1")
        await queue.take(1)
        assert [list(answer.values) for answer in client.told] == [["1"]]


# -- a batch has room for so much


async def test_asks_for_more_items_than_a_batch_has_room_for_come_in_the_next(opened):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        taken = await asyncio.gather(*(queue.take(count) for count in (6_000, 4_000, 1, 9_999)))
        assert [each.first for each in taken] == [1, 6_001, 10_001, 10_002]
        assert sizes(house) == [2, 2]


async def test_ranges_of_settlings_fill_a_batch_too(opened):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        token = (await queue.lease(LeaseAsk(10))).token
        many = [Ack(token, seqs=tuple((seq, seq) for seq in range(11, 10_011)))]
        stale, acked = await asyncio.gather(queue.settle(tuple(many)), queue.settle((Ack(token),)))
        assert [entry[0].verdict for entry in acked.entries] == ["acked"]
        assert all(settled.verdict == "stale" for settled in stale.entries[0])
        assert sizes(house) == [1, 1, 1]


async def test_a_caller_that_fails_at_its_answer_keeps_nobody_from_its_own(opened, caplog):
    class Broken(Client):
        def answered(self, what) -> None:
            raise ZeroDivisionError

    async with opened({"q": "count()"}) as house:
        queue, limits = house["q"], house["q"].line.limits
        queue.line.ask(asking.take(1, limits), 0, Broken())
        assert (await queue.take(1)).first == 2
        assert "after a batch" in caplog.text


async def test_the_end_of_input_ends_the_wait_of_a_task(opened, eventually):
    async with opened({"q": None}) as house:
        wait = Wait()
        WAIT.set(wait)
        asked = asyncio.ensure_future(house["q"].take(1, wait=20))
        await eventually(lambda: house["q"].line.parked == 1)
        wait.end()
        assert await asked is None
        assert await house["q"].take(1, wait=20) is None  # of a client that sends nothing more


@pytest.mark.parametrize("key", [None, "k"])
async def test_an_outcome_that_comes_after_its_caller_was_left_in_doubt_stands(opened, key):
    async with opened({"q": "count()"}) as house:
        queue, rounds = house["q"], house.queues.rounds
        rounds.close()  # its timer, which is for as long as the limit says
        rounds._silent = None
        house.queues.limits.become(Limits(commit_patience=0.02))
        house.disk.door.shut()
        with pytest.raises(OutcomeUnknown):
            await queue.take(1, key=key)
        house.queues.limits.become(Limits())
        house.disk.door.open()
        again = await queue.take(1, key=key, wait=20)
        assert (again.first, again.replayed) == ((1, True) if key else (2, False))
        assert queue.stats().in_flight == 0
