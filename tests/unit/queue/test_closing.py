"""Closed is the last word, once it is on disk and not before."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from dibs.errors import (
    LedgerError,
    QueueConflict,
    QueueExhausted,
    QueueUnknown,
    Refused,
)
from dibs.ledger.ops import Close, Take


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


async def test_a_resume_in_the_line_does_not_hide_the_close_behind_it(opened):
    """The resume's outcome comes while the close is still in the line: nobody may draw behind the close."""
    async with opened({"q": "count()"}) as house:
        house.disk.door.shut()
        resuming = asyncio.ensure_future(house["q"].resume())
        await house.disk.door.somebody()
        closing = asyncio.ensure_future(house["q"].close())
        await asyncio.sleep(0)
        house.disk.door.let_one()
        await resuming
        await house.disk.door.somebody()  # the close is on its way to the disk
        with pytest.raises(Refused):
            await house["q"].take(1)
        house.disk.door.open()
        await closing
        assert house.disk.ops(Take) == []
        assert len(house.disk.ops(Close)) == 1


@pytest.mark.parametrize("final", ["close", "delete"])
@pytest.mark.parametrize("fault", [None, "absent"])
async def test_a_close_that_is_not_on_disk_yet_is_no_final_word(opened, final, fault):
    """Who hears that a queue is exhausted or gone may stop for good: that must not be taken back."""
    async with opened({"q": "count()"}) as house:
        queue = house["q"]
        house.disk.door.shut()
        ending = asyncio.ensure_future(getattr(queue, final)())
        await house.disk.door.somebody()
        with pytest.raises(Refused) as caught:
            await queue.take(1)
        assert caught.value.retry_after
        waiting = asyncio.ensure_future(queue.take(1, wait=5))
        await asyncio.sleep(0)
        house.disk.faults.append(fault)
        house.disk.door.open()
        if fault is None:
            await ending
            with pytest.raises((QueueExhausted, QueueUnknown)):
                await waiting
        else:
            with pytest.raises(LedgerError):
                await ending
            with suppress(LedgerError):  # woken a moment before the ledger is back
                await waiting
            assert (await queue.take(1)).first in (1, 2)
