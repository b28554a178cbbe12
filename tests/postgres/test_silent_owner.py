"""Who ends the session of an owner that fell silent, and of none that has only just begun."""

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.takeover import lock
from dibs.ledger.postgres.terms import end_holder

LONG = 60.0


@pytest.fixture
def ledger(database):
    ledger = Ledger(database.url)
    ledger.make()
    return ledger


def test_the_session_of_a_silent_owner_is_ended(ledger):
    with ledger.connect() as others, ledger.connect(writes=True) as owner:
        lock(ledger, owner)
        assert end_holder(others, ledger.schema, 0.0)
        with pytest.raises(psycopg.OperationalError):
            owner.execute("SELECT 1")


def test_a_server_that_has_just_got_the_lock_is_left_alone_though_the_position_is_still_silent(ledger):
    """Two servers see the silence; the first ends the owner and has the lock when the second one acts."""
    with (
        ledger.connect() as second,
        ledger.connect(writes=True) as silent,
        ledger.connect(writes=True) as first,
    ):
        lock(ledger, silent)
        assert end_holder(first, ledger.schema, 0.0)
        lock(ledger, first)
        assert not end_holder(second, ledger.schema, LONG)
        first.execute("SELECT 1")


def test_where_nobody_has_the_lock_nobody_is_ended(ledger):
    with ledger.connect() as session:
        assert not end_holder(session, ledger.schema, 0.0)
