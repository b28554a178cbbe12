"""The drain: nothing is skipped, whatever commits late."""

from __future__ import annotations

from ..inboxes import Owner, connect, define, made
from .conftest import got, left, push

# -- late commits


def test_a_lower_number_that_commits_later_is_found(owner, app, slow):
    push(slow, "early")
    push(app, "late")
    owner.turn()
    floor = owner.drain.floor
    owner.turn()
    assert (got(owner), owner.drain.floor) == (["late"], floor)
    slow.commit()
    owner.turn()
    assert got(owner) == ["late", "early"]
    assert left(app) == []
    owner.turn()
    assert owner.drain.floor > floor


def test_a_transaction_that_has_pushed_nothing_yet_holds_the_floor(owner, app, slow):
    slow.execute("SELECT pg_current_xact_id()")
    push(app, "1")
    owner.turn()
    push(slow, "2")
    push(app, "3")
    owner.turn()
    slow.commit()
    owner.turn()
    assert got(owner) == ["1", "3", "2"]


def test_a_commit_between_the_look_and_its_transaction_is_found_by_the_next(owner, app, slow):
    push(slow, "early")
    push(app, "late")
    look = owner.look()
    slow.commit()
    owner.take(look)
    owner.turn()
    assert got(owner) == ["late", "early"]


def test_one_transaction_keeps_its_order_and_transactions_that_of_their_first_write(owner, app, slow):
    push(slow, "1", "2", queue="a")
    push(app, "4")
    push(slow, "3", queue="b")
    slow.commit()
    owner.turn()
    assert got(owner) == ["1", "2", "3", "4"]


# -- rollbacks


def test_what_was_rolled_back_never_comes(owner, app, slow):
    push(slow, "gone")
    slow.rollback()
    with app.transaction():
        push(app, "1")
        with app.transaction(force_rollback=True):
            push(app, "gone too")
        with app.transaction():
            push(app, "2")
        push(app, "3")
    owner.turn()
    owner.turn()
    assert got(owner) == ["1", "2", "3"]


def test_a_transaction_in_two_phases_is_found(clusters):
    cluster = clusters.make(max_prepared_transactions=5)
    url = cluster.create("d")
    made(url)
    owner = Owner(url)
    with connect(url) as app:
        define(app, "a")
        app.execute("BEGIN")
        push(app, "prepared")
        app.execute("PREPARE TRANSACTION 'one'")
        push(app, "1")
        owner.turn()
        owner.turn()
        app.execute("COMMIT PREPARED 'one'")
        owner.turn()
    assert got(owner) == ["1", "prepared"]
    owner.close()
