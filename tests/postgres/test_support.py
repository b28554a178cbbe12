"""The PostgreSQL of the tests: it is real, it can be killed, and nothing of it is left behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

psutil = pytest.importorskip("psutil")
psycopg = pytest.importorskip("psycopg")

TESTS = Path(__file__).parents[1]


def test_a_database_is_empty_and_its_owner_no_superuser(database):
    with database.connect() as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() == (0,)
        assert connection.execute("SELECT usesuper FROM pg_user WHERE usename = user").fetchone() == (False,)
        connection.execute("CREATE SCHEMA dibs")


def test_what_was_committed_is_there_after_a_kill(clusters):
    cluster = clusters.make()
    url = cluster.create("d")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA s CREATE TABLE t (n int)")
        connection.execute("INSERT INTO s.t VALUES (1)")
        cluster.kill()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert cluster.processes() == []
    cluster.start()
    assert cluster.do("SELECT n FROM s.t", database="d") == [(1,)]


def test_one_backend_is_stopped_and_goes_on(clusters):
    cluster = clusters.make()
    with psycopg.connect(cluster.url(user="postgres"), autocommit=True) as connection:
        backend = connection.info.backend_pid
        cluster.signal(signal.SIGSTOP, backend)
        cluster.until("the backend is stopped", lambda: psutil.Process(backend).status() == "stopped")
        assert cluster.do("SELECT 1") == [(1,)]
        cluster.signal(signal.SIGCONT, backend)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_frozen_server_answers_nobody_until_it_is_thawed(clusters):
    cluster = clusters.make()
    cluster.freeze()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(cluster.url(user="postgres"), connect_timeout=2)
    cluster.thaw()
    assert cluster.do("SELECT 1") == [(1,)]
    cluster.restart()
    assert cluster.do("SELECT 1") == [(1,)]


def test_a_pair_waits_for_its_standby_which_takes_over_and_is_joined(pair):
    url = pair.create("d")
    warnings = []
    read_write = f"{url}?target_session_attrs=read-write"
    with psycopg.connect(read_write, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA s CREATE TABLE t (n int)")
        connection.add_notice_handler(lambda told: warnings.append(told.message_primary))
        connection.execute("INSERT INTO s.t VALUES (1)")
        assert warnings == []
        pair.standby.freeze()
        with ThreadPoolExecutor() as threads:
            late = threads.submit(connection.execute, "INSERT INTO s.t VALUES (2)")
            waits = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
            pair.primary.until("the commit waits for the standby", lambda: pair.primary.do(waits))
            late.result(60)
        assert warnings == ["canceling wait for synchronous replication due to user request"]
        pair.standby.thaw()
    pair.primary.kill()
    pair.promote()
    with psycopg.connect(read_write, autocommit=True) as connection:
        assert connection.execute("SELECT min(n) FROM s.t").fetchone() == (1,)
        pair.rejoin()
        connection.execute("SET synchronous_commit = remote_apply")
        connection.execute("INSERT INTO s.t VALUES (3)")
        assert pair.standby.do("SELECT max(n) FROM s.t", database="d") == [(3,)]


def test_a_session_that_is_killed_leaves_no_server_behind():
    code = (
        "import sys, time; sys.path.append(sys.argv[1]); from support.clusters import Clusters;"
        "c = Clusters(); print(c.folder, c.make().server.pid, flush=True); time.sleep(600)"
    )
    session = subprocess.Popen([sys.executable, "-c", code, str(TESTS)], stdout=subprocess.PIPE, text=True)
    folder, pid = session.stdout.readline().split()
    os.kill(int(pid), signal.SIGSTOP)
    session.kill()
    session.communicate(timeout=60)
    over = time.monotonic() + 60
    while psutil.pid_exists(int(pid)) or Path(folder).exists():
        assert time.monotonic() < over
        time.sleep(0.05)
