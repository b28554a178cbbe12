"""An ask at fault fails alone."""

from __future__ import annotations

import pytest
from dibs.errors import (
    LedgerDamaged,
    LedgerFault,
    LedgerFull,
    LedgerUnavailable,
)
from dibs.ledger import writer
from support.door import PATIENCE

from .conftest import FULL, after, serve

# -- an op at fault


def test_one_at_fault_fails_alone_ask_by_ask(desk, caplog):
    desk.engine.bad["bad"] = KeyError("x")
    desk.submit(serve(7, "b", "bad", "c"), "a", serve(8, "d"))
    assert desk.next() == [("did b", LedgerFault, "did c"), "did a", ("did d",)]
    assert desk.engine.disk == ["a", "b", "c", "d"]  # what is no Serve comes first, as in one transaction
    assert "refused by the ledger" in caplog.text
    desk.submit("e")
    assert desk.next() == ["did e"]  # the ledger was never down


def test_what_is_refused_for_a_reason_of_its_own_hears_it(desk):
    desk.engine.bad["bad"] = LedgerDamaged("the answer kept under the key 'k' is damaged", "maybe")
    desk.submit(serve(7, "bad", "c"), "bad")
    report = desk.told.get(timeout=PATIENCE)
    (one, two), three = report.applied.outcomes
    assert (one.handed_out, two, three.handed_out) == ("maybe", "did c", "maybe")
    assert report.applied.after == {7: after(7, 1)}


def test_the_end_of_a_source_that_nobody_asks_is_recorded_beside_one_at_fault(desk):
    desk.engine.bad["bad"] = KeyError("x")
    desk.submit("bad", serve(7))
    applied = desk.told.get(timeout=PATIENCE).applied
    assert [desk.engine.calls[-1], applied.outcomes[1]] == [[serve(7)], ()]
    assert applied.after == {7: after(7, 0)}


@pytest.mark.parametrize("fault", ["present", "absent"])
def test_a_commit_that_fails_on_the_way_concerns_that_ask_alone(desk, fault):
    desk.engine.bad["bad"] = KeyError("x")
    desk.engine.faults += [None, None, fault]
    desk.submit(serve(7, "b", "c", "bad", "d"))
    assert [desk.next() for _ in range(2)] == [LedgerUnavailable, None]
    second = "did c" if fault == "present" else LedgerUnavailable
    assert desk.next() == [("did b", second, LedgerFault, "did d")]


def test_a_disk_that_fills_up_on_the_way_is_not_tried_for_each_ask(desk, monkeypatch):
    monkeypatch.setattr(writer, "ROOM_EVERY", 0.0)
    desk.engine.bad["bad"] = KeyError("x")
    desk.engine.faults += [None, None, FULL]
    desk.engine.rooms += [FULL] * 4
    desk.submit(serve(7, "b", "c", "d", "bad"))
    assert desk.next() is LedgerFull
    assert desk.next() == [("did b", LedgerFull, LedgerFull, LedgerFull)]
    assert desk.engine.reopenings == 1
