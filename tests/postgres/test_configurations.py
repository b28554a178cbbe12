"""The configurations of servers, as the database keeps them."""

from __future__ import annotations

import asyncio

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres import configurations
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.sharing import SharedLedger
from dibs.ledger.terms import Configuration


def test_one_is_kept_for_each_address(ledger_url):
    async def test():
        ledger = SharedLedger(ledger_url, version="0", owner_timeout=4)
        assert await ledger.configurations() == []
        for number, address in enumerate("aba"):
            await ledger.keep(Configuration(address, str(number), (f"q{number}", "ü"), number))
        found = sorted(await ledger.configurations())
        assert found == [Configuration("a", "2", ("q2", "ü"), 2), Configuration("b", "1", ("q1", "ü"), 1)]

    asyncio.run(test())


def test_those_that_came_first_are_forgotten(ledger_url, monkeypatch):
    monkeypatch.setattr(configurations, "KEPT", 2)
    with Ledger(ledger_url).connect() as session:
        for number, address in enumerate("abc"):
            configurations.keep(session, Configuration(address, "", (), number))
        assert sorted(one.address for one in configurations.read(session)) == ["b", "c"]


def test_a_ledger_that_was_made_before_gets_what_lacks(database):
    ledger = Ledger(database.url)
    secret = ledger.make()
    with ledger.connect() as session:
        session.execute("DROP TABLE configuration")
    assert ledger.make() == secret
    with ledger.connect() as session:
        assert configurations.read(session) == []
