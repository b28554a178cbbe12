"""Full queues hold up no other."""

from __future__ import annotations

from .conftest import got, left, push

# -- full queues


def test_a_full_queue_holds_up_no_other(owner, app):
    push(app, "a1", "a2", queue="a")
    push(app, "b1", queue="b")
    owner.turn(full=("a",))
    assert dict(owner.drain.full) == {"a": 0}
    push(app, "a3", queue="a")
    push(app, "b2", queue="b")
    owner.turn()
    owner.turn()
    assert (got(owner), left(app)) == (["b1", "b2"], ["a1", "a2", "a3"])
    assert owner.drain.floor > owner.drain.lowest == 0
    owner.drain.roomy("a")
    assert owner.drain.floor == 0
    owner.turn()
    assert got(owner) == ["b1", "b2", "a1", "a2", "a3"]


def test_two_full_queues_go_back_to_their_own_floors(owner, app):
    push(app, "a1", queue="a")
    owner.turn(full=("a",))
    owner.turn()
    middle = owner.drain.floor
    push(app, "b1", queue="b")
    owner.turn(full=("b",))
    owner.turn()
    assert dict(owner.drain.full) == {"a": 0, "b": middle}
    owner.drain.roomy("b")
    assert owner.drain.floor == middle
    owner.turn()
    owner.turn()
    assert (got(owner), dict(owner.drain.full)) == (["b1"], {"a": 0})
    owner.drain.roomy("a")
    owner.turn()
    assert got(owner) == ["b1", "a1"]


def test_a_queue_that_gets_room_while_a_transaction_is_open_loses_nothing(owner, app, slow):
    push(slow, "early")
    push(app, "1")
    owner.turn(full=("a",))
    owner.turn()
    slow.commit()
    owner.turn()
    owner.drain.roomy("a")
    owner.turn()
    assert got(owner) == ["early", "1"]
