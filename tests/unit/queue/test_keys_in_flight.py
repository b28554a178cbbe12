"""Keys when the disk fails, and the keys in flight by themselves."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import (
    LedgerError,
    OutcomeUnknown,
)
from dibs.ledger import committer as committer_module
from dibs.ledger.ops import EngineFailed
from dibs.queue.keys import KeysInFlight


def handed(answer) -> tuple:
    return answer.queue, answer.first, list(answer.values)


@pytest.mark.parametrize("fault", ["absent", "present"])
async def test_left_in_doubt_a_caller_learns_by_its_key_what_came_of_it(
    opened, stage, script, fault, monkeypatch
):
    monkeypatch.setattr(committer_module, "GRACE", -1.0)
    async with opened({"q": stage.spec()}) as house:
        house.disk.faults.append(fault)
        house.disk.repairs.append(EngineFailed("EIO"))
        house.disk.repair_door.shut()
        call = asyncio.ensure_future(house["q"].take(2, key="k"))
        await house.disk.repair_door.somebody()
        house.disk.repair_door.let_one()
        with pytest.raises(OutcomeUnknown):
            await call
        house.disk.repair_door.open()
        while True:
            try:
                answer = await house["q"].take(2, key="k", wait=5)
            except LedgerError:
                continue
            break
        assert handed(answer) == ("q", 1, ["1", "2"])
        assert answer.replayed is (fault == "present")
        assert (await house["q"].audit()).cursor == 2


async def test_while_the_ledger_can_not_be_read_a_key_says_maybe(opened, tmp_path):
    """It may have its answer already: "nothing was handed out" would be a lie."""
    async with opened({"q": "count()"}, data=tmp_path) as house:
        await house["q"].take(2, key="k")
        house.disk._engine.files.disconnect()
        with pytest.raises(OutcomeUnknown):
            await house["q"].take(2, key="k")
        house.disk.reopen()
        assert (await house["q"].take(2, key="k")).replayed


# -- the keys in flight by themselves


async def test_followers_go_one_by_one():
    keys, inside = KeysInFlight(), []

    async def follow(name: int) -> None:
        async with keys.hold("k", "r"):
            inside.append(name)
            await asyncio.sleep(0)
            assert inside[-1] == name
            inside.append(name)

    await asyncio.gather(*(follow(name) for name in range(5)))
    assert inside == [name for name in range(5) for _ in range(2)]
    assert len(keys) == 0


async def test_a_follower_that_is_cancelled_lets_the_others_pass():
    keys = KeysInFlight()

    async def follow() -> bool:
        async with keys.hold("k", "r"):
            return True

    async with keys.hold("k", "r"):
        followers = [asyncio.ensure_future(follow()) for _ in range(3)]
        await asyncio.sleep(0)
        followers[0].cancel()
        await asyncio.sleep(0)
    assert await asyncio.gather(*followers[1:]) == [True, True]
    assert len(keys) == 0


async def test_keys_do_not_meet_other_keys():
    keys = KeysInFlight()
    async with keys.hold("a", "r"), keys.hold("b", "other"):
        assert len(keys) == 2
    assert len(keys) == 0
