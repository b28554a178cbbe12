"""A ledger moves to PostgreSQL and back: row by row, whatever happens, and never both can be served."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

pytest.importorskip("psycopg")

sys.path.append(str(Path(__file__).parent))  # ``ledgers``
sys.path.append(str(Path(__file__).parents[1] / "contract"))  # ledgers of older releases

import ledgers
from dibs.errors import (
    LedgerCopied,
    LedgerDamaged,
    LedgerForeign,
    LedgerLocked,
    LedgerMigrated,
    LedgerUnavailable,
)
from dibs.ledger.moving.back import migrate_back
from dibs.ledger.moving.forward import migrate
from dibs.ledger.postgres.arriving import arrive
from dibs.ledger.postgres.copying import WHOLE, copy_in, layouts
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.site import Site
from dibs.ledger.postgres.takeover import lock, take_over
from dibs.ledger.postgres.terms import Server
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.sqlite.restoring import restore
from versions import WRITE

CHILD = Path(__file__).with_name("moving_child.py")
SECONDS = 120
ME = Server("00000000-0000-0000-0000-000000000001", "here:1", "1")


class Noted:
    """What was told of a move."""

    def __init__(self):
        self.steps, self.warnings, self.counts, self.total = [], [], {}, None

    def warn(self, warning):
        self.warnings.append(warning)

    def step(self, done):
        self.steps.append(done)

    def begin(self, total):
        self.total = total

    def rows(self, table, done):
        self.counts[table] = done


@pytest.fixture
def folder(tmp_path):
    ledgers.everything(tmp_path / "data")
    return tmp_path / "data"


def there(folder, url):
    return migrate(folder, url, Noted())


def back(url, folder):
    return migrate_back(url, folder, Noted())


def can_be_served(folder):
    """Whether a server can open the ledger of a folder."""
    try:
        SqliteEngine(folder).close()
    except LedgerMigrated:
        return False
    return True


def exists(database):
    return database.do("SELECT to_regclass('dibs.ledger') IS NOT NULL") == [(True,)]


def is_there(database):
    """Whether a server can open the ledger of the database. None: there is none, and one would make it."""
    if not exists(database):
        return None
    try:
        Ledger(database.url).make()
    except LedgerMigrated:
        return False
    return True


def own(url):
    """Become the owner of a ledger."""
    ledger = Ledger(url)
    ledger.make()
    session = ledger.connect(writes=True)
    lock(ledger, session)
    return take_over(ledger, session, ME)


class TestThere:
    def test_all_rows_arrive_as_they_were(self, folder, database):
        before = ledgers.in_file(folder / "dibs.db")
        assert {name: len(rows) for name, rows in before.items() if not rows} == {}
        noted = Noted()
        done = migrate(folder, database.url, noted)
        assert ledgers.in_database(database.url) == ledgers.numbered(before)
        assert done.rows == {name: len(rows) for name, rows in before.items()} == noted.counts
        assert noted.total == sum(done.rows.values())
        assert noted.steps == ["opened", "made", "copied", "compared", "committed", "marked", "complete"]
        assert database.do("SELECT n, term, clock FROM dibs.position") == [(1, 0, 1_750_000_001_234)]

    def test_it_is_the_same_ledger_and_goes_on(self, folder, database):
        instance = _instance(folder)
        there(folder, database.url)
        assert database.do("SELECT instance::text FROM dibs.ledger") == [(instance,)]
        engine = own(database.url)
        try:
            names = {queue[1] for queue in ledgers.QUEUES}
            assert {row.name for row in engine.rows()} == names
            assert engine.row(2).cursor == 40
            assert [each.id for each in engine.history("counts", None, 0, 10)] == [7]
            assert engine.item_keys(2, 1, "k", after="", most=5) == []  # it has expired, as it would there
        finally:
            engine.close()

    def test_rows_of_the_history_go_on_counting(self, folder, database):
        there(folder, database.url)
        insert = (
            "INSERT INTO dibs.history (name, generation, first, last, verb, at, caller, worker, expires)"
            " VALUES ('q', 1, 1, 1, 'taken', 1, '', '', 1) RETURNING id"
        )
        assert database.do(insert) == [(10,)]

    def test_no_history_at_all(self, tmp_path, database):
        SqliteEngine(tmp_path / "data").close()
        assert sum(there(tmp_path / "data", database.url).rows.values()) == 0
        assert is_there(database) is True

    def test_into_another_schema(self, folder, database):
        before = ledgers.in_file(folder / "dibs.db")
        url = f"{database.url}?ledger=other_1"
        assert there(folder, url).to.endswith("?ledger=other_1")
        assert ledgers.in_database(url) == ledgers.numbered(before)
        assert not exists(database)

    def test_done_again_it_changes_nothing(self, folder, database):
        there(folder, database.url)
        found = ledgers.in_database(database.url)
        own(database.url).close()
        position = database.do("SELECT n FROM dibs.position")
        assert there(folder, database.url).rows == {}
        assert (ledgers.in_database(database.url)["run"], database.do("SELECT n FROM dibs.position")) == (
            found["run"],
            position,
        )

    @pytest.mark.parametrize("version", range(1, 7))
    def test_an_older_format_becomes_this_one_first(self, tmp_path, database, version):
        folder = tmp_path / "data"
        _do(WRITE[version](folder), "UPDATE ledger SET instance = '1f0a35a6-6d4c-4a5e-8d43-5a1a2f3b4c5d'")
        there(folder, database.url)
        assert ledgers.in_database(database.url) == ledgers.numbered(ledgers.in_file(folder / "dibs.db"))


def _do(file, statement):
    """Execute a statement in a file that no server has."""
    connection = apsw.Connection(str(file))
    found = connection.execute(statement).fetchall()
    connection.close()
    return found


def _instance(folder):
    return _do(folder / "dibs.db", "SELECT instance FROM ledger")[0][0]


class TestRefused:
    """Nothing is changed, and the sentence says what to do."""

    def refused(self, kind, folder, database, told):
        with pytest.raises(kind, match=told):
            there(folder, database.url)

    def test_while_a_server_has_the_folder(self, folder, database):
        engine = SqliteEngine(folder)
        self.refused(LedgerLocked, folder, database, rf"process {os.getpid()}\) owns")
        engine.close()
        assert not exists(database)

    def test_where_a_ledger_is(self, folder, database):
        Ledger(database.url).make()
        self.refused(LedgerMigrated, folder, database, "there is a ledger in .* already: .*ledger=NAME")
        assert can_be_served(folder)

    def test_where_something_else_is(self, folder, database):
        database.do("CREATE SCHEMA dibs")
        database.do("CREATE TABLE dibs.mine (a int)")
        self.refused(LedgerMigrated, folder, database, r"has other things in it \(mine\)")
        assert can_be_served(folder)
        assert database.do("SELECT count(*) FROM dibs.mine") == [(0,)]

    def test_a_schema_that_was_made_for_us_is_used(self, folder, database):
        database.do("CREATE SCHEMA dibs")
        there(folder, database.url)
        assert is_there(database) is True

    def test_where_another_ledger_is_on_its_way(self, folder, tmp_path, database):
        ledgers.everything(tmp_path / "another")
        killed("committed", "there", tmp_path / "another", database)
        self.refused(LedgerMigrated, folder, database, "another ledger .* is on its way")
        assert can_be_served(folder)

    def test_a_folder_without_a_ledger(self, tmp_path, database):
        (tmp_path / "empty").mkdir()
        for name in ("none", "empty"):
            self.refused(
                LedgerUnavailable, tmp_path / name, database, "there is no ledger in .*nothing was moved"
            )
        assert not (tmp_path / "none").exists()
        assert list((tmp_path / "empty").iterdir()) == []

    def test_another_program_s_file(self, tmp_path, database):
        (tmp_path / "dibs.db").write_text("hello, this is no database at all")
        self.refused(LedgerForeign, tmp_path, database, "not a ledger of dibs")

    def test_a_backup_that_nobody_accepted(self, folder, tmp_path, database):
        engine = SqliteEngine(folder)
        engine.backup(str(tmp_path / "b.db"))
        engine.close()
        restore(tmp_path / "b.db", tmp_path / "restored")
        self.refused(LedgerCopied, tmp_path / "restored", database, "nobody has accepted yet: .*dibs accept")
        assert not exists(database)

    def test_a_copy_that_is_not_equal(self, folder, database):
        """As if a row had changed between there and here."""
        with Site(database.url) as site:

            def fill(copy, tables):
                for layout in tables:
                    row = [7, 1, 1, 0, 0, 0, 0, None, "", 0, 0, 0, 0, 0]
                    copy(layout, [row] if layout.table.name == "run" else [])
                site.session.execute("UPDATE run SET due = 1")

            with pytest.raises(LedgerDamaged, match=r"the table run in .* is not what was copied"):
                arrive(site, _instance(folder), fill, lambda step: None, lambda table, count: None)
        assert not exists(database)

    def test_the_password_is_in_no_error(self, folder):
        with pytest.raises(LedgerUnavailable) as refused:
            there(folder, "postgresql://dibs:geheim@127.0.0.1:1/x")
        assert "geheim" not in str(refused.value)


def test_a_folder_that_was_moved_says_where_to(folder, tmp_path, database):
    there(folder, database.url)
    shown = Ledger(database.url).shown
    for open_it in (SqliteEngine, lambda folder: restore(folder / "dibs.db", tmp_path / "to")):
        with pytest.raises(LedgerMigrated) as refused:
            open_it(folder)
        assert f"dibs.db has moved to {shown}: " in str(refused.value)
        assert "dibs migrate --back URL" in str(refused.value)
    assert not (tmp_path / "to").exists()


def test_an_older_release_refuses_the_folder(folder, database):
    """By its format alone: the header says 1000."""
    there(folder, database.url)
    header = (folder / "dibs.db").read_bytes()[:100]
    assert int.from_bytes(header[60:64]) == 1_000


class TestBack:
    @pytest.fixture
    def moved(self, folder, database):
        self.before = ledgers.in_file(folder / "dibs.db")
        there(folder, database.url)
        return folder

    def test_the_folder_that_it_came_from(self, moved, database):
        done = back(database.url, moved)
        assert (done.to, done.rows) == (str(moved), {})
        assert not exists(database)
        assert ledgers.in_file(moved / "dibs.db") == self.before
        assert can_be_served(moved)

    def test_not_after_anything_was_written(self, moved, database):
        own(database.url).close()
        with pytest.raises(LedgerMigrated, match=r"stands at \d+, and the folder is as of 1: .*empty folder"):
            back(database.url, moved)
        assert (is_there(database), can_be_served(moved)) == (True, False)

    def test_a_fresh_folder_gets_everything(self, moved, tmp_path, database):
        own(database.url).close()
        found = ledgers.in_database(database.url)
        done = back(database.url, tmp_path / "new" / "fresh")
        fresh = tmp_path / "new" / "fresh"
        assert not exists(database)
        assert ledgers.in_file(fresh / "dibs.db") == found
        assert done.rows == {name: len(rows) for name, rows in found.items()}
        assert _instance(fresh) == _instance(moved)
        engine = SqliteEngine(fresh)
        assert engine.number() >= done.position > 1
        assert engine.now() >= 1_750_000_001_234
        engine.close()

    def test_a_server_begins_no_new_ledger_where_one_has_left(self, moved, tmp_path, database):
        back(database.url, tmp_path / "fresh")
        with pytest.raises(LedgerMigrated, match=r"has gone back into a data folder: .* would begin at 1"):
            Ledger(database.url).make()
        database.do('DROP TABLE "dibs".departed')
        Ledger(database.url).make()
        assert is_there(database) is True

    def test_and_there_again_and_the_old_folder_stays_shut(self, moved, tmp_path, database):
        """The old folder is of an arrival before, though that one, too, was at position 1."""
        back(database.url, tmp_path / "fresh")
        there(tmp_path / "fresh", database.url)
        with pytest.raises(LedgerMigrated, match=r"is not the one that .* has moved to"):
            back(database.url, moved)
        with pytest.raises(LedgerMigrated, match="has moved to"):
            there(moved, database.url)
        assert is_there(database) is True

    def test_not_while_a_server_has_it(self, moved, tmp_path, database):
        engine = own(database.url)
        for folder in (moved, tmp_path / "fresh"):
            with pytest.raises(LedgerLocked, match=r"1 server has the ledger in .* open: stop all of them"):
                back(database.url, folder)
        engine.close()
        assert not (tmp_path / "fresh").exists()

    def test_not_while_one_becomes_its_owner(self, moved, database, monkeypatch):
        """It has come after the first look."""
        monkeypatch.setattr("dibs.ledger.moving.back.refuse_servers", lambda site: None)
        session = Ledger(database.url).connect()
        lock(Ledger(database.url), session)
        with pytest.raises(LedgerLocked, match="a server owns the ledger"):
            back(database.url, moved)
        session.close()
        assert (is_there(database), can_be_served(moved)) == (True, False)

    @pytest.mark.parametrize("table", ["inbox", "inbox_refused"])
    def test_not_while_the_inbox_has_rows(self, moved, tmp_path, database, table):
        database.do("SELECT dibs.push('pushed', '1')")
        if table == "inbox_refused":
            database.do(
                "INSERT INTO dibs.inbox_refused SELECT tx, n, queue, value, key, delay_ms, priority, at, 'no'"
                " FROM dibs.inbox"
            )
            database.do("DELETE FROM dibs.inbox")
        for folder in (moved, tmp_path / "fresh"):
            with pytest.raises(
                LedgerMigrated, match=r"has [01] items .*, and [01] that were refused"
            ) as refusal:
                back(database.url, folder)
            helps = 'DELETE FROM "dibs".inbox_refused' if table == "inbox_refused" else "start a server until"
            assert helps in str(refusal.value)
        assert not (tmp_path / "fresh").exists()
        assert (is_there(database), can_be_served(moved)) == (True, False)
        database.do(f"DELETE FROM dibs.{table}")
        back(database.url, moved)
        assert can_be_served(moved)

    def test_who_pushes_meanwhile_is_waited_for(self, moved, database, monkeypatch):
        monkeypatch.setattr("dibs.ledger.postgres.departing._PATIENCE", "200ms")
        with database.connect() as pushing, pushing.transaction():
            pushing.execute("SELECT dibs.push('pushed', '1')")
            with pytest.raises(LedgerUnavailable, match="lock timeout"):
                back(database.url, moved)
        with pytest.raises(LedgerMigrated, match="has 1 items"):
            back(database.url, moved)

    def test_a_folder_with_something_in_it(self, moved, tmp_path, database):
        full, other = tmp_path / "full", tmp_path / "other"
        full.mkdir()
        (full / "mine").touch()
        SqliteEngine(other).close()
        for folder, told in ((full, r"has something in it \(mine\)"), (other, "has a ledger in it")):
            with pytest.raises(LedgerUnavailable, match=told):
                back(database.url, folder)
        assert (os.listdir(full), is_there(database)) == (["mine"], True)

    def test_where_there_is_none(self, tmp_path, database):
        with pytest.raises(LedgerUnavailable, match="there is no ledger in"):
            back(database.url, tmp_path / "fresh")
        assert not (tmp_path / "fresh").exists()


# -- killed


def killed(step, way, folder, database):
    """Move, and be killed at a step."""
    words = [sys.executable, CHILD, step, way, folder, database.url]
    done = subprocess.run(words, check=False, timeout=SECONDS, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


FORWARD = ["opened", "made", "rows:queue", "rows:history", "copied", "compared", "committed", "marked"]
FORWARD += ["complete"]
BACK = ["retired", "unmarked", "dropped"]


@pytest.mark.slow
@pytest.mark.parametrize("step", FORWARD)
def test_killed_on_the_way_there(step, folder, database):
    before = ledgers.in_file(folder / "dibs.db")
    killed(step, "there", folder, database)
    served = can_be_served(folder)
    assert served == (step not in {"marked", "complete"})
    assert is_there(database) is {"committed": False, "marked": False, "complete": True}.get(step)
    if step == "committed":
        assert database.do("SELECT to_regprocedure('dibs.push(text,jsonb,text,interval,int)')") == [(None,)]
    there(folder, database.url)
    assert (can_be_served(folder), is_there(database)) == (False, True)
    assert _rows_there(database, before)


def _rows_there(database, before):
    return ledgers.in_database(database.url) == ledgers.numbered(before)


def test_what_was_served_since_goes_along(folder, database):
    """Killed when all was copied, the folder was served again: the copy there counts for nothing."""
    killed("committed", "there", folder, database)
    _do(folder / "dibs.db", "UPDATE counter SET cursor = cursor + 5")
    before = ledgers.in_file(folder / "dibs.db")
    there(folder, database.url)
    assert _rows_there(database, before)


@pytest.mark.slow
@pytest.mark.parametrize("step", BACK)
def test_killed_on_the_way_back(step, folder, database):
    before = ledgers.in_file(folder / "dibs.db")
    there(folder, database.url)
    killed(step, "back", folder, database)
    assert can_be_served(folder) == (step != "retired")
    assert is_there(database) is (None if step == "dropped" else False)
    if step != "dropped":
        back(database.url, folder)
    assert (can_be_served(folder), is_there(database)) == (True, None)
    assert ledgers.in_file(folder / "dibs.db") == before


@pytest.mark.slow
@pytest.mark.parametrize("step", ["rows:history", "exported", *BACK])
def test_killed_on_the_way_into_a_fresh_folder(step, folder, tmp_path, database):
    there(folder, database.url)
    own(database.url).close()
    found, fresh = ledgers.in_database(database.url), tmp_path / "fresh"
    killed(step, "back", fresh, database)
    if step in {"rows:history", "exported"}:
        assert is_there(database) is True
    if step != "dropped":
        back(database.url, fresh)
    assert (can_be_served(fresh), is_there(database)) == (True, None)
    assert ledgers.in_file(fresh / "dibs.db") == found


def test_killed_on_the_way_back_it_can_go_there_again(folder, tmp_path, database):
    there(folder, database.url)
    own(database.url).close()
    found = ledgers.in_database(database.url)
    killed("retired", "back", tmp_path / "fresh", database)
    there(tmp_path / "fresh", database.url)
    assert (is_there(database), ledgers.in_database(database.url)) == (True, found)
    own(database.url).close()  # terms go on, too


def test_an_old_export_is_not_opened(folder, tmp_path, database):
    """Killed after the export, the ledger went on in the database."""
    there(folder, database.url)
    killed("exported", "back", tmp_path / "fresh", database)
    own(database.url).close()
    with pytest.raises(LedgerMigrated, match=r"stands at \d+, and the folder is as of 1"):
        back(database.url, tmp_path / "fresh")
    assert is_there(database) is True


# -- copies


def test_a_backup_of_a_ledger_in_a_database(folder, tmp_path, database):
    there(folder, database.url)
    engine = own(database.url)
    try:
        size = engine.backup(str(tmp_path / "b.db"))
        assert size == (tmp_path / "b.db").stat().st_size
        assert ledgers.in_file(tmp_path / "b.db") == ledgers.in_database(database.url)
    finally:
        engine.close()
    restore(tmp_path / "b.db", tmp_path / "restored")
    copy = SqliteEngine(tmp_path / "restored")
    assert (copy.copied.name, copy.copied.accepted) == ("b.db", None)
    assert copy.row(2).cursor == 40
    copy.close()


def test_a_backup_that_can_t_be_written_leaves_nothing(folder, tmp_path, database):
    there(folder, database.url)
    engine = own(database.url)
    (tmp_path / "file").touch()
    try:
        with pytest.raises(LedgerUnavailable, match="the backup failed"):
            engine.backup(str(tmp_path / "file" / "b.db"))
    finally:
        engine.close()
    assert sorted(os.listdir(tmp_path)) == ["data", "file"]


def test_both_sides_make_the_same_bytes_of_every_type(database):
    """Each of a table's columns, null where it may be, in SQL and here."""
    with Site(database.url) as site:
        Ledger(database.url).make()
        for layout in layouts(site.session):
            assert list(layout.table.columns) == [
                name for name in layout.types if name in layout.table.columns
            ]
            assert set(layout.types) == set(WHOLE[layout.table.name].columns)
            asked = f"SELECT {layout.encoded()} FROM {layout.table.name}"
            assert site.session.execute(asked).fetchall() == []
        assert copy_in(site.session, layouts(site.session)[0], [], lambda count: None) == (0, 0)
