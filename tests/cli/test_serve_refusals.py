"""Every reason for `dibs serve` not to start: a sentence and an exit code, never a traceback."""

import os
import shutil
import sqlite3

import httpx
import pytest


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("DIBS_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def refused(ended, code, *says):
    ended_with, out, err = ended
    assert ended_with == code, err
    assert "Traceback" not in err
    assert out == ""
    assert err.startswith("dibs: ")
    assert err.count("\n") == 1
    assert [part for part in says if part not in err] == []


def test_the_data_or_the_port_is_in_use(serve, run):
    server = serve()
    refused(run("serve", "--port", 0), 4, f"process {server.process.pid}", "--data")
    refused(run("serve", "--port", server.port, "--data", "other"), 10, str(server.port), "--port")


def test_the_address_is_not_of_this_machine(run):
    ended = run("serve", "--host", "192.0.2.1", "--allow-anonymous", "--port", 0)
    refused(ended, 1, "192.0.2.1")


def test_the_name_is_unknown(run):
    ended = run("serve", "--host", "nowhere.invalid", "--allow-anonymous", "--port", 0)
    refused(ended, 1, "nowhere.invalid")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_beyond_loopback(run, host):
    refused(run("serve", "--host", host), 2, host, "--allow-anonymous")


def test_two_workers(run):
    refused(run("serve", "--workers", 2), 2, "--workers", "same values")


@pytest.mark.parametrize(
    ("queue", "says"),
    [
        ("ids=cuont", ["ids", "cuont", "count"]),
        ("ids=count(strat=1)", ["ids", "strat"]),
        ("ids=count(", ["ids", "position"]),
        ("ids=", ["NAME=SOURCE"]),
        ("Ids=count", ["Ids", "a-z"]),
        ("ids=nowhere:generate", ["ids", "nowhere"]),
        ("ids=lines(nowhere.txt)", ["ids", "nowhere.txt"]),
    ],
)
def test_a_wrong_source(run, queue, says):
    refused(run("serve", "--queue", queue), 2, *says)


def test_a_queue_twice(run):
    refused(run("serve", "--queue", "a=count", "--queue", "a=uuid7"), 2, "twice")


def test_a_source_that_changed_after_it_was_handed_out_fails_its_queue_and_is_told(serve, run):
    server = serve("--queue", "ids=count", "--queue", "gone=count")
    httpx.post(f"{server.url}/queues/ids/next")
    server.end()
    server = serve("--queue", "ids=count(start=7)", "--queue", "other=nowhere:generate")
    problem = httpx.post(f"{server.url}/queues/ids/next").json()
    assert (problem["status"], problem["cause"]["type"]) == (409, "source-changed")
    assert "`dibs retry ids`" in problem["detail"]
    assert httpx.post(f"{server.url}/queues/gone/next").json()["value"] == 1
    _, out, _ = run("queues", "--url", server.url)
    shown = {row.split()[0]: row.split() for row in out.splitlines() if row}
    assert [shown[name][3] for name in ("gone", "ids", "other")] == ["gone", "file", "file"]
    err = server.stderr
    assert "queue ids has failed: the configuration has count(start=7)" in err
    assert "queue other has failed: the configuration has nowhere:generate" in err
    assert "queue gone is no longer in the configuration" in err


def test_a_wrong_setting(run, tmp_path):
    (tmp_path / "dibs.toml").write_text("prot = 1\n")
    refused(run("serve"), 2, "dibs.toml", "prot")


def test_a_file_that_is_not_a_ledger(run, tmp_path):
    (tmp_path / "dibs-data").mkdir()
    (tmp_path / "dibs-data" / "dibs.db").write_bytes(b"not a database" * 1000)
    refused(run("serve", "--port", 0), 4, "dibs.db")


def test_a_ledger_from_the_future(serve, run, tmp_path):
    serve().end()
    with sqlite3.connect(tmp_path / "dibs-data" / "dibs.db") as ledger:
        ledger.execute("PRAGMA user_version = 9999")
    ledger.close()
    refused(run("serve", "--port", 0), 4, "newer")


def test_the_data_folder_is_a_file(run, tmp_path):
    (tmp_path / "file").write_text("")
    refused(run("serve", "--port", 0, "--data", "file"), 4, "file")


def test_the_data_was_deleted_under_a_server(serve, run, tmp_path):
    """Nothing is handed out any more, and a restart does not begin again at 1."""
    server = serve()
    assert httpx.post(f"{server.url}/next").json()["seq"] == 1
    data = tmp_path / "dibs-data"
    shutil.rmtree(data)
    assert httpx.get(f"{server.url}/readyz").status_code == 503
    answer = httpx.post(f"{server.url}/next")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:dibs:problem:ledger-unavailable")
    assert (answer.json()["handed_out"], str(data) in answer.json()["detail"]) == ("no", True)
    server.end()
    log = server.stderr
    assert "Traceback" not in log
    assert f"the data folder {data} is missing" in log
    [saved] = data.glob("rescued-*.db")
    refused(run("serve", "--port", 0), 4, "dibs.db is missing", saved.name)
    saved.rename(data / "dibs.db")
    assert httpx.post(f"{serve().url}/next").json()["seq"] == 2
