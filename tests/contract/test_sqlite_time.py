"""When SQLite persists ledger time, and when nothing is written any more."""

from __future__ import annotations

import pytest
from dibs.ledger.work import Ack, Extend
from engines import SqliteFile, SqliteMemory
from words import idle

HOUR = 3_600_000

pytestmark = pytest.mark.parametrize("new_ledger", [SqliteFile, SqliteMemory], indirect=True)


def test_time_is_persisted_for_the_last_lease_and_then_nothing_is_written_any_more(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1, ttl=500)
    assert idle(ledger, 10_000) == 1
    assert ledger.engine.unheard() is None
    if ledger.starts:
        ledger.crash()
        assert ledger.engine.unheard() is None


def test_nothing_is_written_where_all_leases_are_settled(ledger):
    queue = ledger.jobs("1")
    assert ledger.engine.unheard() is None
    ledger.claim(queue, ttl=HOUR)
    assert ledger.engine.unheard() == 1.0
    ledger.one(queue, Ack("t"))
    assert idle(ledger, 10_000) == 1  # it looks once
    assert ledger.engine.unheard() is None


def test_a_lease_that_is_extended_counts_to_its_new_end(ledger):
    queue = ledger.jobs("1")
    ledger.claim(queue, ttl=100)
    ledger.one(queue, Extend("t", 3_000))
    assert idle(ledger, 10_000) == 3
