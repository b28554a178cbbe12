"""Leases: handed out until a deadline, waiting items before fresh ones, and back again whatever happens."""

from __future__ import annotations

import asyncio

from dibs.errors import QueueExhausted
from dibs.ledger.work import Ack, Parcel
from dibs.queue import LeaseAsk


def items(leased) -> list[tuple]:
    """Seq, value and attempt of each item."""
    pairs = [(seq, span.attempt) for span in leased.spans for seq in range(span.first, span.last + 1)]
    return [(seq, value, attempt) for (seq, attempt), value in zip(pairs, leased.values, strict=True)]


async def push(queue, *texts: str, **options):
    return await queue.push((Parcel(texts, **options),))


async def test_who_waits_for_the_last_of_an_ended_queue_hears_at_once(opened, soon, eventually):
    async with opened({"q": "range(1)"}) as house:
        leased = await house["q"].lease(LeaseAsk(1))
        waiting = [await soon(house["q"].lease(LeaseAsk(1, wait=20))) for _ in range(20)]
        await eventually(lambda: house["q"].stats().waiting == 20)
        await house["q"].settle((Ack(leased.token),))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {QueueExhausted}


async def test_settling_and_the_next_lease_are_one_transaction(opened):
    async with opened({"q": "count()", "jobs": None}) as house:
        await push(house["jobs"], "1", "2", "3")
        for name in ("q", "jobs"):
            leased = await house[name].lease(LeaseAsk(1))
            before = len(house.disk.batches)
            settled = await house[name].settle((Ack(leased.token),), lease=LeaseAsk(2))
            assert [seq for seq, _, _ in items(settled)] == [2, 3]
            [batch] = house.disk.batches[before:]
            [ask] = batch[0].asks
            assert (len(batch), len(ask.entries), ask.handout.most) == (1, 1, 2)


async def test_a_source_that_sleeps_does_not_hold_up_the_settling(opened, stage, script):
    async with opened({"q": stage.spec()}, settle_patience=0.05, pull_patience=0.05) as house:
        leased = await house["q"].lease(LeaseAsk(1))
        script.door.shut()
        settled = await house["q"].settle((Ack(leased.token),), lease=LeaseAsk(1))
        assert (settled.entries[0][0].verdict, settled.size) == ("acked", 0)
        script.door.open()
        assert items(await house["q"].lease(LeaseAsk(1, wait=5))) == [(2, "2", 1)]
        assert (await house["q"].audit()).balanced
