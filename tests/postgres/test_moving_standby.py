"""A move whose commit did not wait for the standby: it is no step of the move, however often it is tried."""

import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("psycopg")

sys.path.append(str(Path(__file__).parent))  # ``ledgers``

import ledgers
from dibs.errors import LedgerMigrated, LedgerUnavailable
from dibs.ledger.moving.back import migrate_back
from dibs.ledger.moving.forward import migrate
from dibs.ledger.sqlite.engine import SqliteEngine

TOLD = "has committed, but says: .*once its standby is there, the same command goes on"
CUT_SHORT = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


class Freezing:
    """What is told of a move; at a step of it the standby is frozen."""

    def __init__(self, standby, at):
        self._standby, self._at = standby, at

    def step(self, done):
        if done == self._at:
            self._standby.freeze()

    def warn(self, warning): ...

    def begin(self, total): ...

    def rows(self, table, done): ...


@contextmanager
def impatient(primary):
    """Somebody ends the waits for the standby."""
    over = threading.Event()

    def cancel():
        while not over.wait(0.05):
            primary.do(CUT_SHORT)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    ledgers.everything(tmp_path / "data")
    return tmp_path / "data"


def can_be_served(folder):
    try:
        SqliteEngine(folder).close()
    except LedgerMigrated:
        return False
    return True


def position(pair):
    return pair.primary.do("SELECT n FROM dibs.position", database="moved")


@pytest.mark.parametrize("at", ["opened", "marked"])
def test_there(folder, pair, at):
    pair.primary.create("moved")
    url = pair.primary.url("moved")
    move = Freezing(pair.standby, at)
    with impatient(pair.primary):
        for _ in range(2):  # as long as the standby is away, nothing else comes of it
            with pytest.raises(LedgerUnavailable, match=TOLD):
                migrate(folder, url, move)
            assert can_be_served(folder) == (at == "opened")
            assert (position(pair) == []) == (at == "opened")
    pair.standby.thaw()
    migrate(folder, url, Freezing(pair.standby, None))
    assert not can_be_served(folder)
    assert position(pair) == [(1,)]


def test_and_back(folder, pair, tmp_path):
    """Else the folder could be served, and the standby once it is promoted, too."""
    pair.primary.create("moved")
    url, to = pair.primary.url("moved"), tmp_path / "back"
    migrate(folder, url, Freezing(pair.standby, None))
    with impatient(pair.primary):
        for _ in range(2):
            with pytest.raises(LedgerUnavailable, match=TOLD):
                migrate_back(url, to, Freezing(pair.standby, "exported"))
            assert not can_be_served(to)
    pair.standby.thaw()
    migrate_back(url, to, Freezing(pair.standby, None))
    assert can_be_served(to)
