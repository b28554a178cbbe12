"""Servers on one PostgreSQL that fail in turn, as ``dibs loadtest --chaos --cluster`` does it: real ones."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from dibs.proof.cluster import ClusterChaos, run_cluster
from dibs.proof.errors import HarnessFault
from dibs.proof.faults import OF_SERVERS, Fault
from dibs.proof.plan import Jobs, Plan
from dibs.proof.programs import BIN, found

try:
    import psycopg  # noqa: F401
    from dibs.proof.keeper import processes

    found()
except (ImportError, HarnessFault) as error:
    if os.environ.get("CI"):
        raise
    pytest.skip(f"no PostgreSQL: {error}", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[3]
OLD_TERM = Path(__file__).parents[1] / "harness" / "old_term.py"
PLAN = Plan(clients=9, timeout=3.0, patience=90.0)
WORK = Plan(clients=6, count=20, timeout=3.0, patience=90.0, jobs=Jobs(producers=3, ttl=1.0, max_ready=500))


class Quiet:
    """Shows nothing; remembers what was said."""

    def __init__(self):
        self.said = []

    def begin(self, total):
        pass

    def tick(self, tally, recent, seconds):
        pass

    def say(self, line):
        self.said.append(line)

    def close(self):
        pass


@pytest.fixture
def quiet():
    return Quiet()


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """Where the tests have their folders; nothing works in it at the end.

    It is none of pytest's, which are closed to the user who runs PostgreSQL whenever another pytest begins.
    """
    with tempfile.TemporaryDirectory(prefix="dibs-test-chaos-") as folder:
        room = Path(folder)
        room.chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield room
        assert processes(room) == []


def test_every_kind_of_fault_leaves_the_promises_as_they_are(quiet):
    result = run_cluster(PLAN, ClusterChaos(rounds=len(Fault), seed=1), quiet)
    assert (result.exit_code, result.fault) == (0, None), result
    assert set(result.verdict.columns.values()) == {0}
    told, *kinds = result.remarks
    for fault in Fault:
        line = rf"{fault}: 1 time, mended after [\d.]+ s at most; nobody was answered for [\d.]+ s at most\."
        assert any(re.fullmatch(line, kind) for kind in kinds), kinds
    terms = re.fullmatch(r"7 faults; 3 servers; terms 1 to (\d+); seed 1\.", told)
    assert int(terms[1]) >= 3  # an owner was killed, one was stopped for long


def test_work_survives_them(quiet):
    kinds = [Fault.OWNER_KILLED, Fault.DATABASE_KILLED, Fault.OWNER_STOPPED]
    result = run_cluster(WORK, ClusterChaos(rounds=3, seed=2, kinds=kinds), quiet)
    assert (result.exit_code, result.fault) == (0, None), result
    totals = result.verdict.totals
    assert totals["pushed"] == totals["items"] + totals["dead"] > 0
    assert totals["open"] == 0
    assert totals["takeovers"] >= 3  # for the owners that were killed or stopped, and for the audit
    assert totals["restarts"] == 0


def test_a_server_that_answers_from_an_old_term_is_noticed(quiet, room):
    command = (sys.executable, str(OLD_TERM), "serve", "--port", "{port}", "--data")
    chaos = ClusterChaos(rounds=2, seed=3, kinds=[Fault.OWNER_STOPPED], command=command)
    result = run_cluster(PLAN, chaos, quiet)
    assert result.exit_code == 1, result
    assert result.verdict.columns["duplicates"] > 0
    folder = Path(result.remarks[-1].rpartition(" ")[2])
    assert folder.parent == room
    assert (folder / "postgres" / "postgres.log").exists()


def test_a_database_that_is_given_is_left_in_peace(quiet, database):
    chaos = ClusterChaos(rounds=2, seed=4, servers=2, data=database.url, kinds=[Fault.OWNER_KILLED])
    result = run_cluster(PLAN, chaos, quiet)
    assert (result.exit_code, result.fault) == (0, None), result
    terms = re.fullmatch(r"2 faults; 2 servers; terms 1 to (\d+); seed 4\.", result.remarks[0])
    assert int(terms[1]) >= 4  # one more for the audit, and for an owner that a busy machine kept silent
    assert Fault.DATABASE_KILLED not in OF_SERVERS


def test_a_server_that_ends_by_itself_is_a_fault_with_its_log(quiet):
    command = (sys.executable, "-c", "raise SystemExit('no such thing')")
    with pytest.raises(HarnessFault, match=r"exit code 1\nno such thing"):
        run_cluster(PLAN, ClusterChaos(command=command), quiet)


def test_programs_that_are_not_there_are_told(monkeypatch, quiet):
    monkeypatch.setenv(BIN, "/nowhere")
    with pytest.raises(HarnessFault, match=f"{BIN} is /nowhere, where there is no initdb"):
        run_cluster(PLAN, ClusterChaos(), quiet)


@pytest.fixture
def loadtest(room):
    """Start the command, and wait until a fault was inflicted."""
    started = []

    def loadtest(*options):
        command = [sys.executable, "-m", "dibs", "loadtest", "--chaos", "--cluster", "-c", "6", *options]
        env = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(room)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        started.append(process)
        while "fault 1/" not in process.stdout.readline():
            assert process.poll() is None
        return process

    yield loadtest
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def until_none_is_left(room, seconds=60.0):
    over = time.monotonic() + seconds
    while left := processes(room):
        assert time.monotonic() < over, left
        time.sleep(0.05)


def test_ctrl_c_gives_a_verdict_and_leaves_nothing_behind(loadtest, room):
    process = loadtest("--seed", "5")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "verdict: clean" in out
    assert processes(room) == []


def test_kill_9_leaves_nothing_behind_either(loadtest, room):
    process = loadtest("--seed", "6")
    assert len(processes(room)) > 3
    process.kill()
    until_none_is_left(room)
