"""``dibs config``, ``dibs reload`` and SIGHUP, as an operator uses them."""

import json
import os
import pty
import signal
import subprocess
import sys
import time

import httpx

from .conftest import SECONDS, environment


def until(condition, what):
    """Wait for it; the limit is generous, for no test may depend on how quick the machine is."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def rows(out):
    return {row["setting"]: row for row in json.loads(out)["settings"]}


class TestConfig:
    def test_each_setting_says_where_it_comes_from(self, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text(
            'port = 8123\nread_only = true\n[queues]\nids = "count(start=5)"\n'
            'jobs = {source = "", max_attempts = 0, backoff = 2.5, history = "forever"}\n'
            "[limits]\ncount = 7\n"
        )
        env = {"DIBS_PORT": "9000", "DIBS_LIMITS__WAIT": "3"}
        found = rows(dibs("config", "--json", env=env).stdout)
        told = {name: (found[name]["value"], found[name]["origin"]) for name in found}
        assert told["port"] == (9000, "environment variable DIBS_PORT")
        assert told["host"] == ("127.0.0.1", "default")
        assert told["read_only"] == (True, "config file dibs.toml")
        assert told["queues.ids"] == ("count(start=5)", "config file dibs.toml")
        assert told["queues.jobs"][0] == {
            "source": "",
            "max_attempts": 0,
            "backoff": 2.5,
            "history": "forever",
        }
        assert told["limits.count"] == (7, "config file dibs.toml")
        assert told["limits.wait"] == (3.0, "environment variable DIBS_LIMITS__WAIT")
        assert told["limits.ttl"] == (43_200, "default")
        assert "environment variable DIBS_PORT" in dibs("config", env=env).stdout

    def test_secrets_are_masked(self, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text(
            '[queues]\na = \'mine:rows(url="postgres://me:hunter2@db/x", api_key="hunter2", n=1)\'\n'
            "b = {source = 'mine:rows', args = {db_password = 'hunter2'}, history = 1}\n"
        )
        out = dibs("config", "--json").stdout
        assert "hunter2" not in out
        assert rows(out)["queues.a"]["value"] == (
            'mine:rows(url="postgres://me:********@db/x", api_key="********", n=1)'
        )

    def test_of_a_ledger_that_is_named_as_the_server_would_be_told(self, dibs):
        url = "postgresql://ann:secret@db.example.com/jobs"
        told = rows(dibs("config", "--data", url, "--json").stdout)["data"]
        shown = "postgresql://ann:********@db.example.com/jobs"
        assert (told["value"], told["origin"]) == (shown, "option --data")
        both = dibs("config", "--data", url, "--running")
        assert (both.returncode, both.stdout) == (2, "")
        assert "the server at --url has its own" in both.stderr

    def test_a_wrong_one_is_told_and_the_exit_code_says_so(self, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text("prot = 1\n")
        done = dibs("config")
        assert (done.returncode, done.stdout) == (2, "")
        assert (
            done.stderr == "dibs: config file dibs.toml: prot: there is no such setting; did you mean port?\n"
        )

    def test_of_a_running_server_with_its_options(self, serve, dibs):
        server = serve("--queue", "own=range(3)")
        found = rows(dibs("config", "--running", "--json", "--url", server.url).stdout)
        assert (found["queues.own"]["value"], found["queues.own"]["origin"]) == ("range(3)", "option --queue")
        assert found["port"] == {"setting": "port", "value": 0, "origin": "option --port", "live": False}


class TestReload:
    def test_the_command_tells_what_it_did(self, serve, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text('[queues]\na = "count"\nb = ""\n')
        server = serve()
        (tmp_path / "dibs.toml").write_text(
            'host = "::1"\n[queues]\na = {source = "count", history = 60}\nc = ""\n[limits]\ncount = 9\n'
        )
        done = dibs("reload", "--url", server.url)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "limits.count: 10000 → 9",
            "queue c: created",
            "queue a: changed",
            "queue b: no longer in the configuration, and goes on; `dibs delete b` drops it, `dibs define b`"
            " keeps it",
            "host was changed, too, and stays as it is until the next start",
        ]
        assert dibs("reload", "--url", server.url).stdout.startswith("queue b: no longer")

    def test_code_is_not_loaded_again_and_the_command_says_so(self, serve, dibs, tmp_path):
        (tmp_path / "dibs.toml").write_text('[queues]\nown = "codes:values"\n')
        (tmp_path / "codes.py").write_text("def values():\n    yield 'old'\n")
        server = serve()
        assert dibs("reload", "--url", server.url).stdout == "Nothing has changed.\n"
        (tmp_path / "codes.py").write_text("def values():\n    yield 'changed'\n")
        told = "queue own: its code was changed, and is not loaded again: it counts from the next start on\n"
        assert dibs("reload", "--url", server.url).stdout == told

    def test_a_wrong_file_is_told_to_who_asked_and_in_the_log(self, serve, dibs, tmp_path):
        server = serve()
        (tmp_path / "dibs.toml").write_text("[limits]\ncount = 0\n")
        done = dibs("reload", "--url", server.url)
        told = "config file dibs.toml: limits.count: it must be a whole number from 1 to 1000000, and is 0"
        assert (done.returncode, done.stderr) == (1, f"dibs: conflict: nothing was changed: {told}\n")
        assert told in server.stderr

    def test_sighup_reloads_and_options_still_win(self, serve, tmp_path):
        server = serve("--queue", "a=count(start=5)")
        (tmp_path / "dibs.toml").write_text('[queues]\na = "count(start=9)"\nb = "count(start=7)"\n')
        server.process.send_signal(signal.SIGHUP)
        url = f"{server.url}/queues/b/next"
        until(lambda: httpx.post(url).status_code == 200, "the queue of the changed file")
        assert httpx.post(f"{server.url}/queues/a/next").json()["value"] == 5
        (tmp_path / "dibs.toml").write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "nothing was changed" in server.stderr, "the error in the log")
        assert httpx.post(url).status_code == 200
        assert server.end() == 0

    def test_it_ends_with_its_terminal(self, tmp_path):
        ours, its = pty.openpty()
        command = [sys.executable, "-m", "dibs", "serve", "--port", "0"]
        process = subprocess.Popen(
            command,
            stdin=its,
            stdout=its,
            stderr=its,
            cwd=tmp_path,
            env=environment(),
            preexec_fn=lambda: os.login_tty(0),  # noqa: PLW1509  # no thread of the test has a lock that it wants
        )
        os.close(its)
        seen = b""
        while b"ends it" not in seen:
            seen += os.read(ours, 65_536)
        os.close(ours)  # the terminal is gone: the kernel sends SIGHUP
        assert process.wait(SECONDS) == 0
