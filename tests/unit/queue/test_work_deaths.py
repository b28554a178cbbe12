"""More that is dead than one op writes down keeps nobody from what waits behind it, nor from the end."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import QueueExhausted
from dibs.ledger.state import claims
from dibs.ledger.work import Parcel
from dibs.queue import LeaseAsk


@pytest.fixture
def dead(opened, monkeypatch):
    """Five items that died, where an op writes down two."""
    monkeypatch.setattr(claims, "BURY_RUNS", 2)

    async def dead(house):
        await house.queues.define("q", None, settings={"max_attempts": 1})
        await house["q"].push((Parcel(tuple("12345")),))
        for _ in range(5):
            await house["q"].lease(LeaseAsk(ttl=0.001))
        await asyncio.sleep(0.003)
        return house["q"]

    return dead


async def test_what_waits_behind_them_is_handed_out(opened, dead):
    async with opened({}) as house:
        queue = await dead(house)
        await queue.push((Parcel(("6",), priority=9),))
        assert list((await queue.lease(LeaseAsk())).values) == ["6"]


async def test_a_closed_queue_is_at_its_end(opened, dead):
    async with opened({}) as house:
        queue = await dead(house)
        await queue.close()
        with pytest.raises(QueueExhausted):
            await queue.take(1)
        assert (await queue.audit()).dead == 5
