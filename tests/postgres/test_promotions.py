"""Who has the first look after a promotion, and what a server still knows of its own last term."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import seqs, take
from dibs.errors import LedgerLost
from dibs.ledger.postgres import promotions, watching
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.promotions import FormerOwner
from dibs.ledger.postgres.sharing import SharedLedger
from dibs.ledger.serve import Serve

HOUR = 3600.0
PATIENCE = 60.0


class Waiting:
    """A server that waits for the ledger's lock, and a clock that goes on by hand."""

    def __init__(self, monkeypatch):
        self.time = 0.0
        monkeypatch.setattr(promotions, "monotonic", lambda: self.time)
        self.former = FormerOwner(str(uuid4()), PATIENCE)

    def leaves_the_look(self, ledger):
        """Whether it leaves the first look to the owner before."""
        with ledger.connect(writes=True) as session:
            return self.former.goes_first(session)


@pytest.fixture
def waiting(monkeypatch):
    return Waiting(monkeypatch)


def goes_on(owner):
    [[served]] = owner.recovery.apply([Serve(owner.numbers, 1, (take(1),), length=100)]).outcomes
    assert len(seqs(served)) == 1


def fail_over(pair):
    pair.primary.kill()
    pair.promote()


@pytest.mark.parametrize("between", [1.0, HOUR], ids=["it regained at once", "patience had run out"])
def test_after_each_promotion_the_owner_before_has_the_first_look(pair, own, waiting, between):
    url = pair.create("d")
    Ledger(url).make()
    owner = own(url)
    fail_over(pair)
    assert waiting.leaves_the_look(owner.ledger)
    waiting.time += between
    assert waiting.leaves_the_look(owner.ledger) == (between < PATIENCE)
    goes_on(owner)  # from here on it has the lock, and the other one is blocked
    pair.rejoin()
    waiting.time += HOUR
    fail_over(pair)
    assert waiting.leaves_the_look(owner.ledger)
    waiting.time += PATIENCE
    assert not waiting.leaves_the_look(owner.ledger)


def test_another_standby_may_be_promoted_to_a_timeline_of_the_same_number(clusters, own, waiting):
    """Both were of one primary, so that only the start of their servers tells them apart."""
    cluster = clusters.make()
    url = cluster.create("d")
    Ledger(url).make()
    owner = own(url)
    owner.do("UPDATE term SET timeline = 99")
    assert waiting.leaves_the_look(owner.ledger)
    waiting.time += HOUR
    assert not waiting.leaves_the_look(owner.ledger)
    cluster.restart("immediate")
    assert waiting.leaves_the_look(owner.ledger)


def test_a_server_that_stands_is_patient_anew_when_its_database_was_gone(database, own, waiting, monkeypatch):
    Ledger(database.url).make()
    owner = own(database.url)
    owner.do("UPDATE term SET timeline = 99")
    owner.end_session()
    looks = []

    async def test():
        shared = SharedLedger(owner.url, version="0", owner_timeout=PATIENCE)
        asked = shared._former.goes_first

        def goes_first(session):
            looks.append(asked(session))
            if len(looks) == 1:
                waiting.time += HOUR
                raise psycopg.OperationalError("the server is gone")
            waiting.time += PATIENCE
            return looks[-1]

        monkeypatch.setattr(shared._former, "goes_first", goes_first)
        await shared.open("http://127.0.0.1:1", lambda: None)
        term = await asyncio.wait_for(shared.stand(), 60)
        await term.resign()
        await shared.close()

    asyncio.run(test())
    assert looks == [True, True, False]


def test_a_server_knows_what_it_told_itself_when_it_stands_again(database, monkeypatch):
    """Its watch has not seen the last transactions of its own term, and it is the owner before."""
    monkeypatch.setattr(watching, "LOOK_EVERY", HOUR)

    async def test():
        shared = SharedLedger(database.url, version="0", owner_timeout=HOUR)
        await shared.open("http://127.0.0.1:1", lambda: None)
        try:
            term = await asyncio.wait_for(shared.stand(), 60)
            for _ in range(3):
                await asyncio.to_thread(term.engine.keep_time)
            await term.resign()
            n = term.engine.position
            with Ledger(database.url).connect() as session:
                session.execute("UPDATE position SET n = %s", (n - 2,))
            with pytest.raises(LedgerLost, match=f"{n} of term 1 was there"):
                await asyncio.wait_for(shared.stand(), 60)
        finally:
            await shared.close()

    asyncio.run(test())
