"""What is refused and what is warned of before a ledger in PostgreSQL is served, by real servers."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.errors import LedgerCopied, LedgerTooNew, LedgerUnavailable, LedgerUnfit
from dibs.ledger.postgres.checks import check_at_start, check_format, check_settings
from dibs.ledger.postgres.connecting import connect
from dibs.ledger.postgres.home import Home, check_home
from dibs.ledger.postgres.ledger import FORMAT, Ledger
from dibs.ledger.postgres.place import Place
from dibs.ledger.postgres.replication import needed_of
from dibs.ledger.postgres.vacuum import LONG, holders
from dibs.proof.server import free_port


def test_a_good_server_is_taken_without_a_word(database):
    assert check_at_start(Place.of(database.url)) == []


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_leaves_out_writes_is_refused(clusters, name):
    cluster = clusters.make()
    cluster.configure(**{name: "off"})
    with pytest.raises(LedgerUnfit) as refused:
        check_at_start(Place.of(cluster.url()))
    assert f"{cluster.port}/postgres runs with {name} = off" in str(refused.value)
    assert f"ALTER SYSTEM SET {name} = on, and reload it by SELECT pg_reload_conf()" in str(refused.value)
    cluster.configure(**{name: "on"})
    assert check_at_start(Place.of(cluster.url())) == []


def test_a_database_that_is_not_utf8_is_refused(clusters):
    cluster = clusters.make()
    cluster.do("CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' OWNER dibs")
    with pytest.raises(LedgerUnfit, match=r"database old of .* has the encoding LATIN1.*ENCODING 'UTF8'"):
        check_at_start(Place.of(cluster.url("old")))


@pytest.mark.parametrize(("number", "taken"), [(140_021, False), (150_000, True), (180_006, True)])
def test_a_server_below_15_is_refused(number, taken):
    row = ("14.21", number, "UTF8", "on", "on", "d")
    session = SimpleNamespace(execute=lambda _: [row])
    if taken:
        check_settings(session, "postgresql://h/d")
        return
    with pytest.raises(
        LedgerUnfit, match=r"postgresql://h/d is PostgreSQL 14\.21, and dibs needs 15 or later"
    ):
        check_settings(session, "postgresql://h/d")


def test_a_newer_format_is_refused():
    check_format(3, 3, "p")
    check_format(2, 3, "p")
    with pytest.raises(LedgerTooNew, match=r"the ledger in p has format 4, .* knows up to 3"):
        check_format(4, 3, "p")


def test_a_copy_is_refused_until_it_is_adopted(clusters):
    asked = "SELECT system_identifier FROM pg_control_system()"
    [(one,)], [(other,)] = (clusters.make(anew=anew).do(asked) for anew in (False, True))
    assert one != other
    assert not check_home(Home(one, "1/a"), Home(one, "1/a"), "p", adopt=False)
    assert not check_home(Home(one, ""), Home(one, "1/a"), "p", adopt=False)
    assert check_home(Home(one, "1/a"), Home(other, "1/a"), "p", adopt=True)
    with pytest.raises(LedgerCopied, match=rf"identifier is {one}, here it is {other}\).*--adopt"):
        check_home(Home(one, "1/a"), Home(other, "1/a"), "p", adopt=False)
    with pytest.raises(LedgerCopied, match=r"schema were 1/a, here they are 1/b\).*--adopt"):
        check_home(Home(one, "1/a"), Home(one, "1/b"), "p", adopt=False)


def test_nobody_there_is_told_without_the_password():
    with pytest.raises(LedgerUnavailable, match=r"can't open the ledger: .*can't be reached") as failed:
        check_at_start(Place.of(f"postgresql://u:hush@127.0.0.1:{free_port()}/d"))
    assert "hush" not in str(failed.value)


# -- standbys


def test_a_standby_that_no_commit_waits_for_is_told(asynchronous_pair):
    [told] = check_at_start(Place.of(asynchronous_pair.url()))
    assert told.startswith("PostgreSQL has 1 standby, and waits for none: ")


def test_the_only_standby_that_commits_wait_for_is_told(pair, clusters):
    [told] = check_at_start(Place.of(pair.url()))
    assert told.startswith(
        "synchronous_standby_names = 'standby_1' makes each commit wait for 1 standby, and no "
    )
    another = clusters.make(start=False)
    another.follow(pair.primary, "another")
    pair.primary.configure(synchronous_standby_names="ANY 1 (standby_1, another)")
    assert check_at_start(Place.of(pair.url())) == []
    pair.standby.kill()
    another.kill()
    pair.primary.until(
        "both are gone", lambda: pair.primary.do("SELECT count(*) FROM pg_stat_replication") == [(0,)]
    )
    [told] = check_at_start(Place.of(pair.url()))
    assert "wait for 1 standby, and connected is none: nothing is answered until" in told


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        ("a", 1),
        ("a, b", 1),
        ("*", 1),
        ("2 (a, b, c)", 2),
        ("FIRST 2 (a, b)", 2),
        ("any 3(a, b, c)", 3),
        ('"2 ("', 1),
    ],
)
def test_for_how_many_standbys_a_commit_waits(names, needed):
    assert needed_of(names) == needed


# -- vacuum


@contextmanager
def snapshot(cluster):
    with psycopg.connect(cluster.url(), autocommit=True) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT 1")
        yield session


def transactions(cluster, many):
    """Assign that many numbers of transactions."""
    cluster.do(
        f"DO $$ BEGIN FOR n IN 1 .. {many} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
    )


def test_who_holds_vacuum_back_is_told_and_by_how_much(clusters, monkeypatch):
    cluster = clusters.make(max_prepared_transactions=1)
    place = Place.of(cluster.url())
    monkeypatch.setattr("dibs.ledger.postgres.vacuum.LONG", 1_000)
    with snapshot(cluster) as session:
        pid = session.info.backend_pid
        assert check_at_start(place) == []
        transactions(cluster, 1_100)
        [told] = check_at_start(place)
        assert told.startswith(f"the session {pid} of dibs has held vacuum back for 1,1")
        assert told.endswith("SELECT pg_terminate_backend(…)")
    assert check_at_start(place) == []
    cluster.do("CREATE TABLE t (n int)")
    cluster.do("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'it''s'")
    transactions(cluster, 1_100)
    [told] = check_at_start(place)
    assert told.startswith("the prepared transaction 'it''s' has held vacuum back for 1,1")
    cluster.do("ROLLBACK PREPARED 'it''s'")
    assert LONG == 10_000


def test_a_slot_that_holds_vacuum_back_is_told(clusters, monkeypatch):
    primary = clusters.make()
    primary.do("SELECT pg_create_physical_replication_slot('behind')")
    standby = clusters.make(start=False, hot_standby_feedback="on", primary_slot_name="behind")
    standby.follow(primary, "standby")
    primary.until(
        "the slot has the standby's oldest snapshot",
        lambda: primary.do("SELECT xmin IS NOT NULL FROM pg_replication_slots") == [(True,)],
    )
    standby.kill()
    monkeypatch.setattr("dibs.ledger.postgres.vacuum.LONG", 1_000)
    transactions(primary, 1_100)
    [told] = check_at_start(Place.of(primary.url()))
    assert told.startswith("the replication slot behind has held vacuum back for 1,1")
    with connect(Place.of(primary.url()), purpose="owner") as session:
        worst = holders(session)[0]
    assert (worst.what, worst.transactions >= 1_100) == ("the replication slot behind", True)


# -- poolers


@contextmanager
def pgbouncer(cluster, mode, size, robin=0):
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/usr/local/sbin")
    if program is None:
        pytest.skip("there is no pgbouncer here")
    port, folder = free_port(), Path(tempfile.mkdtemp(dir=cluster.folder))
    (folder / "users").write_text('"dibs" ""\n')
    (folder / "ini").write_text(f"""
