"""``dibs migrate`` with real servers: what was answered before the move is answered after it."""

import io
import json
import os
import re

import httpx
import pytest

pytest.importorskip("psycopg")

ROLE = re.compile(r"dibs: there is no role dibs_push.*\n")
"""Told where the database has no such role; it is the whole cluster's."""


def take(server, key):
    answer = httpx.post(f"{server.url}/queues/ids/next", headers={"Idempotency-Key": key}, timeout=60)
    return answer.json()["value"], answer.headers.get("idempotent-replayed")


def started(serve, data):
    return serve("--data", data, "-q", "ids=count", "-q", "jobs")


def test_there_and_back_with_servers(run, serve, tmp_path, database):
    folder = tmp_path / "data"
    server = started(serve, folder)
    assert [take(server, key)[0] for key in "ab"] == [1, 2]
    items = {"items": [{"value": "a\0b", "key": "k"}, {"value": 2}]}
    pushed = httpx.post(f"{server.url}/queues/jobs/items", json=items).json()
    code, out, err = run("migrate", folder, database.url)
    assert (code, out) == (4, "")
    assert f"process {server.process.pid}) owns {folder}" in err
    assert server.end() == 0

    code, out, err = run("migrate", folder, database.url, "--json")
    told = json.loads(out)
    assert (code, ROLE.sub("", err)) == (0, "")
    assert (told["from"], told["to"], told["position"]) == (str(folder), database.url, 1)
    assert told["rows"] | {"answer": 2, "item_key": 1, "block": 1} == told["rows"]

    server = started(serve, database.url)
    assert [take(server, key) for key in "ab"] == [(1, "true"), (2, "true")]
    assert take(server, "c") == (3, None)
    again = httpx.post(f"{server.url}/queues/jobs/items", json={"items": [{"value": "a\0b", "key": "k"}]})
    assert pushed["items"] == [{"seq": 1}, {"seq": 2}]
    assert again.json()["items"] == [{"seq": 1, "duplicate": True}]
    code, out, err = run("migrate", "--back", database.url, tmp_path / "fresh")
    assert (code, out) == (4, "")
    assert "1 server has the ledger in" in err
    assert server.end() == 0

    code, out, err = run("migrate", "--back", database.url, folder)
    assert (code, out) == (4, "")
    assert "the folder is as of 1: what was written since would be handed out again" in err
    code, out, err = run("migrate", "--back", database.url, tmp_path / "fresh")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"The ledger is in {tmp_path}/fresh, \d+ rows, compared, and not in the .*\n", out)
    server = started(serve, tmp_path / "fresh")
    assert [take(server, key) for key in "abcd"] == [(1, "true"), (2, "true"), (3, "true"), (4, None)]


def test_a_folder_that_was_moved_says_where_to(run, serve, tmp_path, database):
    folder = tmp_path / "data"
    assert started(serve, folder).end() == 0
    shown = database.url
    code, out, _ = run("migrate", folder, database.url)
    assert code == 0
    assert out.startswith(f"The ledger is in {shown}, ")
    assert out.endswith(f" {folder} is not opened any more. Go on: dibs serve --data '{shown}'\n")
    for words in (
        ("serve", "--port", "0", "--data", folder),
        ("token", "list", "--data", folder),
        ("token", "new", "--role", "admin", "--data", folder),
        ("restore", folder / "dibs.db", tmp_path / "to"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (4, ""), words
        assert f"{folder}/dibs.db has moved to {shown}: serve it by `dibs serve --data URL`" in err
    found = json.loads(run("doctor", "--data", folder, "--json")[1])
    assert any(f"it has moved to {shown}" in str(finding) for finding in found["findings"])
    assert run("migrate", folder, database.url)[1].startswith(f"The ledger is in {shown}. ")
    assert run("migrate", "--back", database.url, folder)[0] == 0
    assert started(serve, folder).end() == 0


def test_a_copy_of_a_ledger_in_a_database(run, serve, tmp_path, database):
    server = started(serve, database.url)
    assert [take(server, key)[0] for key in "ab"] == [1, 2]
    refused = httpx.post(f"{server.url}/backup", timeout=60)
    assert refused.status_code == 403
    assert "fetch one by `dibs backup --to DIR`" in refused.json()["detail"]
    code, out, err = run("backup", "--to", tmp_path / "copies", "--url", server.url)
    assert (code, err) == (0, "")
    assert "checked; 1 kept" in out
    assert server.end() == 0
    (name,) = os.listdir(tmp_path / "copies")
    assert run("restore", tmp_path / "copies" / name, tmp_path / "restored")[0] == 0
    copy = started(serve, tmp_path / "restored")
    assert httpx.post(f"{copy.url}/queues/ids/next").status_code == 503
    assert run("accept", "--advance", "5", "--url", copy.url)[0] == 0
    assert (take(copy, "b"), take(copy, "c")) == ((2, "true"), (8, None))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("a", "b"), "say dibs migrate FOLDER postgresql://…\n"),
        (("--back", "a", "b"), "say dibs migrate --back postgresql://… FOLDER\n"),
        (("--back", "a", "postgresql://h/d"), "say dibs migrate --back postgresql://… FOLDER\n"),
        (("postgresql://u:geheim@h/d", "a"), "say dibs migrate FOLDER postgresql://…; --back moves from"),
        (("postgresql://h/d", "postgresql://h/e"), "say dibs migrate FOLDER postgresql://…; --back moves"),
        (("a", "postgresql://h:x/geheim"), "data: this can't be read as the URL of a PostgreSQL"),
        (("a", "postgresql://h/d?ledger=public"), "data: ledger is the name of a PostgreSQL schema that"),
    ],
)
def test_what_is_said_wrong(run, words, told):
    code, out, err = run("migrate", *words)
    assert (code, out, told in err) == (2, "", True), err
    assert "geheim" not in err


def test_no_database_there(run, tmp_path):
    code, out, err = run("migrate", tmp_path, "postgresql://u:geheim@127.0.0.1:1/d?connect_timeout=2")
    assert (code, out) == (4, "")
    assert "can't be reached" in err
    assert "geheim" not in err


def test_a_terminal_shows_how_far_it_is():
    from dibs.cli.migrate_progress import Moving
    from rich.console import Console

    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Moving(console) as progress:
        progress.step("opened")
        progress.begin(4_000)
        progress.rows("queue", 1_000)
        progress.rows("run", 2_000)
        progress._progress.refresh()
    shown = console.file.getvalue()
    assert "3,000 of 4,000 rows" in shown
    assert re.search(r"[\d,]+/s", shown)
