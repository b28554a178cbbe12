"""What is long lets others in between, and answers once it is done; a repeat under its key goes on."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from dibs.errors import LedgerError
from dibs.ledger.serve import Keyed, Serve
from dibs.ledger.state.moving import SLICE_ITEMS, SLICE_ROWS
from dibs.ledger.work import Moved, Parcel, Purge, Sweep
from dibs.queue.sweeper import Sweeper

MANY = 3 * SLICE_ITEMS


async def fill(queue) -> None:
    await queue.push((Parcel(tuple(map(str, range(MANY)))),))


async def keyed(queue) -> None:
    texts = tuple(map(str, range(MANY)))
    await queue.push((Parcel(texts, keys=texts),))


async def test_others_are_served_between_two_slices(opened, soon):
    async with opened({"q": None, "ids": "count()"}) as house:
        await fill(house["q"])
        house.disk.door.shut()
        purging = await soon(house["q"].purge(("waiting",)))
        await house.disk.door.somebody()  # with the first slice
        taking = await soon(house["ids"].take(1))
        house.disk.door.let_one()
        await house.disk.door.somebody()
        house.disk.door.let_one()
        assert (await taking).first == 1
        assert not purging.done()
        house.disk.door.open()
        assert (await purging).count == MANY
        kinds = [type(op) for batch in house.disk.batches for op in batch if isinstance(op, Purge | Serve)]
        assert kinds == [Purge, Purge, Serve, Purge]


async def test_a_repeat_goes_on_from_the_slice_that_failed(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await fill(queue)
        purges = []

        def fault(ops):
            purges.extend(op for op in ops if isinstance(op, Keyed))
            return "absent" if len(purges) == 2 else None

        house.disk.fault = fault
        with pytest.raises(LedgerError):
            await queue.purge(("waiting",), key="k")
        assert (await queue.audit()).balanced
        assert queue.info().waiting == MANY - SLICE_ITEMS
        again = await queue.purge(("waiting",), key="k")
        assert (again.count, again.replayed) == (MANY, False)
        replay = await queue.purge(("waiting",), key="k")
        assert (replay.count, replay.replayed) == (MANY, True)


async def test_a_slice_that_is_there_though_its_commit_failed_is_not_done_twice(opened):
    async with opened({"q": None}) as house:
        queue = house["q"]
        await fill(queue)
        house.disk.faults.extend([None, "present"])
        with suppress(LedgerError):  # of a slice that comes while the ledger is being reopened
            await queue.purge(("waiting",), key="k")
        done = await queue.purge(("waiting",), key="k")
        assert (done.count, queue.info().purged) == (MANY, MANY)


async def test_a_deletion_is_answered_at_once_and_swept_beside_the_others(opened, soon, eventually):
    async with opened({"q": None, "ids": "count()"}) as house:
        await keyed(house["q"])
        await house.queues.delete("q")
        assert len(house.disk.ops(Sweep)) < MANY // SLICE_ROWS
        assert (await house["ids"].take(1)).first == 1
        await eventually(lambda: not house.disk.unswept())
        assert len(house.disk.ops(Sweep)) >= MANY // SLICE_ROWS


async def test_what_was_not_swept_is_swept_after_the_next_start(opened, eventually, tmp_path):
    async with opened({"q": None}, data=tmp_path) as house:
        await keyed(house["q"])
        await house.queues.delete("q")
        house.queues.stop()
        assert house.disk.unswept()
    async with opened({}, data=tmp_path) as house:
        await eventually(lambda: not house.disk.unswept())


async def test_a_disk_that_fails_meanwhile_delays_it(opened, eventually, monkeypatch):
    monkeypatch.setattr("dibs.queue.sweeper.AGAIN", 0.001)
    async with opened({"q": None}) as house:
        await keyed(house["q"])
        house.disk.faults.extend([None, "absent", None, "present"])
        await house.queues.delete("q")
        await eventually(lambda: not house.disk.faults and house.queues._register.sweeper._task is None)
        assert not house.disk.unswept()


class Line:
    """Rounds of which the test answers each slice."""

    def __init__(self):
        self.ops, self.futures = [], []

    def commit(self, op):
        self.ops.append(op)
        self.futures.append(asyncio.get_running_loop().create_future())
        return self.futures[-1]


async def until_quiet():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_queue_that_is_deleted_again_while_a_slice_is_answered_is_swept_again():
    line = Line()
    sweeper = Sweeper(line)
    sweeper.add(1)
    await until_quiet()
    line.futures[0].set_result(Moved(0))  # the queue was there again, so nothing was left
    asyncio.get_running_loop().call_soon_threadsafe(sweeper.add, 1)  # and is deleted once more
    await until_quiet()
    assert line.ops == [Sweep(1), Sweep(1)]
    line.futures[1].set_result(Moved(0))
    await until_quiet()
    assert (len(line.ops), sweeper._task) == (2, None)


async def test_each_deleted_queue_has_its_turn_until_nothing_is_left_of_it():
    line = Line()
    sweeper = Sweeper(line)
    sweeper.add(1)
    sweeper.add(2)
    for rest in (5, 5, None, None):
        await until_quiet()
        line.futures[-1].set_result(Moved(0, rest=rest))
    await until_quiet()
    assert [op.queue for op in line.ops] == [1, 2, 1, 2]
