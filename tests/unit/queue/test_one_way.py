"""The rules of the one way, each with its race forced: keys in one batch, clients that go, openings."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import KeyReused, KeySuperseded, QueuePaused, SourceBusy
from dibs.ledger.serve import Key
from dibs.ledger.work import Ack, Parcel
from dibs.queue import LeaseAsk, asking


async def push(queue, *texts: str) -> None:
    await queue.push((Parcel(texts),))


async def test_two_asks_with_one_key_in_one_batch_have_one_answer(opened):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        one, two = await asyncio.gather(queue.take(2, key="k"), queue.take(2, key="k"))
        assert (one.spans, one.values) == (two.spans, two.values)
        assert [one.replayed, two.replayed] == [False, True]
        assert len(house.disk.batches[-1][0].asks) == 2
        assert (await queue.audit()).cursor == 2


async def test_an_empty_answer_is_not_kept_under_its_key(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        assert await queue.lease(LeaseAsk(), key="k") is None
        await push(queue, "1")
        leased = await queue.lease(LeaseAsk(), key="k")
        assert (list(leased.values), leased.replayed) == (["1"], False)


async def test_a_repeat_takes_the_place_of_the_ask_that_waits(opened, soon, eventually):
    async with opened({"q": None}) as house:
        queue = house["q"]
        older = await soon(queue.lease(LeaseAsk(wait=20), key="k"))
        await eventually(lambda: queue.stats().waiting == 1)
        behind = await soon(queue.lease(LeaseAsk(wait=20)))
        await eventually(lambda: queue.stats().waiting == 2)
        repeat = await soon(queue.lease(LeaseAsk(wait=20), key="k"))
        with pytest.raises(SourceBusy):
            await older
        await eventually(lambda: queue.stats().waiting == 2)
        await push(queue, "1")
        await push(queue, "2")
        assert [list((await one).values) for one in (repeat, behind)] == [["1"], ["2"]]


async def test_of_two_repeats_that_are_on_their_way_together_one_waits(opened, soon, eventually):
    async with opened({"q": None}) as house:
        queue = house["q"]
        house.disk.door.shut()
        older = await soon(queue.lease(LeaseAsk(wait=20), key="k"))
        await house.disk.door.somebody()  # it is in a batch, and not in the list of those that wait
        newer = await soon(queue.lease(LeaseAsk(wait=20), key="k"))
        house.disk.door.open()
        with pytest.raises(SourceBusy):
            await older
        await eventually(lambda: queue.stats().waiting == 1)
        await push(queue, "1")
        assert list((await newer).values) == ["1"]


async def test_a_later_request_of_a_session_ends_the_one_that_waits_and_an_earlier_is_refused(
    opened, soon, eventually
):
    async with opened({"q": None}) as house:
        queue = house["q"]
        keys = [Key("s", "", n=n) for n in (1, 2)]
        first = await soon(queue.lease(LeaseAsk(wait=20), key=keys[0]))
        await eventually(lambda: queue.stats().waiting == 1)
        second = await soon(queue.lease(LeaseAsk(wait=20), key=keys[1]))
        with pytest.raises(KeySuperseded):
            await first
        await eventually(lambda: queue.stats().waiting == 1)
        with pytest.raises(KeySuperseded):
            await queue.lease(LeaseAsk(wait=20), key=keys[0])
        await push(queue, "1")
        assert list((await second).values) == ["1"]


@pytest.mark.parametrize(
    ("old", "new", "most", "refusal"),
    [
        (0, 5, 1, KeyReused),
        (3, 0, 1, KeyReused),
        (0, 0, 2, KeyReused),
        (3, 3, 2, KeyReused),
        (3, 2, 1, KeySuperseded),
        (3, 4, 2, None),
        (3, 3, 1, None),
    ],
)
async def test_a_key_is_ruled_on_alike_while_the_older_request_waits_and_once_it_is_answered(
    opened, soon, eventually, old, new, most, refusal
):
    """``old`` and ``new`` are the numbers of two requests; the second leases up to ``most`` items."""
    async with opened({"waits": None, "answered": None}) as house:
        older, newer = Key("k", "", n=old), Key("k", "", n=new)
        answered = house["answered"]
        await push(answered, "1", "2", "3")
        await answered.lease(LeaseAsk(), key=older)
        if refusal:
            with pytest.raises(refusal):
                await answered.lease(LeaseAsk(most=most), key=newer)
        else:
            assert await answered.lease(LeaseAsk(most=most), key=newer)

        waits = house["waits"]
        first = await soon(waits.lease(LeaseAsk(wait=20), key=older))
        await eventually(lambda: waits.stats().waiting == 1)
        if refusal:
            with pytest.raises(refusal):
                await waits.lease(LeaseAsk(most=most, wait=20), key=newer)
            await push(waits, "1")
            assert list((await first).values) == ["1"]
        else:
            second = await soon(waits.lease(LeaseAsk(most=most, wait=20), key=newer))
            with pytest.raises(SourceBusy if old == new else KeySuperseded):
                await first
            await push(waits, "1")
            assert list((await second).values) == ["1"]


async def test_a_settling_is_filed_before_its_lease_which_is_filed_into_it(opened, soon, eventually):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        settling = await soon(queue.settle((Ack(token),), lease=LeaseAsk(wait=20), key="k"))
        await eventually(lambda: queue.stats().waiting == 1)
        assert (await queue.audit()).acked == 1
        bare = await queue.settle((Ack(token),), lease=LeaseAsk(), key="k")
        assert ([entry[0].verdict for entry in bare.entries], bare.size) == (["acked"], 0)
        with pytest.raises(SourceBusy):
            await settling  # ended by its repeat
        await push(queue, "2")
        leased = await queue.settle((Ack(token),), lease=LeaseAsk(), key="k")
        again = await queue.settle((Ack(token),), lease=LeaseAsk(), key="k")
        assert (list(leased.values), again.token) == (["2"], leased.token)
        assert (await queue.audit()).acked == 1


class Client:
    """A caller that notes what it is told."""

    def __init__(self) -> None:
        self.gone = False
        self.told: list = []

    answered = refused = lambda self, what: self.told.append(what)


def lease_of(queue, key=None):
    return asking.work((), LeaseAsk(), queue.line.limits, queue.line.tokens.new, key=key)


async def test_an_ask_that_waits_is_dropped_with_its_client(opened):
    async with opened({"q": None}) as house:
        queue, client = house["q"], Client()
        waiting = queue.line.ask(lease_of(queue), 20, client)
        await queue.take(1, key="b")  # a round later, in which it got nothing
        assert (queue.line.parked, queue.stats().in_flight) == (1, 1)
        queue.line.drop(waiting)
        assert (queue.line.parked, queue.stats().in_flight) == (0, 0)
        await push(queue, "1")
        assert list((await queue.take(1)).values) == ["1"]
        assert client.told == []


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_settling_is_counted_once_whoever_hears_of_it(opened, soon, eventually, key):
    """Its client leaves while its lease waits; with a key it comes again, twice, and gets the lease."""
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        settling = await soon(queue.settle((Ack(token),), lease=LeaseAsk(wait=20), key=key))
        await eventually(lambda: queue.stats().waiting == 1)
        assert queue.stats().settled == 1
        settling.cancel()
        await eventually(lambda: queue.stats().in_flight == 0)
        if key is not None:
            waiting = await soon(queue.settle((Ack(token),), lease=LeaseAsk(wait=20), key=key))
            await eventually(lambda: queue.stats().waiting == 1)
            await push(queue, "2")
            assert list((await waiting).values) == ["2"]
            assert (await queue.settle((Ack(token),), lease=LeaseAsk(), key=key)).replayed
        assert ((await queue.audit()).acked, queue.stats().settled) == (1, 1)


async def test_a_settling_that_comes_twice_in_one_batch_is_counted_once(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, "1")
        token = (await queue.lease(LeaseAsk())).token
        calls = [queue.settle((Ack(token),), lease=LeaseAsk(), key="k") for _ in range(2)]
        await asyncio.gather(*calls, return_exceptions=True)
        assert len(house.disk.batches[-1][0].asks) == 2
        await push(queue, "2")
        assert list((await queue.settle((Ack(token),), lease=LeaseAsk(), key="k")).values) == ["2"]
        assert ((await queue.audit()).acked, queue.stats().settled) == (1, 1)


@pytest.mark.parametrize("key", [None, Key("k", "")])
async def test_a_lease_on_its_way_to_a_client_that_goes_is_released_unless_it_has_a_key(
    opened, key, eventually
):
    async with opened({"q": None}) as house:
        queue, client = house["q"], Client()
        await push(queue, "1")
        house.disk.door.shut()
        waiting = queue.line.ask(lease_of(queue, key), 0, client)
        await house.disk.door.somebody()
        client.gone = True
        queue.line.drop(waiting)
        house.disk.door.open()
        await eventually(lambda: queue.stats().in_flight == 0 and not house.in_line)
        audit = await queue.audit()
        assert (audit.waiting, audit.leased) == ((1, 0) if key is None else (0, 1))
        assert client.told == []


async def test_the_end_of_input_ends_the_wait_with_one_more_look(opened):
    async with opened({"q": None}) as house:
        queue, client = house["q"], Client()
        waiting = queue.line.ask(lease_of(queue), 20, client)
        await queue.take(1, key="b")
        queue.line.end(waiting)
        await queue.take(1, key="c")
        assert [answer.size for answer in client.told] == [0]
        assert queue.line.parked == 0


async def test_ten_thousand_asks_that_wait_cost_no_batch(opened):
    async with opened({"q": None}, waiting=10_000) as house:
        queue, clients = house["q"], [Client() for _ in range(10_000)]
        await queue.pause()
        before = len(house.disk.batches)
        for client in clients:
            queue.line.ask(lease_of(queue), 20, client)
        await push(queue, "1", "2")
        assert (queue.line.parked, len(house.disk.batches)) == (10_000, before + 1)
        assert not any(client.told for client in clients)
        with pytest.raises(QueuePaused):
            await queue.take(1)
        assert len(house.disk.batches) == before + 1


async def test_a_computed_source_is_opened_once_without_jumps(opened):
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        for _ in range(5):
            await asyncio.gather(*(queue.take(3) for _ in range(4)))
        assert queue.supply.openings == 1
        await queue.advance(100)
        assert (await queue.take(1)).first == 101
        assert queue.supply.openings == 2


async def test_a_thread_of_an_older_opening_appends_into_the_void(opened, stage, script, soon):
    async with opened({"q": stage.spec(resumed=True)}) as house:
        queue = house["q"]
        script.door.shut()
        taking = await soon(queue.take(1, wait=20))
        await script.door.somebody()  # a thread of the first opening
        await queue.advance(10)
        script.door.open()
        assert (await taking).first == 11
        assert [(await queue.take(1, wait=5)).values[0] for _ in range(2)] == ["12", "13"]
        assert script.openings == 2


async def test_a_value_that_stands_before_a_computed_source_is_no_item_of_the_next(opened, eventually):
    """Such as an interrupt leaves behind, or here an async caller that has gone."""
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        await queue.take(2)
        iterator = queue.supply._source.iterator
        drawing = asyncio.ensure_future(anext(iterator))
        await asyncio.sleep(0)
        drawing.cancel()
        await eventually(lambda: iterator.stats().pulls == 2)
        taken = await queue.take(2)
        assert (taken.first, list(taken.values)) == (3, [3, 4])
        taken = await queue.take(2)
        assert (taken.first, list(taken.values), queue.supply.openings) == (5, [5, 6], 2)
