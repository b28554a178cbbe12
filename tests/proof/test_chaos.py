"""Kill and restart, on a fake server process: the harness itself, not dibs (see tests/faults)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from dibs.proof.chaos import Chaos, run_chaos
from dibs.proof.errors import HarnessFault
from dibs.proof.plan import Jobs, Plan
from dibs.proof.server import ServerProcess, free_port

pytestmark = pytest.mark.slow  # real processes that are killed

FAKE = str(Path(__file__).with_name("fake_server.py"))
PLAN = Plan(clients=6, timeout=60.0, patience=60.0)


def chaos(*more, rounds=3):
    return Chaos(rounds=rounds, seed=7, command=(sys.executable, FAKE, "{port}", "{data}", *more))


def test_a_server_that_keeps_its_word_survives_every_kill(quiet):
    result = run_chaos(PLAN, chaos(), quiet)
    assert (result.exit_code, result.fault) == (0, None), result
    assert len(quiet.said) == 3
    told, _, seed = result.remarks[0].partition("; ")
    kills, _, when = told.partition(": ")
    assert seed == "seed 7."
    assert sum(int(part.split()[0]) for part in when.split(", ")) == int(kills.split()[0])
    assert when.startswith("3 in rounds")
    assert when.endswith("1 between the audits")


def test_a_server_that_answers_before_it_writes_is_caught(quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = run_chaos(PLAN, chaos("forget"), quiet)
    assert result.exit_code == 1
    assert result.verdict.columns["duplicates"] > 0
    folder = Path(result.remarks[-1].rpartition(" ")[2])
    assert folder.parent == tmp_path
    assert (folder / "data").exists()


FAKE_WORK = str(Path(__file__).with_name("fake_work.py"))
WORK = Plan(clients=4, count=10, timeout=60.0, patience=60.0, jobs=Jobs(producers=2, ttl=0.3, max_ready=200))


def work_chaos(*more):
    return Chaos(rounds=2, seed=7, command=(sys.executable, FAKE_WORK, "{port}", "{data}", *more))


def test_work_survives_every_kill_of_a_server_that_keeps_its_word(quiet):
    result = run_chaos(WORK, work_chaos(), quiet)
    assert (result.exit_code, result.fault) == (0, None), result
    totals = result.verdict.totals
    assert totals["pushed"] == totals["items"] + totals["dead"] > 0
    assert totals["restarts"] == 3  # two rounds, and one between the audits
    assert totals["open"] == 0


def test_work_of_a_server_that_answers_before_it_writes_is_caught(quiet, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = run_chaos(WORK, work_chaos("forget"), quiet)
    assert result.exit_code == 1
    assert "kept" in result.remarks[-1]


def test_a_server_that_ends_by_itself_is_a_fault_with_its_log(quiet):
    command = (sys.executable, "-c", "raise SystemExit('no such thing')", "{port}")
    with pytest.raises(HarnessFault, match=r"exit code 1\nno such thing"):
        run_chaos(PLAN, Chaos(command=command), quiet)


def test_ctrl_c_leaves_no_server_behind(quiet):
    def interrupt(tally):
        if tally["answers"] > 5:
            quiet.on_tick = lambda tally: None
            raise KeyboardInterrupt

    quiet.on_tick = interrupt
    result = run_chaos(PLAN, chaos(), quiet)
    assert (result.exit_code, result.fault) == (130, None)


def test_a_server_is_killed_when_its_block_is_left(tmp_path):
    with ServerProcess(tmp_path, (sys.executable, FAKE, "{port}", "{data}")) as server:
        server.start()
        server.wait_ready(10)
        with pytest.raises(HarnessFault, match="running already"):
            server.start()
    assert not server.running
    with pytest.raises(HarnessFault, match="not running"):
        server.check_alive()


def test_the_port_is_none_that_a_client_could_be_given():
    assert 20_000 <= free_port() < 32_768
