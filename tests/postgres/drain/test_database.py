"""A connection that is lost, a database that is away, a snapshot that is held."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from dibs.ledger.inbox import InboxUnreadable, TakenIn
from dibs.ledger.ops import EngineFailed
from dibs.ledger.postgres.inbox import PostgresInbox

from ..inboxes import connect, execute, text
from .conftest import push


def test_a_look_after_a_lost_connection_opens_another(database, app, postgres):
    sessions = []

    def opened():
        sessions.append(connect(database.url))
        return sessions[-1]

    inbox = PostgresInbox(opened)
    push(app, "1")
    postgres.do("SELECT 1")
    assert len(inbox.look(text, lambda: 0).arrivals) == 1
    inbox.failed()
    app.execute("SELECT pg_terminate_backend(%s)", [sessions[0].info.backend_pid])
    with pytest.raises(InboxUnreadable, match="terminating connection") as told:
        inbox.look(text, lambda: 0)
    assert "\n" not in str(told.value)  # psycopg's text has several lines
    assert len(inbox.look(text, lambda: 0).arrivals) == 1
    inbox.close()
    assert [session.closed for session in sessions] == [True, True]


def test_a_database_whose_transactions_have_lower_numbers_is_looked_at_from_its_first_row(database, app):
    """A standby was promoted that lacks some: what is pushed there may be below where looks had come to."""
    sessions = []

    def opened():
        sessions.append(connect(database.url))
        return sessions[-1]

    inbox = PostgresInbox(opened)
    inbox.look(text, lambda: 0)
    inbox.committed(TakenIn())
    assert inbox._drain.floor > 0
    inbox._drain.floor = 2**40  # as if that had been the primary before
    inbox._drain._full["filled"] = 2**40
    assert inbox.look(text, lambda: 0).whole  # and this its last look, which is decided after the promotion
    push(app, "1")
    app.execute("SELECT pg_terminate_backend(%s)", [sessions[0].info.backend_pid])
    with pytest.raises(InboxUnreadable):
        inbox.measure(1)
    assert inbox.measure(1).length == 1
    inbox.committed(TakenIn())
    assert len(inbox.look(text, lambda: 0).arrivals) == 1
    assert inbox._drain.lowest == 0
    inbox.close()


def test_a_look_that_is_under_way_at_the_end_is_the_last(database, app):
    sessions = []

    def opened():
        sessions.append(connect(database.url))
        return sessions[-1]

    inbox = PostgresInbox(opened)
    inbox.measure(1)
    with ThreadPoolExecutor() as threads:
        with app.transaction():
            app.execute("LOCK TABLE inbox")
            look = threads.submit(inbox.look, text, lambda: 0)
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = %s"
            while not app.execute(waits, [sessions[0].info.backend_pid]).fetchone():
                assert not look.done()
            inbox.close()
            assert not look.done()
        assert look.result(60).whole
    assert sessions[0].closed
    with pytest.raises(InboxUnreadable):
        inbox.measure(1)
    assert len(sessions) == 1


def test_a_database_that_cant_be_reached_is_told(database):
    def unreachable():
        raise EngineFailed("nobody answers")

    inbox = PostgresInbox(unreachable)
    with pytest.raises(InboxUnreadable, match="nobody answers"):
        inbox.measure(1)


def test_dead_rows_are_not_walked_while_a_snapshot_is_held(database, owner, app, slow):
    """The look reads by the key from the floor on: it stays as cheap as it was."""
    slow.execute("SET default_transaction_isolation = 'repeatable read'")
    slow.commit()
    slow.execute("SELECT count(*) FROM inbox")
    inbox = PostgresInbox(lambda: connect(database.url))
    for _ in range(5):
        app.execute("SELECT count(push('a', '1')) FROM generate_series(1, 1000)")
        look = inbox.look(text, lambda: 0)
        taken = TakenIn(tuple([arrival.place for arrival in look.arrivals]))
        execute(owner.connection, taken)
        inbox.committed(taken)
    for _ in range(2):
        inbox.look(text, lambda: 0)
        inbox.committed(TakenIn())
    app.execute("SELECT count(push('a', '1')) FROM generate_series(1, 3)")
    floor = str(inbox._drain.floor)
    app.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off")
    ((plan,),) = app.execute(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)"
        " SELECT * FROM inbox WHERE tx >= %s::text::xid8 ORDER BY tx, n LIMIT 1000",
        [floor],
    ).fetchall()
    node = plan[0]["Plan"]
    assert node["Actual Rows"] == 3
    assert node["Shared Hit Blocks"] + node["Shared Read Blocks"] <= 10
    inbox.close()
