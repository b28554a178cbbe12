"""What a reviewer proved to go wrong once: races of keys, waiters, generations and failing disks."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from dibs.errors import QueueConflict, QueueExhausted
from dibs.ledger.ops import EngineFailed
from dibs.ledger.work import Ack, Extend, Parcel, Result
from dibs.queue import LeaseAsk


def parcel(*texts: str, **options) -> tuple[Parcel, ...]:
    return (Parcel(texts, **options),)


async def test_a_shorter_extend_brings_the_item_back_when_it_says(opened):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk(ttl=1000))
        await house["jobs"].settle((Extend(leased.token, 40),))
        again = await house["jobs"].lease(LeaseAsk(wait=10))
        assert again.spans[0].attempt == 2


async def test_a_settling_that_changed_nothing_leases_once_for_its_key(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        ask, stale = LeaseAsk(ttl=1000, wait=10), (Ack("0-forged"),)
        waiting = await soon(house["jobs"].settle(stale, lease=ask, key="k"))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        await house["jobs"].push(parcel("1", "2"))
        first = await waiting
        again = await house["jobs"].settle(stale, lease=ask, key="k")
        assert (again.token, again.entries) == (first.token, first.entries)
        assert (await house["jobs"].audit()).leased == 1


async def test_a_retry_waits_for_the_next_lease_that_is_on_its_way(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk(ttl=1000))
        ask, acks = LeaseAsk(ttl=1000, wait=10), (Ack(leased.token),)
        first = await soon(house["jobs"].settle(acks, lease=ask, key="k"))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        house.disk.door.shut()
        pushing = await soon(house["jobs"].push(parcel("2")))
        await house.disk.door.somebody()  # the claim is on its way, with the push
        first.cancel()
        retry = await soon(house["jobs"].settle(acks, lease=ask, key="k"))
        house.disk.door.open()
        await pushing
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert (await retry).size > 0
        again = await house["jobs"].settle(acks, lease=ask, key="k")
        assert again.token == (await retry).token
        assert (await house["jobs"].audit()).leased == 1


async def test_the_replay_says_why_there_is_no_lease(opened):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        await house["jobs"].close()
        for _ in range(2):
            settled = await house["jobs"].settle((Ack(leased.token),), lease=LeaseAsk(), key="k")
            assert (settled.size, type(settled.refusal)) == (0, QueueExhausted)


async def test_items_that_come_before_a_reset_are_not_dropped_unless_that_is_confirmed(opened, soon):
    async with opened({"jobs": None}) as house:
        house.disk.door.shut()
        pushing = await soon(house["jobs"].push(parcel("1")))
        await house.disk.door.somebody()  # the queue is empty on disk when the reset comes into the line
        resetting = await soon(house.queues.define("jobs", None, reset=True, confirmed=False))
        house.disk.door.open()
        await pushing
        with pytest.raises(QueueConflict, match="1 waiting") as caught:
            await resetting
        assert caught.value.reason == "not-empty"
        assert (await house["jobs"].lease(LeaseAsk())).token


async def test_what_comes_while_a_queue_is_made_is_seen(opened, eventually):
    """An ack pushes into the queue when it is on disk, and before its object is there."""
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        house.disk.door.shut()
        making = asyncio.ensure_future(house.queues.define("done", None))
        ack = Ack(leased.token, push=(Result("done", "1"),))
        settling = asyncio.ensure_future(house["jobs"].settle((ack,)))
        await asyncio.sleep(0.01)
        house.disk.door.open()
        await making
        [[settled]] = (await settling).entries
        assert settled.verdict == "acked"
        assert list((await house["done"].lease(LeaseAsk(wait=5))).values) == ["1"]


async def test_a_lease_of_a_failed_commit_is_never_told_to_end_late(opened):
    async with opened({"ids": "count()"}) as house:
        house.disk.faults.append("present")
        house.disk.repairs += [EngineFailed("not yet")] * 4  # the reopening takes a while
        leased = await house["ids"].lease(LeaseAsk(ttl=30))
        [item] = (await house["ids"].page("leased")).items
        assert leased.due <= item.due


@pytest.mark.parametrize("name", ["ids", "jobs"])
async def test_a_settling_that_nobody_waits_for_gives_its_lease_back(opened, name, eventually):
    async with opened({"ids": "count()", "jobs": None}) as house:
        await house["jobs"].push(parcel("1", "2"))
        leased = await house[name].lease(LeaseAsk(ttl=1000))
        house.disk.door.shut()
        settling = asyncio.ensure_future(house[name].settle((Ack(leased.token),), lease=LeaseAsk(ttl=1000)))
        await house.disk.door.somebody()
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        house.disk.door.open()
        await eventually(lambda: house[name].stats().leased == 0)
        assert (await house[name].lease(LeaseAsk(wait=10))).spans[0] == (2, 2, 1)
        assert (await house[name].audit()).acked == 1


async def test_a_newcomer_does_not_overtake_who_was_woken(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        waiting = await soon(house["jobs"].lease(LeaseAsk(wait=10)))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        await house["jobs"].push(parcel("1"))
        newcomer = await house["jobs"].lease(LeaseAsk())
        assert (list((await waiting).values), newcomer) == (["1"], None)


async def test_who_settles_lets_those_who_wait_go_first(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        leased = await house["jobs"].lease(LeaseAsk())
        waiting = await soon(house["jobs"].lease(LeaseAsk(wait=10)))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        settling = await soon(house["jobs"].settle((Ack(leased.token),), lease=LeaseAsk(wait=10)))
        await eventually(lambda: house["jobs"].stats().waiting == 2)
        await house["jobs"].push(parcel("2"))
        await house["jobs"].push(parcel("3"))
        assert (list((await waiting).values), list((await settling).values)) == (["2"], ["3"])


async def test_a_purge_of_an_ended_queue_tells_those_who_wait(opened, soon, eventually):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1", delay=100_000))
        await house["jobs"].close()
        waiting = await soon(house["jobs"].lease(LeaseAsk(wait=20)))
        await eventually(lambda: house["jobs"].stats().waiting == 1)
        await house["jobs"].purge()
        with pytest.raises(QueueExhausted):
            await waiting


async def test_who_leaves_at_its_deadline_leaves_a_timer_for_the_others(opened, soon, eventually, clock):
    async with opened({"jobs": None}) as house:
        await house["jobs"].push(parcel("1"))
        await house["jobs"].lease(LeaseAsk(ttl=20))
        short = await soon(house["jobs"].lease(LeaseAsk(wait=10)))
        long = await soon(house["jobs"].lease(LeaseAsk(wait=30)))
        await eventually(lambda: house["jobs"].stats().waiting == 2)
        house.disk.door.shut()
        other = asyncio.ensure_future(house["jobs"].purge(("dead",)))
        await house.disk.door.somebody()
        house["jobs"].news()  # in vain
        house.disk.door.open()
        await other
        clock.skip(10)
        assert await short is None
        clock.skip(10)
        assert (await long).spans[0].attempt == 2
