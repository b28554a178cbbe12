"""``dibs restore``: a backup into a fresh folder, and nothing over anything."""

import json
import os
import sqlite3
import stat
from pathlib import Path

import httpx
import pytest


@pytest.fixture(scope="module")
def backup(server):
    """Of a server that handed out 7 of ``default``, and goes on."""
    httpx.post(f"{server.url}/queues/default/next?count=7").raise_for_status()
    done = httpx.post(f"{server.url}/backup").json()["path"]
    httpx.post(f"{server.url}/queues/default/next?count=3").raise_for_status()
    return done


def test_it_is_served_and_hands_out_when_it_is_accepted(run, serve, backup, tmp_path):
    code, out, _ = run("restore", backup, tmp_path / "made" / "here")
    assert code == 0
    *queues, last = out.splitlines()
    assert "default: count, cursor 7" in queues
    assert last.startswith(f"Restored to {tmp_path}/made/here. Its server hands nothing out until you say")
    server = serve("--data", tmp_path / "made" / "here")
    assert ", restored from the backup of 20" in server.line
    assert httpx.post(f"{server.url}/queues/default/next").status_code == 503
    code, out, err = run("accept", "--advance", "0", "--advance", "default=3", "--url", server.url)
    assert (code, err) == (0, "")
    assert "default: goes on after 10 (the backup was at 7)" in out.splitlines()
    assert httpx.post(f"{server.url}/queues/default/next").json()["value"] == 11
    shown = run("queues", "--url", server.url)[1]
    assert "Restored from the backup of 20" in shown
    assert "dibs accept" not in shown


def test_as_it_is_what_was_taken_since_goes_out_again(run, serve, backup, tmp_path):
    run("restore", backup, tmp_path / "to")
    server = serve("--data", tmp_path / "to")
    assert run("accept", "--as-is", "--url", server.url)[1] == "Accepted: the server hands out.\n"
    assert httpx.post(f"{server.url}/queues/default/next").json()["value"] == 8


def test_a_queue_whose_source_has_failed_is_named_with_what_to_type(run, serve, tmp_path):
    (tmp_path / "cut.jsonl").write_text('1\n{"a"')
    first = serve("--queue", f"broken=jsonl({tmp_path}/cut.jsonl)", "--queue", "ids=count")
    assert httpx.post(f"{first.url}/queues/broken/next?count=2").json()["items"] == [{"seq": 1, "value": 1}]
    assert httpx.post(f"{first.url}/queues/broken/next").status_code == 409
    run("restore", httpx.post(f"{first.url}/backup").json()["path"], tmp_path / "to")
    server = serve("--data", tmp_path / "to")
    told = (
        "dibs: conflict: the source of broken has failed: `dibs retry broken` first, or pass over none of it"
        ", `--advance broken=0` beside the others\n"
    )
    assert run("accept", "--advance", "5", "--url", server.url) == (1, "", told)
    assert run("accept", "--advance", "5", "--advance", "broken=0", "--url", server.url)[0] == 0
    assert httpx.post(f"{server.url}/queues/ids/next").json()["value"] == 6


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "say either --advance N"),
        (["--as-is", "--advance", "1"], "say either --advance N"),
        (["--advance", "ids=1"], "say a number for the other queues, too"),
        (["--advance", "x"], "option --advance 'x': say N, or QUEUE=N"),
        (["--advance", "-1"], "option --advance '-1': say N, or QUEUE=N"),
        (["--advance", "=1"], "option --advance '=1': say N, or QUEUE=N"),
        (["--advance", str(2**53)], "with a number from 0 to 2^53-1"),
        (["--advance", "1", "--advance", "2"], "a number for all queues is there twice"),
        (["--advance", "1", "--advance", "a=2", "--advance", "a=3"], "a is there twice"),
    ],
)
def test_how_to_go_on_is_said_in_full(run, options, told):
    code, out, err = run("accept", *options)
    assert (code, out, told in err) == (2, "", True), err


def test_what_is_no_copy_can_t_be_accepted(run, server):
    code, _, err = run("accept", "--as-is", "--url", server.url)
    assert (code, "the ledger is no restored backup" in err) == (1, True)


def test_private_and_complete(run, backup, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    found = json.loads(run("restore", backup, folder, "--json")[1])
    assert found["folder"] == str(folder)
    assert {"queue": "default", "cursor": 7, "deleted": False} in found["queues"]
    assert stat.S_IMODE((folder / "dibs.db").stat().st_mode) == 0o600
    assert not [name for name in os.listdir(folder) if "restoring" in name]
    assert sqlite3.connect(folder / "dibs.db").execute("PRAGMA quick_check").fetchall() == [("ok",)]


def test_a_folder_with_something_in_it_is_left_alone(run, backup, tmp_path, server):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "file").touch()
    for folder in ("full", "file"):
        code, _, err = run("restore", backup, tmp_path / folder)
        assert (code, "has something in it: a backup is restored into a fresh folder" in err) == (4, True)
    assert os.listdir(tmp_path / "full") == ["mine"]


def damaged(path, backup):
    content = bytearray(Path(backup).read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path, backup: None, " is not a file; a backup is a file"),
        (lambda path, backup: path.mkdir(), " is not a file; a backup is a file"),
        (lambda path, backup: path.touch(), " is not a ledger of dibs"),
        (lambda path, backup: path.write_text("hello"), " is not a ledger of dibs"),
        (
            lambda path, backup: sqlite3.connect(path).execute("CREATE TABLE a (b)"),
            " is not a ledger of dibs",
        ),
        (lambda path, backup: path.write_bytes(Path(backup).read_bytes()[:6000]), "damaged"),
        (damaged, "damaged"),
    ],
)
def test_what_is_no_backup_is_refused_and_nothing_is_left(run, backup, tmp_path, make, told):
    make(tmp_path / "given", backup)
    code, out, err = run("restore", tmp_path / "given", tmp_path / "to")
    assert (code, out, told in err) == (4, "", True), err
    assert not (tmp_path / "to").exists()


def test_the_file_of_a_data_folder_is_no_backup(run, backup, tmp_path):
    ledger = Path(backup).parents[1] / "dibs.db"
    code, _, err = run("restore", ledger, tmp_path / "to")
    assert (code, "make a backup with `dibs backup`" in err) == (4, True)


def test_a_folder_that_was_empty_is_so_again(run, tmp_path, backup):
    (tmp_path / "to").mkdir()
    damaged(tmp_path / "bad", backup)
    assert run("restore", tmp_path / "bad", tmp_path / "to")[0] == 4
    assert os.listdir(tmp_path / "to") == []
