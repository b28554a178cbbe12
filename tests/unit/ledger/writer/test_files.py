"""Files that are gone or damaged, and the ledger time that is kept in them."""

from __future__ import annotations

import threading
from time import monotonic

from dibs.errors import (
    LedgerDamaged,
    LedgerUnavailable,
)
from dibs.ledger import recovery, writer
from dibs.ledger.ops import EngineDamaged
from support.door import PATIENCE

from .conftest import EIO

# -- files


def test_while_the_files_are_gone_nothing_is_applied_and_what_is_open_is_saved(desk, monkeypatch, caplog):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(recovery, "LOOK_BUSY", 0.0)
    desk.submit("a")
    assert desk.next() == ["did a"]
    desk.engine.against = LedgerUnavailable("dibs.db is missing from data")
    assert str(desk.writer.down) == "dibs.db is missing from data"
    desk.submit("b")
    assert [desk.next() for _ in range(2)] == [LedgerUnavailable, [LedgerUnavailable]]
    while len(desk.engine.saves) < 3:
        threading.Event().wait(0.001)  # what could not be saved yet is tried again
    desk.engine.against = None
    assert desk.next() is None
    assert desk.engine.saves[-1] == "back"  # it is told of their return before anything is handed out
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("CRITICAL", "dibs.db is missing from data"),
        ("CRITICAL", "saved"),  # once
        ("WARNING", "the ledger can be written again; it goes on"),
    ]
    desk.submit("c")
    assert desk.next() == ["did c"]
    assert (desk.engine.disk, desk.engine.reopenings) == (["a", "c"], 0)


def test_missing_files_are_noticed_while_nobody_asks(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.submit("a")
    assert desk.next() == ["did a"]  # so that it waits with the shorter time
    desk.engine.against = LedgerUnavailable("gone")
    assert desk.next() is LedgerUnavailable
    desk.engine.against = None


def test_a_damaged_ledger_refuses_all_and_is_not_reopened(desk):
    desk.engine.faults.append(EngineDamaged("a page is wrong"))
    desk.engine.door.shut()
    desk.submit("a")
    desk.engine.door.await_one()
    desk.engine.against = LedgerDamaged("a page is wrong")
    desk.engine.door.open()
    assert [desk.next() for _ in range(2)] == [LedgerDamaged, [LedgerDamaged]]
    desk.submit("b")
    assert desk.next() == [LedgerDamaged]
    assert desk.engine.reopenings == 0


# -- ledger time


def test_ledger_time_is_kept_while_nothing_is_written(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.unheard_for = 0
    desk.submit("look")
    assert desk.next() == ["did look"]
    assert desk.engine.kept.wait(PATIENCE)


def test_ledger_time_is_kept_while_batches_come_that_write_nothing(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.unheard_for = 0
    until = monotonic() + PATIENCE
    while not desk.engine.kept.is_set():
        assert monotonic() < until
        desk.submit("look")
        assert desk.next() == ["did look"]


def test_a_disk_that_fails_to_keep_time_is_reopened(desk, monkeypatch):
    monkeypatch.setattr(writer, "LOOK_EVERY", 0.01)
    desk.engine.keeping = EIO
    desk.engine.unheard_for = 0
    desk.submit("look")
    assert [desk.next() for _ in range(3)] == [["did look"], LedgerUnavailable, None]
    assert desk.engine.reopenings == 1
