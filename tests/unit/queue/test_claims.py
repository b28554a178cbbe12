"""When those who wait are told that there is something to claim; the races are forced."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from dibs.ledger.pending import Pending
from dibs.ledger.work import Claimed, Span
from dibs.queue.claims import Claims
from dibs.queue.wait import Waiters

ONE = Claimed((Span(1, 1),), ("1",), 1000, None)


def claims_of(waiters: Waiters) -> Claims:
    engine = SimpleNamespace(now=lambda: 0, next_due=lambda queue: None)
    claims = Claims(1, engine, waiters, route=lambda woken: None, ended=lambda: False, barred=lambda: False)
    claims.look()
    return claims


@pytest.fixture
def parked(soon):
    """So many who wait, and a list of those that were woken."""

    async def parked(claims: Claims, waiters: Waiters, many: int) -> list[int]:
        woken: list[int] = []

        async def wait(number: int) -> None:
            await claims.park(10, waiters.place())
            woken.append(number)

        parked.tasks = [await soon(wait(number)) for number in range(many)]
        return woken

    return parked


async def turns(many: int = 5) -> None:
    for _ in range(many):
        await asyncio.sleep(0)


async def test_who_comes_back_from_a_claim_leaves_those_of_a_push_to_the_push(parked, soon):
    waiters = Waiters()
    claims = claims_of(waiters)
    woken = await parked(claims, waiters, 6)
    pending: Pending[Claimed] = Pending()
    claiming = await soon(claims.claim(pending))
    pending.settle(ONE)
    await asyncio.sleep(0)  # its turn is the next one
    claims.lower(0, 2)  # before that the committer tells of a push, and the loop has yet to hear of it
    await claiming
    await turns()
    assert woken == [0, 1]  # two came, and nobody else looks in vain
    waiters.wake()


async def test_who_parks_just_when_a_push_looks_for_waiters_is_woken(parked):
    class Late(Waiters):
        """Whose first comes after the first look."""

        looks = 0

        def __len__(self) -> int:
            self.looks += 1
            return super().__len__() if self.looks > 1 else 0

    waiters = Late()
    claims = claims_of(waiters)
    woken = await parked(claims, waiters, 1)
    waiters.looks = 0
    claims.lower(0, 1)
    await turns()
    assert woken == [0]


async def test_before_the_ledger_has_been_read_a_claim_is_to_tell():
    engine = SimpleNamespace(now=lambda: 0, next_due=lambda queue: None)
    claims = Claims(1, engine, Waiters(), route=lambda woken: None, ended=lambda: True, barred=lambda: False)
    assert claims.worth_knowing()
    claims.look()
    assert not claims.worth_knowing()


async def test_what_comes_while_the_ledger_is_read_is_not_lost():
    claims = claims_of(Waiters())

    def read_before_a_push_and_told_after_it(queue: int) -> None:
        claims.lower(5, 1)

    claims._engine.next_due = read_before_a_push_and_told_after_it
    claims.look()
    assert claims.due == 5
