"""``dibs token``, and how commands show one: with a server, and on a folder that no server holds."""

import json
import re

import httpx
import pytest

TOKEN = re.compile(r"dibs_[0-9a-f]{10}_[\w-]{43}")


def token_of(ended):
    assert ended.returncode == 0, ended.stderr
    assert TOKEN.fullmatch(ended.stdout.strip()), ended.stdout
    return ended.stdout.strip()


def test_from_the_first_token_to_a_revoked_one(serve, dibs):
    server = serve("--queue", "ids=count", "--queue", "jobs")
    url = ("--url", server.url)
    assert dibs("next", "ids", *url).stdout == "1\n"
    refused = dibs("token", "new", "--role", "consume", *url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the first token of a ledger is an admin's" in refused.stderr
    made = dibs("token", "new", "--role", "admin", "--name", "ann", *url)
    admin = {"DIBS_TOKEN": token_of(made)}
    assert "ann: admin:*" in made.stderr

    told = dibs("next", "ids", *url)
    assert (told.returncode, told.stdout) == (1, "")
    assert "a token is needed here" in told.stderr
    options = ("--role", "consume", "--role", "read:jobs", "--queue", "i*", "--expires", "90d")
    made = json.loads(dibs("token", "new", *options, *url, "--json", env=admin).stdout)
    assert (made["roles"], made["name"]) == (["consume:i*", "read:jobs"], made["id"])
    worker = {"DIBS_TOKEN": made["token"]}
    assert dibs("next", "ids", *url, env=worker).stdout == "2\n"
    assert "there is no queue other" in dibs("next", "other", *url, env=worker).stderr
    assert "needs the role consume" in dibs("next", "jobs", *url, env=worker).stderr
    assert "needs the role admin" in dibs("token", "list", *url, env=worker).stderr

    listed = dibs("token", "list", *url, env=admin)
    assert [made["id"] in listed.stdout, "ann" in listed.stdout, made["token"] in listed.stdout] == [
        True,
        True,
        False,
    ]
    assert dibs("token", "revoke", made["token"], *url, env=admin).returncode == 2
    assert dibs("token", "revoke", "0123456789", *url, env=admin).returncode == 1
    revoked = dibs("token", "revoke", made["id"], *url, env=admin)
    assert (revoked.returncode, revoked.stdout) == (0, f"token {made['id']} of {made['id']} is revoked\n")
    assert "not valid here" in dibs("next", "ids", *url, env=worker).stderr
    assert made["token"] not in server.stderr
    assert admin["DIBS_TOKEN"] not in server.stderr


def test_a_folder_that_no_server_holds(serve, dibs, tmp_path):
    assert dibs("token", "list", "--data", "data").returncode == 2
    assert not (tmp_path / "data").exists()
    refused = dibs("token", "new", "--role", "admin:j*", "--role", "read", "--data", "data")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "option --role: the first token of a ledger is an admin's, for all queues" in refused.stderr
    assert not (tmp_path / "data").exists()
    admin = token_of(dibs("token", "new", "--role", "admin", "--data", "data"))
    lost = token_of(dibs("token", "new", "--role", "read", "--name", "lost", "--data", "data"))
    id = lost.split("_")[1]
    assert dibs("token", "revoke", id, "--data", "data").returncode == 0
    assert dibs("token", "revoke", "0123456789", "--data", "data").returncode == 1
    states = [
        token["state"] for token in json.loads(dibs("token", "list", "--data", "data", "--json").stdout)
    ]
    assert states == ["valid", "revoked"]
    for wrong in (
        ("--role", "king"),
        ("--role", "read", "--name", "user:x"),
        ("--role", "read", "--expires", "9"),
    ):
        assert dibs("token", "new", *wrong, "--data", "data").returncode == 2

    server = serve("--data", "data", "--host", "0.0.0.0")  # it has had a token: nobody asks without
    server.url = f"http://127.0.0.1:{server.port}"
    assert httpx.post(f"{server.url}/next").status_code == 401
    assert httpx.post(f"{server.url}/next", headers={"authorization": f"Bearer {lost}"}).status_code == 401
    assert dibs("next", "--url", server.url, env={"DIBS_TOKEN": admin}).stdout == "1\n"
    held = dibs("token", "new", "--role", "admin", "--data", "data")
    assert (held.returncode, held.stdout) == (4, "")
    assert f"(process {server.process.pid}) owns data: ask that for it, by --url" in held.stderr


def test_who_sees_some_queues_is_told_nothing_of_the_ledger(serve, dibs, tmp_path):
    for name, role in (("ann", "admin"), ("all", "read"), ("some", "read:d*")):
        made = dibs("token", "new", "--role", role, "--name", name, "--data", "dibs-data")
        (tmp_path / name).write_text(token_of(made))
    url = ("--url", serve().url)
    told = {name: dibs("stats", *url, "--token-file", name) for name in ("all", "some")}
    assert [done.returncode for done in told.values()] == [0, 0]
    assert ["dibs-data" in done.stdout for done in told.values()] == [True, False]
    assert "default" in told["some"].stdout


def test_the_admins_file_and_the_token_file(serve, dibs, tmp_path):
    (tmp_path / "secret").write_text("a" * 40 + "\n")
    server = serve("--host", "0.0.0.0", env={"DIBS_ADMIN_TOKEN_FILE": str(tmp_path / "secret")})
    url = ("--url", f"http://127.0.0.1:{server.port}")
    assert dibs("next", *url, "--token-file", "secret").stdout == "1\n"
    assert dibs("next", *url, env={"DIBS_TOKEN_FILE": "secret"}).stdout == "2\n"
    assert "a" * 20 not in server.line + server.stderr
    load = dibs("loadtest", *url, "--total", "200", "--clients", "4", "--token-file", "secret")
    assert load.returncode == 0, load.stdout + load.stderr


@pytest.mark.parametrize(
    ("content", "says"), [("", "no token"), ("two words", "more than a token"), ("é", "ASCII")]
)
def test_a_token_file_that_has_none_shows_nothing_of_it(dibs, tmp_path, content, says):
    (tmp_path / "secret").write_text(content)
    ended = dibs("next", "--token-file", "secret")
    assert ended.returncode == 2
    assert says in ended.stderr
    assert not content or content not in ended.stderr
    assert dibs("next", "--token-file", "none").returncode == 2
    assert dibs("next", env={"DIBS_TOKEN": "two words"}).returncode == 2


def test_a_secret_has_no_place_in_a_url(dibs):
    ended = dibs("next", "--url", "http://user:hidden@127.0.0.1:1")
    assert ended.returncode == 2
    assert "hidden" not in ended.stderr
