"""The tables of an older release: a server of this one makes what they lack, and stops nobody for long."""

from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.errors import LedgerUnavailable
from dibs.ledger.moving.back import migrate_back
from dibs.ledger.postgres import ledger
from dibs.ledger.postgres.ledger import Ledger

ADDITIONS = Path(ledger.__file__).with_name("additions.sql")
COLUMNS = """
SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'dibs'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2
"""


class Untold:
    """A move of which nobody is told."""

    def warn(self, warning):
        pass

    def step(self, done):
        pass

    def begin(self, total):
        pass

    def rows(self, table, done):
        pass


def made(database):
    found = Ledger(database.url)
    found.make()
    return found


def test_each_addition_is_made_where_it_lacks(database):
    found = made(database)
    whole = database.do(COLUMNS)
    added = ledger._ADDED.findall(ADDITIONS.read_text("utf-8"))
    assert len(added) == ADDITIONS.read_text("utf-8").count("IF NOT EXISTS")
    assert {("block", "caller"), ("queue", "failure_place"), ("", "loss")} <= set(added)
    for table, name in added:
        database.do(f"ALTER TABLE dibs.{table} DROP COLUMN {name}" if table else f"DROP TABLE dibs.{name}")
        assert database.do(COLUMNS) != whole
        found.make()
        assert database.do(COLUMNS) == whole


def test_a_table_that_somebody_reads_for_long_keeps_no_owner_waiting(database, monkeypatch):
    found = made(database)
    pauses = []
    monkeypatch.setattr(ledger, "TRIES", 3)
    monkeypatch.setattr(ledger, "sleep", pauses.append)
    database.do("ALTER TABLE dibs.block DROP COLUMN caller")
    with psycopg.connect(database.url) as dump:
        dump.execute("SELECT count(*) FROM dibs.block")
        found.connect().close()  # a server of an older release needs no addition
        with pytest.raises(
            LedgerUnavailable, match="lack columns, which can't be added while somebody reads"
        ):
            found.make()
        assert pauses == [ledger.PAUSE] * 2
        [(waiting,)] = database.do("SELECT count(*) FROM pg_locks WHERE NOT granted")
        assert waiting == 0
    monkeypatch.setattr(ledger, "sleep", lambda _: pytest.fail("nobody holds it"))
    found.make()


def test_a_ledger_that_only_an_older_release_has_served_goes_back_into_a_folder(database, tmp_path):
    made(database)
    database.do("ALTER TABLE dibs.block DROP COLUMN caller")
    database.do("ALTER TABLE dibs.queue DROP COLUMN failure_place")
    done = migrate_back(database.url, tmp_path / "back", Untold())
    assert (tmp_path / "back" / "dibs.db").exists()
    assert done.rows["block"] == 0
