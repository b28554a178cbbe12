"""Workers that settle and lease together: each gets its own, and no lease is lost or given twice."""

import asyncio

import pytest
from dibs.errors import LedgerUnavailable, OutcomeUnknown, QueueExhausted, Stopping
from dibs.ledger.together import Exchange
from dibs.ledger.work import Ack, Parcel, Release
from dibs.queue import LeaseAsk


class Trader:
    """Notes what it is told: what was acked, and the lease; who has to ask alone does so."""

    def __init__(self, queue, token=None, ask=None):
        self.queue, self.token, self.ask = queue, token, ask
        self.told = asyncio.get_running_loop().create_future()
        self.lease = None
        self.way = None

    def traded(self, acked, lease, state, now):
        self.way, self.lease = "together", lease
        seqs = [seq for span in lease.spans for seq in range(span.first, span.last + 1)] if lease else None
        self.told.set_result((acked, seqs))

    def unleased(self, acked, state, now):
        self.way = "unleased"
        self.told.set_result((acked, []))

    def refused(self, error):
        self.way = "refused"
        self.told.set_exception(error)

    def alone(self):
        self.way = "alone"
        self.task = asyncio.ensure_future(self.go())

    async def go(self):
        try:
            if self.token is None:
                lease, acked = await self.queue.lease(self.ask), ()
            else:
                answered = await self.queue.settle((Ack(self.token),), lease=self.ask)
                acked = tuple((part.first, part.last) for part in answered.entries[0] if part.first)
                lease = answered.lease
            self.lease = lease
            seqs = [seq for span in lease.spans for seq in range(span.first, span.last + 1)] if lease else []
            self.told.set_result((acked, seqs))
        except Exception as error:
            self.told.set_exception(error)


def traders(queue, *wants):
    asked = [Trader(queue, token, LeaseAsk(most) if most else None) for token, most in wants]
    for trader in asked:
        queue.exchanging.trade(trader)
    return asked


async def told(asked):
    return await asyncio.wait_for(asyncio.gather(*(each.told for each in asked), return_exceptions=True), 10)


async def push(queue, *values):
    await queue.push((Parcel(tuple(map(str, values))),))


