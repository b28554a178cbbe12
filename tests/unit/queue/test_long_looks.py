"""A look that takes long is off the event loop, and not on the connection that the loop looks with."""

from __future__ import annotations

import asyncio

import pytest
from dibs.errors import QueueConflict
from dibs.ledger.work import Parcel
from dibs.queue import LeaseAsk


@pytest.fixture
def filled(opened):
    """A queue with one waiting and two leased items."""

    class Filled:
        async def __aenter__(self):
            self._house = opened({"q": None})
            house = await self._house.__aenter__()
            await house["q"].push((Parcel(("1", "2", "3")),))
            await house["q"].lease(LeaseAsk(2))
            return house

        async def __aexit__(self, *error):
            await self._house.__aexit__(*error)

    return Filled


LOOKS = {
    "read": lambda house: house["q"].read(),
    "define": lambda house: house.queues.define("q", None),
    "change": lambda house: house.queues.define("q", None, settings={"max_attempts": 3}),
    "pause": lambda house: house["q"].pause(),
    "stats": lambda house: house.queues.stats(),
    "infos": lambda house: house.queues.infos("", 9),
    "item_keys": lambda house: house["q"].item_keys(),
    "history": lambda house: house.queues.history("q", seq=None, after=0, limit=9),
    "delete": lambda house: house["q"].delete(confirmed=False),
}


@pytest.mark.parametrize("name", LOOKS)
async def test_others_go_on_meanwhile(filled, name):
    async with filled() as house:
        browsing = house.disk.files.readers.slow.lock
        browsing.acquire()
        look = asyncio.ensure_future(LOOKS[name](house))
        try:
            for key in ("a", "b", "a"):
                pushed = await house["q"].push((Parcel(("4",)),), key=key)
            assert (pushed.replayed, look.done()) == (True, False)
        finally:
            browsing.release()
        if name == "delete":
            with pytest.raises(QueueConflict, match=r"holds 3 waiting, 2 leased and 0 dead"):
                await look
        else:
            await look
        found = await house["q"].read()
        assert (found.waiting, found.leased, found.dead) == (3, 2, 0)
