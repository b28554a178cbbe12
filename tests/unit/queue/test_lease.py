"""Leases: handed out until a deadline, waiting items before fresh ones, and back again whatever happens."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import QueueExhausted, QueueFailed, QueuePaused
from dibs.ledger.work import Ack, Nack, Parcel, Release
from dibs.queue import LeaseAsk


def items(leased) -> list[tuple]:
    """Seq, value and attempt of each item."""
    pairs = [(seq, span.attempt) for span in leased.spans for seq in range(span.first, span.last + 1)]
    return [(seq, value, attempt) for (seq, attempt), value in zip(pairs, leased.values, strict=True)]


async def push(queue, *texts: str, **options):
    return await queue.push((Parcel(texts, **options),))


async def test_fresh_items_are_leased_and_acked(opened):
    async with opened({"q": "count(start=10)"}) as house:
        leased = await house["q"].lease(LeaseAsk(3, ttl=30, worker="w"))
        assert (leased.queue, leased.state, items(leased)) == (
            "q",
            "open",
            [(1, 10, 1), (2, 11, 1), (3, 12, 1)],
        )
        assert 29 < leased.expires_in <= 30
        settled = await house["q"].settle((Ack(leased.token),))
        assert [(s.verdict, s.first, s.last) for s in settled.entries[0]] == [("acked", 1, 3)]
        audit = await house["q"].audit()
        assert (audit.acked, audit.leased, audit.cursor, audit.balanced) == (3, 0, 3, True)


async def test_what_waits_goes_first_and_never_with_fresh_items(opened):
    async with opened({"q": "count()"}) as house:
        first = await house["q"].lease(LeaseAsk(4))
        await house["q"].settle((Release(first.token, ((2, 3),)),))
        again = await house["q"].lease(LeaseAsk(10))
        assert items(again) == [(2, 2, 1), (3, 3, 1)]
        assert items(await house["q"].lease(LeaseAsk(2))) == [(5, 5, 1), (6, 6, 1)]
        await house["q"].settle((Nack(again.token, delay=0, error="bad"),))
        assert items(await house["q"].lease(LeaseAsk(10))) == [(2, 2, 2), (3, 3, 2)]


async def test_values_that_cant_be_computed_are_kept_while_they_are_inside(opened, stage):
    stage.script("s", ["ä", {"a": [1]}, None, 4])
    async with opened({"q": stage.spec()}) as house:
        first = await house["q"].lease(LeaseAsk(4))
        texts = ['"ä"', '{"a":[1]}', "null", "4"]
        assert list(first.values) == texts
        await house["q"].settle((Ack(first.token, ((1, 1), (4, 4))), Release(first.token, ((2, 3),))))
        assert list((await house["q"].lease(LeaseAsk(9))).values) == texts[1:3]


async def test_an_ended_queue_is_empty_until_all_is_settled_and_then_exhausted(opened):
    async with opened({"q": "range(3)"}) as house:
        leased = await house["q"].lease(LeaseAsk(5))
        assert await house["q"].lease(LeaseAsk(1)) is None
        assert await house["q"].take(1) is None
        await house["q"].settle((Ack(leased.token, ((1, 2),)),))
        assert await house["q"].lease(LeaseAsk(1)) is None
        await house["q"].settle((Ack(leased.token),))
        with pytest.raises(QueueExhausted):
            await house["q"].lease(LeaseAsk(1))
        with pytest.raises(QueueExhausted):
            await house["q"].take(1)


async def test_who_waits_for_the_last_of_an_ended_queue_hears_at_once(opened, soon, eventually):
    async with opened({"q": "range(1)"}) as house:
        leased = await house["q"].lease(LeaseAsk(1))
        waiting = [await soon(house["q"].lease(LeaseAsk(1, wait=20))) for _ in range(20)]
        await eventually(lambda: house["q"].stats().waiting == 20)
        await house["q"].settle((Ack(leased.token),))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {QueueExhausted}


async def test_a_failed_source_tells_its_cause_when_nothing_waits(opened, stage):
    script = stage.script("s", range(10))
    script.errors[3] = ValueError("no third")
    async with opened({"q": stage.spec()}) as house:
        first = await house["q"].lease(LeaseAsk(1))
        second = await house["q"].lease(LeaseAsk(1))
        with pytest.raises(QueueFailed, match="no third"):
            await house["q"].lease(LeaseAsk(1))
        await house["q"].settle((Release(first.token),))
        assert items(await house["q"].lease(LeaseAsk(1))) == [(1, "0", 1)]
        assert second is not None


async def test_a_paused_queue_hands_nothing_out_but_settles(opened):
    async with opened({"q": "count()"}) as house:
        leased = await house["q"].lease(LeaseAsk(2))
        await house["q"].pause()
        with pytest.raises(QueuePaused):
            await house["q"].lease(LeaseAsk(1))
        settled = await house["q"].settle((Release(leased.token),), lease=LeaseAsk(1))
        assert settled.entries[0][0].verdict == "released"
        assert (settled.size, type(settled.refusal)) == (0, QueuePaused)
        await house["q"].resume()
        assert items(await house["q"].lease(LeaseAsk(9))) == [(1, 1, 1), (2, 2, 1)]


async def test_a_closed_queue_still_gives_what_is_inside(opened):
    async with opened({"jobs": None}) as house:
        await push(house["jobs"], "1", "2")
        await house["jobs"].close()
        leased = await house["jobs"].lease(LeaseAsk(1))
        taken = await house["jobs"].take(5)
        assert (items(leased), list(taken.seqs), list(taken.values)) == ([(1, "1", 1)], [2], ["2"])
        await house["jobs"].settle((Ack(leased.token),))
        with pytest.raises(QueueExhausted):
            await house["jobs"].lease(LeaseAsk(1))


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
