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


def test_it_can_be_served_and_hands_out_again_what_was_taken_since(run, serve, backup, tmp_path):
    code, out, _ = run("restore", backup, tmp_path / "made" / "here")
    assert code == 0
    *queues, last = out.splitlines()
    assert "default: count, cursor 7" in queues
    assert last.startswith(f"Restored to {tmp_path}/made/here. Its server hands out again")
    server = serve("--data", tmp_path / "made" / "here")
    assert httpx.post(f"{server.url}/queues/default/next").json()["value"] == 8


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
