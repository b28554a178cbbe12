"""A ledger that has lost something: an operator says what is done."""

from __future__ import annotations

import threading

import pytest
from dibs.errors import LedgerUnavailable
from dibs.ledger.recovered import Recovered
from support.door import PATIENCE


def test_what_an_operator_asks_for_is_done_on_the_thread_of_the_writer_in_its_turn(desk):
    asked = []

    def recover(*, accept_loss, who):
        asked.append((accept_loss, who, threading.current_thread().name))
        if accept_loss:
            raise LedgerUnavailable("not now")
        return Recovered(3, 0)

    desk.engine.recover = recover
    assert desk.writer.recover(accept_loss=False).result(PATIENCE) == Recovered(3, 0)
    with pytest.raises(LedgerUnavailable, match="not now"):
        desk.writer.recover(accept_loss=True, who="ann").result(PATIENCE)
    assert asked == [(False, "", "dibs-writer"), (True, "ann", "dibs-writer")]
    assert desk.writer.close(PATIENCE)
    with pytest.raises(LedgerUnavailable):
        desk.writer.recover(accept_loss=False)


def test_who_asked_and_is_gone_ends_no_writer(desk):
    began, door = threading.Event(), threading.Event()

    def recover(*, accept_loss, who):
        began.set()
        assert door.wait(PATIENCE)
        return Recovered(0, 0)

    desk.engine.recover = recover
    under_way = desk.writer.recover(accept_loss=False)
    assert began.wait(PATIENCE)
    waiting = desk.writer.recover(accept_loss=True)
    assert (under_way.cancel(), waiting.cancel()) == (False, True)
    desk.engine.recover = None  # nobody asks any more for the second
    door.set()
    assert under_way.result(PATIENCE) == Recovered(0, 0)
    assert desk.writer.close(PATIENCE)
    assert desk.writer.down is None