async def test_from_a_source_that_counts(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        first = traders(queue, (None, 1), (None, 3))
        assert await told(first) == [((), [1]), ((), [2, 3, 4])]
        second = traders(
            queue, (first[0].lease.token, 1), (first[1].lease.token, 0), (None, 2), ("forged", 1)
        )
        assert await told(second) == [(((1, 1),), [5]), (((2, 4),), None), ((), [6, 7]), ((), [8])]
        assert len(house.disk.ops(Exchange)) == 2
        assert second[0].lease.values[0] == 5
        tokens = {trader.lease.token for trader in first + second if trader.lease}
        assert len(tokens) == 5
        stats = queue.stats()
        assert (stats.settled, stats.handed_out, stats.requests, stats.in_flight) == (4, 8, 3, 0)
        assert (stats.leased, stats.waiting_items) == (4, 0)


async def test_from_pushed_items(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, *range(10, 16))
        first = traders(queue, (None, 1), (None, 1), (None, 1))
        assert await told(first) == [((), [1]), ((), [2]), ((), [3])]
        assert [trader.lease.values for trader in first] == [("10",), ("11",), ("12",)]
        second = traders(queue, (first[1].lease.token, 2), (first[0].lease.token, 9))
        assert await told(second) == [(((2, 2),), [4, 5]), (((1, 1),), [6])]
        third = traders(queue, (second[0].lease.token, 1), (None, 1))
        assert await told(third) == [(((4, 5),), []), ((), [])]
        assert third[1].way == "alone", "nothing waits, so there is nothing to ask the disk for"
        assert (await queue.audit()).balanced


async def test_a_lease_ends_when_it_was_said(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        [trader] = traders(queue, (None, 1))
        await told([trader])
        [item], _ = house.disk.items(queue.row.id, "leased", 0, 9, 99)
        assert (item.due, item.attempt) == (trader.lease.due, 1)


async def test_what_was_released_is_claimed_and_not_drawn(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        lease = await queue.lease(LeaseAsk(2))
        await queue.settle((Release(lease.token),))
        assert sorted(await told(traders(queue, (None, 1), (None, 1)))) == [((), [1]), ((), [2])]
        assert (await told(traders(queue, (None, 1))))[0] == ((), [3])


async def test_the_end_of_the_source(opened):
    async with opened({"q": "range(0, 3)"}) as house:
        queue = house["q"]
        asked = traders(queue, (None, 2), (None, 2), (None, 2))
        answers = await told(asked)
        assert answers == [((), [1, 2]), ((), [3]), ((), [])]
        assert asked[1].lease.state == "exhausted"
        last = traders(queue, (asked[0].lease.token, 1), (asked[1].lease.token, 0))
        assert await told(last) == [(((1, 2),), []), (((3, 3),), None)]
        assert [type(each) for each in await told(traders(queue, (None, 1)))] == [QueueExhausted]


async def test_who_waits_comes_first(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        waiting = await soon(queue.lease(LeaseAsk(1, wait=30)))
        await push(queue, 1)
        asked = traders(queue, (None, 1))
        assert (await waiting).spans[0].first == 1
        assert await told(asked) == [((), [])]


async def test_who_waits_is_woken_by_the_last_ack_of_a_closed_queue(opened, eventually, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, 1)
        [first] = traders(queue, (None, 1))
        await told([first])
        await queue.close()
        waiting = await soon(queue.lease(LeaseAsk(1, wait=30)))
        await eventually(lambda: queue.stats().waiting == 1)
        await told(traders(queue, (first.lease.token, 0)))
        with pytest.raises(QueueExhausted):
            await asyncio.wait_for(waiting, 10)


async def test_a_lease_that_expires_wakes_who_waits(opened, soon):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, 1)
        trader = Trader(queue, None, LeaseAsk(1, ttl=0.05))
        queue.exchanging.trade(trader)
        await told([trader])
        again = await asyncio.wait_for(queue.lease(LeaseAsk(1, wait=10)), 10)
        assert again.spans[0].attempt == 2


@pytest.mark.parametrize("source", ["count", None])
@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_a_commit_that_fails_gives_nothing_twice(opened, source, fault):
    async with opened({"q": source}) as house:
        queue = house["q"]
        if source is None:
            await push(queue, *range(5))
        house.disk.faults.append(fault)
        answers = await told(traders(queue, (None, 1), (None, 2)))
        assert {type(each) for each in answers} <= {LedgerUnavailable, OutcomeUnknown}
        after = await told(traders(queue, (None, 1)))
        there = fault == "present"
        assert after == [((), [4 if there else 1])]
        assert queue.stats().leased == (4 if there else 1)
        assert queue.stats().in_flight == 0


async def test_acks_of_a_draw_that_is_refused_are_done_all_the_same(opened, monkeypatch):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        [first] = traders(queue, (None, 1))
        await told([first])
        monkeypatch.setattr(type(queue), "draws_at_once", property(lambda self: True))
        await queue.pause()
        monkeypatch.setattr(type(queue), "trades_at_once", property(lambda self: True))
        [second] = traders(queue, (first.lease.token, 1))
        await told([second])
        assert second.way == "alone"
        assert queue.stats().leased == 0


async def test_a_paused_queue_acks_and_leases_nothing(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        [first] = traders(queue, (None, 1))
        await told([first])
        await queue.pause()
        assert await told(traders(queue, (first.lease.token, 1))) == [(((1, 1),), [])]


async def test_a_silent_disk_is_told_and_keeps_nobody_who_comes_later(opened):
    async with opened({"q": "count"}, operate_patience=0.01, commit_patience=0.02) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = traders(queue, (None, 1))
        await house.disk.door.somebody()
        later = traders(queue, (None, 1))
        assert [type(each) for each in await told([*first, *later])] == [OutcomeUnknown] * 2
        house.disk.door.open()
        assert (await queue.take(1)).first == 3


async def test_a_server_that_goes_down_refuses(opened):
    async with opened({"q": "count"}) as house:
        house.queues.stop()
        assert [type(each) for each in await told(traders(house["q"], (None, 1), ("x", 1)))] == [Stopping] * 2


async def test_who_asks_while_the_disk_is_busy_is_in_the_next_op(opened):
    async with opened({"q": "count"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        first = traders(queue, (None, 1))
        await house.disk.door.somebody()
        later = traders(queue, (None, 1))
        await asyncio.sleep(0)
        later += traders(queue, (None, 1))
        house.disk.door.open()
        assert await told([*first, *later]) == [((), [1]), ((), [2]), ((), [3])]
        assert [len(op.trades) for op in house.disk.ops(Exchange)] == [1, 2]


async def test_a_large_crowd_is_refused_one_after_the_other_while_the_ledger_is_down(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await push(queue, 1)
        house.queues._committer._down = LedgerUnavailable("the disk fails")
        crowd = traders(queue, *[("x", 10_000)] * 500)
        assert {type(each) for each in await told(crowd)} == {LedgerUnavailable}
        house.queues._committer._down = None
        assert await told(traders(queue, (None, 1))) == [((), [1])]