[databases]
postgres = host=127.0.0.1 port={cluster.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
min_pool_size = {size}
server_round_robin = {robin}
""")
    with (folder / "log").open("ab") as log:
        cluster.programs.give(folder)
        options = cluster.programs.options()
        server = subprocess.Popen([program, folder / "ini"], stdout=log, stderr=log, **options)
    try:
        over = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(f"postgresql://dibs@127.0.0.1:{port}/postgres", connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                assert server.poll() is None, (folder / "log").read_text()
                if time.monotonic() >= over:
                    raise TimeoutError((folder / "log").read_text()) from None
                time.sleep(0.05)
        yield Place.of(f"postgresql://dibs@127.0.0.1:{port}/postgres")
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait(60)


@pytest.mark.parametrize("robin", [0, 1])
@pytest.mark.parametrize("size", [1, 2, 20])
def test_a_pooler_in_transaction_mode_is_refused(postgres, size, robin):
    told = r"is a pooler in transaction mode .* set pool_mode = session for its database$"
    with pgbouncer(postgres, "transaction", size, robin) as place, pytest.raises(LedgerUnfit, match=told):
        check_at_start(place)


def test_a_pooler_in_statement_mode_is_refused(postgres):
    with pgbouncer(postgres, "statement", 20) as place, pytest.raises(LedgerUnfit, match="is a pooler in"):
        check_at_start(place)


def test_a_pooler_in_session_mode_is_taken(postgres):
    with pgbouncer(postgres, "session", 20) as place:
        assert check_at_start(place) == []


# -- a server of dibs


def test_a_copy_in_another_database_or_schema_is_noticed(postgres, database, caplog):
    """As a dump is that was restored there, beside its original."""
    ledger = Ledger(database.url)
    secret = ledger.make()
    name = database.url.rpartition("/")[2]
    url = postgres.create(f"{name}_copy", template=name)
    try:
        copy = Ledger(url)
        with pytest.raises(LedgerCopied, match=r"in another database or schema .* start once with --adopt"):
            copy.make()
        assert copy.make(adopt=True) == secret
        assert copy.make() == secret
        assert caplog.messages[-1] == f"the ledger in {copy.shown} was made elsewhere, and is adopted"
        with copy.connect() as session:
            session.execute("ALTER SCHEMA dibs RENAME TO other")
        renamed = Ledger(f"{url}?ledger=other")
        with pytest.raises(LedgerCopied, match="its schema was renamed"):
            renamed.make()
        assert renamed.make(adopt=True) == secret
    finally:
        postgres.drop(f"{name}_copy")
    assert ledger.make() == secret


def test_a_ledger_that_knows_no_place_gets_the_one_where_it_is(database):
    ledger = Ledger(database.url)
    ledger.make()
    with ledger.connect() as session:
        session.execute("ALTER TABLE ledger DROP COLUMN place")
        ledger.make()
        [(place,)] = session.execute("SELECT place FROM ledger")
        [(oid,)] = session.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
    assert place == f"{oid}/dibs"


def test_a_server_looks_before_it_serves_and_adopts_a_copy_once(clusters, caplog):
    original, copy = clusters.make(), clusters.make(anew=True)
    original_ledger, ledger = Ledger(original.url()), Ledger(copy.url())
    for one in (original, copy):
        one.do("GRANT CREATE ON DATABASE postgres TO dibs")
    secret = original_ledger.make()
    ledger.make()
    caplog.clear()
    [(made_in,)] = original.do("SELECT system_id FROM dibs.ledger")
    copy.do("UPDATE dibs.ledger SET secret = %s, system_id = %s", secret, made_in)
    original_ledger.check()
    assert original_ledger.make() == secret
    with pytest.raises(LedgerCopied, match="start once with --adopt"):
        ledger.make()
    assert caplog.messages == []
    assert ledger.make(adopt=True) == secret
    assert caplog.messages == [f"the ledger in {ledger.shown} was made elsewhere, and is adopted"]
    assert ledger.make() == secret
    copy.do("UPDATE dibs.ledger SET format = %s", FORMAT + 1)
    with pytest.raises(LedgerTooNew):
        ledger.make()
    copy.configure(full_page_writes="off")
    with pytest.raises(LedgerUnfit):
        ledger.check()


def test_a_command_that_is_refused_says_why_in_one_sentence(clusters):
    cluster = clusters.make(fsync="off")
    command = [sys.executable, "-m", "dibs", "serve", "--port", "0", "--data", cluster.url()]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert said.count("runs with fsync = off") == 1
    assert "Traceback" not in said


def test_what_a_standby_means_is_in_the_log_of_a_server(asynchronous_pair, caplog):
    Ledger(asynchronous_pair.url()).check()
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "PostgreSQL has 1 standby, and waits for none"
    ]
