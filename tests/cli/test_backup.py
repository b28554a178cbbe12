"""``dibs backup --to``: each copy is checked before it counts, and none harms an older one."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SECONDS = 60
NAMED = re.compile(r"dibs-\d{8}T\d{6}\.\d{6}Z\.db")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def metric(server, name):
    found = re.search(rf"^{name} (\S+)$", httpx.get(f"{server.url}/metrics").text, re.MULTILINE)
    return None if found is None else float(found[1])


@pytest.fixture
def backup(server, run):
    """Make one backup into a folder: what the command says as JSON."""

    def backup(folder, *options):
        code, out, err = run("backup", "--to", folder, *options, "--json", "--url", server.url)
        assert code == 0, err
        return json.loads(out)

    return backup


def test_a_copy_comes_into_a_private_folder_and_the_server_knows(server, backup, tmp_path):
    httpx.post(f"{server.url}/queues/default/next?count=5").raise_for_status()
    made = backup(tmp_path / "new" / "folder")
    path = Path(made["path"])
    assert NAMED.fullmatch(path.name)
    assert (path.stat().st_size, path.stat().st_mode & 0o777) == (made["bytes"], 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert names(path.parent) == [path.name]
    assert metric(server, "dibs_backup_last_size_bytes") == made["bytes"]


def test_the_oldest_of_the_same_ledger_go_when_a_new_one_is_good(backup, tmp_path, serve, run):
    first = [Path(backup(tmp_path / "to")["path"]).name for _ in range(3)]
    other = serve("--data", tmp_path / "other")
    assert run("backup", "--to", tmp_path / "to", "--url", other.url)[0] == 0
    (others,) = set(names(tmp_path / "to")) - set(first)
    mine = ["dibs-20200101T000000.000000Z.db", "dibs-mine.db", "notes.txt"]
    for name in mine:
        (tmp_path / "to" / name).write_text("not a ledger")
    made = backup(tmp_path / "to", "--keep", 2)
    assert made["removed"] == first[:2]
    assert (made["kept"], set(names(tmp_path / "to"))) == (
        2,
        {first[2], Path(made["path"]).name, others, *mine},
    )


def test_what_a_killed_run_left_goes_and_no_older_one(backup, tmp_path):
    first = backup(tmp_path / "to")
    (tmp_path / "to" / "dibs-20261129T010203.000000Z.db.coming").write_text("half of one")
    second = backup(tmp_path / "to")
    assert names(tmp_path / "to") == [Path(made["path"]).name for made in (first, second)]


def test_a_second_one_keeps_out(run, server, tmp_path):
    from dibs.cli.backup_folder import BackupFolder

    with BackupFolder(tmp_path):
        code, _, err = run("backup", "--to", tmp_path, "--url", server.url)
    assert (code, f"another `dibs backup` writes into {tmp_path}" in err) == (4, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--every", "1h"], "option --every: say --to DIR, too"),
        (["--keep", "3"], "option --keep: say --to DIR, too"),
        (["--to", "b", "--every", "1"], "option --every '1': say a number and a unit, s, m, h or d"),
        (["--to", "b", "--every", "hourly"], "option --every 'hourly': say a number and a unit"),
        (["--to", "b", "--every", "0s"], "option --every '0s': it must be from 1.0 s to 366.0 d"),
        (["--to", "b", "--every", "367d"], "option --every '367d': it must be from 1.0 s to 366.0 d"),
        (["--to", "b", "--keep", "0"], "--keep"),
        (["--to", "b", "--keep", "x"], "--keep"),
    ],
)
def test_a_wrong_option_is_named_with_its_bounds(run, options, told):
    code, out, err = run("backup", *options)
    assert (code, out) == (2, "")
    assert told in " ".join(err.split())


def test_a_folder_that_can_t_be_is_told(run, server, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = run("backup", "--to", tmp_path / "file", "--url", server.url)
    assert (code, f"{tmp_path}/file" in err, "Traceback" in err) == (4, True, False)


def test_without_a_server_nothing_is_made(run, tmp_path):
    code, _, err = run("backup", "--to", tmp_path / "to", "--url", "http://127.0.0.1:9")
    assert (code, "no server at http://127.0.0.1:9" in err) == (7, True)
    assert names(tmp_path / "to") == []


class Cut(httpx.HTTPTransport):
    """A transport whose answers are changed on their way."""

    def __init__(self, change):
        super().__init__()
        self._change = change

    def handle_request(self, request):
        response = super().handle_request(request)
        if request.url.path != "/backup":
            return response
        body = response.read()
        return self._change(response, body)


def broken_off(response, body):
    def half():
        yield body[: len(body) // 2]
        raise httpx.ReadError("the network is gone")

    return httpx.Response(200, headers=response.headers, content=half())


def flipped(response, body):
    spoilt = bytearray(body)
    spoilt[5000] ^= 1
    return httpx.Response(200, headers=response.headers, content=iter([bytes(spoilt)]))


def from_elsewhere(response, body):
    headers = {**response.headers, "content-disposition": 'attachment; filename="../evil.db"'}
    return httpx.Response(200, headers=headers, content=iter([body]))


@pytest.mark.parametrize(
    ("change", "told"),
    [(broken_off, "broke off"), (flipped, "damaged"), (from_elsewhere, "sent no backup")],
)
def test_what_is_not_whole_never_counts(server, backup, tmp_path, change, told):
    from dibs.cli.backup_folder import BackupFolder
    from dibs.cli.http import Api
    from dibs.errors import DibsError

    good = Path(backup(tmp_path)["path"]).name
    before = metric(server, "dibs_backup_last_success_timestamp_seconds")
    with (
        BackupFolder(tmp_path) as folder,
        Api(server.url, transport=Cut(change)) as api,
        pytest.raises(DibsError, match=told),
    ):
        folder.fetch(api, 1)
    assert names(tmp_path) == [good]
    assert metric(server, "dibs_backup_last_success_timestamp_seconds") == before


@pytest.fixture
def running(server, tmp_path):
    """``dibs backup --every 1s --keep 2`` in a process of its own."""
    command = [sys.executable, "-m", "dibs", "backup", "--to", "to", "--every", "1s", "--keep", "2"]
    process = subprocess.Popen(
        [*command, "--url", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_until_a_signal_and_ends_in_order(running, tmp_path, number):
    lines = [running.stdout.readline() for _ in range(3)]
    assert [line.rpartition("checked; ")[2].strip() for line in lines] == [
        "1 kept",
        "2 kept",
        "2 kept, 1 removed",
    ]
    running.send_signal(number)
    assert running.wait(SECONDS) == 0
    assert running.stderr.read() == ""
    found = names(tmp_path / "to")
    assert len(found) >= 2
    assert all(NAMED.fullmatch(name) for name in found)


def test_kill_9_leaves_only_whole_ones(running, tmp_path):
    running.stdout.readline()
    os.kill(running.pid, signal.SIGKILL)
    running.wait(SECONDS)
    whole = [path for path in (tmp_path / "to").iterdir() if NAMED.fullmatch(path.name)]
    assert whole
    for path in whole:
        assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchall() == [("ok",)]
