"""A server that stands for owner, and does not become one."""

from __future__ import annotations

import asyncio

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres import sharing
from dibs.ledger.postgres.fence import Fenced
from dibs.ledger.postgres.pipeline import Unsafe
from dibs.ledger.postgres.sharing import SharedLedger


@pytest.mark.parametrize(
    "failure", [Unsafe("the commit did not wait for its standby"), Fenced("another server got in meanwhile")]
)
def test_a_takeover_that_failed_leaves_the_lock_to_the_next_one(database, monkeypatch, failure):
    """Whatever still holds the session that failed: the lock is not waited for that it had."""
    sessions = []

    def fails_once(ledger, session, *args, **options):
        sessions.append(session)
        if len(sessions) == 1:
            raise failure
        return take_over(ledger, session, *args, **options)

    take_over = sharing.take_over
    monkeypatch.setattr(sharing, "take_over", fails_once)

    async def test():
        shared = SharedLedger(database.url, version="0", owner_timeout=600.0)
        await shared.open("http://127.0.0.1:1", lambda: None)
        term = await asyncio.wait_for(shared.stand(), 60)
        assert [session.closed for session in sessions] == [True, False]
        await term.resign()
        await shared.close()

    asyncio.run(test())
