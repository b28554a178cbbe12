"""Closed is the last word, once it is on disk and not before."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    LedgerError,
    QueueConflict,
    QueueExhausted,
    QueueUnknown,
)


def texts(taken) -> list[str]:
    return list(taken.values)


async def test_a_closed_queue_is_exhausted_for_those_who_ask(opened):
    async with opened({"q": "count()"}) as house:
        await house["q"].take(2)
        info = await house["q"].close()
        assert (info.state, info.cursor) == ("closed", 2)
        with pytest.raises(QueueExhausted, match="closed"):
            await house["q"].take(1)
        assert (await house["q"].close()).state == "closed"
        with pytest.raises(QueueConflict):
            await house["q"].retry()


@pytest.mark.parametrize("final", ["close", "delete"])
@pytest.mark.parametrize("fault", [None, "absent"])
async def test_a_close_that_is_not_on_disk_yet_is_no_final_word(opened, final, fault):
    """Who hears that a queue is exhausted or gone may stop for good: that must not be taken back."""
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        ending = asyncio.ensure_future(getattr(queue, final)())
        await house.disk.door.somebody()
        waiting = asyncio.ensure_future(queue.take(1, wait=5))
        await asyncio.sleep(0)
        assert not waiting.done()
        house.disk.faults.append(fault)
        house.disk.door.open()
        if fault is None:
            await ending
            with pytest.raises((QueueExhausted, QueueUnknown)):
                await waiting
        else:
            with pytest.raises(LedgerError):
                await ending
            assert (await waiting).first == 1
