"""Looks that are cut short, fail, meet another owner: nothing is taken twice."""

from __future__ import annotations

import psycopg
import pytest

from ..inboxes import Owner
from .conftest import got, push

# -- limits of a look


def test_a_look_that_was_cut_short_leaves_the_floor(owner, app):
    push(app, "1", "2", "3", "4", "5")
    assert owner.turn(2) == ['"1"', '"2"']
    assert owner.drain.floor == 0
    owner.turn(2)
    assert owner.drain.floor == 0
    owner.turn(2)
    assert (got(owner), owner.drain.floor > 0) == (["1", "2", "3", "4", "5"], True)


def test_a_look_of_exactly_its_limit_is_not_whole(owner, app):
    push(app, "1", "2")
    look = owner.look(2)
    assert not look.whole
    owner.take(look)
    assert owner.drain.floor == 0
    assert owner.look(2).whole


def test_bytes_cut_a_look_short_but_one_row_comes(database, app):
    owner = Owner(database.url, bytes_most=100)
    push(app, "x" * 300, "y" * 60, "z" * 60)
    assert [len(value) for value in owner.turn()] == [302]
    assert owner.drain.floor == 0
    assert [value[1] for value in owner.turn()] == ["y", "z"]
    assert owner.drain.floor > 0
    owner.close()


# -- failures


def test_a_transaction_that_fails_leaves_all_in_the_inbox(owner, app, slow):
    push(slow, "early")
    push(app, "1", "2")
    owner.look()
    owner.drain.failed()
    assert owner.drain.floor == 0
    slow.commit()
    owner.turn()
    assert got(owner) == ["early", "1", "2"]


def test_a_second_look_waits_until_the_first_is_decided(owner, app):
    push(app, "1")
    look = owner.look()
    with pytest.raises(RuntimeError):
        owner.look()
    owner.take(look)
    assert owner.turn() == []


def test_of_two_owners_one_takes_a_row(database, owner, app):
    push(app, "1", "2")
    other = Owner(database.url)
    look, same = owner.look(), other.look(1)
    other.take(same)
    with pytest.raises(psycopg.Error) as caught:
        owner.take(look)
    assert caught.value.sqlstate == "QD100"
    assert caught.value.diag.message_primary == "1 of 2 rows of the inbox were not there any more"
    owner.drain.failed()
    owner.turn()
    assert (got(other), got(owner)) == (["1"], ["2"])
    other.close()


def test_a_new_owner_finds_what_the_one_before_had_left(database, owner, app):
    push(app, "1")
    owner.turn()
    owner.turn()
    push(app, "2")
    owner.turn(full=("a",))
    owner.turn()
    new = Owner(database.url)
    new.turn()
    assert (got(owner), got(new)) == (["1"], ["2"])
    new.close()


def test_rows_of_a_restored_dump_have_transactions_of_another_time(owner, app):
    owner.turn()
    app.execute("INSERT INTO inbox (tx, queue, value, priority) VALUES ('900000000', 'a', '1', 0)")
    for _ in range(3):
        owner.turn()
    push(app, "2")
    owner.turn()
    assert got(owner) == ["1", "2"]
