"""What rows become, which are refused, and how the inbox is measured."""

from __future__ import annotations

import psycopg
import pytest
from dibs.ledger.inbox import BoundInbox, Place, TakenIn, Unfit
from dibs.ledger.postgres.inbox import PostgresInbox

from ..inboxes import connect, execute
from .conftest import left, push

# -- terms, and what can't be taken


def test_a_delay_counts_from_the_push(owner, app):
    push(app, "at once")
    push(app, "later", delay="1 hour")
    push(app, "past", delay="1 hour")
    app.execute("UPDATE inbox SET at = at - interval '50 minutes' WHERE value = '\"later\"'")
    app.execute("UPDATE inbox SET at = at - interval '2 hours' WHERE value = '\"past\"'")
    look = owner.look()
    dues = {arrival.text: arrival.due for arrival in look.arrivals}
    assert dues['"at once"'] == dues['"past"'] == 0
    assert 0 <= owner.instant + 600_000 - dues['"later"'] < 60_000


def test_keys_and_priorities_come_along(owner, app):
    push(app, "1", key="k", priority=3)
    ((_, queue, value, key, due, priority),) = owner.look().arrivals
    assert (queue, value, key, due, priority) == ("a", '"1"', "k", 0, 3)


def test_what_cant_be_taken_is_kept_with_its_reason_and_tried_again(database, owner, app):
    push(app, "1", "bad", "2", key="k", delay="1 s", priority=2)
    look = owner.look()
    assert [why for _, why in look.unfit] == ["it is bad"]
    refused = Unfit(look.arrivals[0].place, "there is no queue")
    taken = TakenIn((look.arrivals[1].place,), (*look.unfit, refused))
    execute(owner.connection, taken)
    owner.drain.committed(taken)
    inbox = PostgresInbox(lambda: connect(database.url))
    shown = inbox.refused(None, 0, 10)
    assert [(row.queue, row.value, row.key, row.reason) for row in shown] == [
        ("a", '"1"', "k", "there is no queue"),
        ("a", '"bad"', "k", "it is bad"),
    ]
    assert all(row.refused_at >= row.at > 1_700_000_000_000 for row in shown)
    assert inbox.refused(None, shown[0].id, 10) == shown[1:]
    assert inbox.refused("b", 0, 10) == []
    assert inbox.measure(10)[::2] == (0, 2)
    assert (inbox.retry("b"), inbox.retry("a"), inbox.retry(None)) == (0, 2, 0)
    assert left(app) == ["1", "bad"]
    kept = app.execute("SELECT key, delay_ms, priority FROM inbox").fetchall()
    assert kept == [("k", 1000, 2)] * 2
    assert [arrival.text for arrival in owner.look().arrivals] == ['"1"']
    inbox.close()


def test_rows_are_refused_whole_or_not_at_all(owner, app):
    push(app, "1")
    place = owner.look().arrivals[0].place
    with pytest.raises(psycopg.Error) as caught:
        execute(owner.connection, TakenIn((), (Unfit(place, "x"), Unfit(Place(place.tx, place.n + 1), "y"))))
    assert caught.value.sqlstate == "QD100"
    assert left(app) == ["1"]
    assert app.execute("SELECT count(*) FROM inbox_refused").fetchone() == (0,)


def test_limits_and_stops_are_told(owner, app):
    execute(owner.connection, BoundInbox(1000, 20, 5000, ("a",)))
    assert app.execute("SELECT value_bytes, key_bytes, delay_ms FROM inbox_limits").fetchall() == [
        (1000, 20, 5000)
    ]
    stopped = "SELECT name FROM target WHERE stopped"
    assert app.execute(stopped).fetchall() == [("a",)]
    execute(owner.connection, BoundInbox(1000, 20, 5000))
    assert app.execute(stopped).fetchall() == [("a",)]
    execute(owner.connection, BoundInbox(1000, 20, 5000, ()))
    assert app.execute(stopped).fetchall() == []


def test_a_push_is_told_where_the_owner_wants_that(owner, app, database):
    with connect(database.url) as listening:
        notices = []
        listening.add_notify_handler(lambda notice: notices.append(notice.payload))
        listening.execute("LISTEN dibs_inbox")

        def heard():
            """What was told since the last time: all that was committed before a word of our own."""
            listening.execute("NOTIFY dibs_inbox, 'over'")
            while "over" not in notices:
                listening.execute("SELECT 1")
            found = notices[: notices.index("over")]
            notices.clear()
            return found

        app.execute("SELECT push('a', '1')")
        assert heard() == []
        execute(owner.connection, BoundInbox(262_144, 255, 5000, (), True))
        with app.transaction():
            app.execute("SELECT push('a', '1')")
            app.execute("SELECT push('a', '2')")
        assert heard() == ["dibs"]
        execute(owner.connection, TakenIn((), (Unfit(owner.look().arrivals[0].place, "bad"),)))
        app.execute("SELECT inbox_retry(NULL)")
        assert heard() == ["dibs"]
        execute(owner.connection, BoundInbox(262_144, 255, 5000))
        app.execute("SELECT push('a', '1')")
        assert heard() == []


def test_the_inbox_is_measured_up_to_a_bound(database, app):
    inbox = PostgresInbox(lambda: connect(database.url))
    assert inbox.measure(10) == (0, None, 0)  # no row, so none is old
    push(app, "1", "2", "3")
    app.execute("UPDATE inbox SET at = at - interval '1 hour' WHERE value = '\"1\"'")
    length, oldest, refused = inbox.measure(2)
    assert (length, refused) == (2, 0)
    assert 3600 <= oldest < 3660
    assert inbox.measure(10).length == 3
    inbox.close()
