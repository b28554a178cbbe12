"""A full disk: what is certain is said at once; nothing is taken on before there is room for certainty."""

import pytest

from app.errors import LedgerFull
from app.ledger.committer import Entry
from app.ledger.ops import EngineFailed, Take
from app.ledger.pending import Pending


def test_on_a_full_disk_ops_are_refused_until_there_is_room(desk, monkeypatch):
    monkeypatch.setattr("app.ledger.committer.ROOM_EVERY", 0.001)
    full = EngineFailed("ENOSPC", full=True)
    desk.engine.faults.append("absent")
    desk.engine.rooms.extend([full] * 3)
    failed = Pending()
    desk.committer.submit(Entry(Take(1, 1, 1), failed))
    with pytest.raises(Exception, match="nothing was handed out"):
        failed.result(10)
    refused = 0
    while desk.committer.down is not None:
        try:
            desk.committer.check()
        except LedgerFull:
            refused += 1
    assert not desk.engine.rooms
    granted = Pending()
    desk.committer.submit(Entry(Take(1, 1, 1), granted, answer="one"))
    assert granted.result(10) == "one"


def test_close_does_not_wait_for_room(desk):
    desk.engine.faults.append("absent")
    desk.engine.rooms.extend([EngineFailed("ENOSPC", full=True)] * 10_000)
    failed = Pending()
    desk.committer.submit(Entry(Take(1, 1, 1), failed))
    with pytest.raises(Exception, match="nothing was handed out"):
        failed.result(10)
    assert desk.committer.close(10)
