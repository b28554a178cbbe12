"""``dibs push`` and ``dibs work`` as users run them: processes, terminals, signals, a server that dies."""

import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from dibs.cli import main
from dibs.cli.work_writer import Writer
from dibs.proof.server import free_port

from tests.cli.conftest import SECONDS, environment

WORKERS = 3
MARK = "DIBS_STARTED_BY_TEST"
"""In the environment of all that a test has started, whoever its parent is by now: its folder."""


class Started:
    """A command that runs; on a terminal of its own if wanted. Killed at the end, whatever happens."""

    def __init__(self, folder, url, *arguments, terminal=False):
        self.shown = b""
        self._terminal = None
        out = subprocess.PIPE
        if terminal:
            self._terminal, out = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dibs", *map(str, arguments)],
            cwd=folder,
            env=environment({"DIBS_URL": url, MARK: str(folder)}),
            stdin=out if terminal else subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=_own_terminal if terminal else None,  # noqa: PLW1509  # no threads here
        )
        if terminal:
            os.close(out)

    def type(self, keys):
        os.write(self._terminal, keys)

    def until(self, text):
        """Wait until this stands on the terminal."""
        while text not in self.shown:
            data = self._read()
            assert data, self.shown
            self.shown += data

    def end(self):
        """(exit code, stdout, stderr); of a terminal (exit code, all that was written, nothing)."""
        if self._terminal is None:
            out, err = self.process.communicate(timeout=SECONDS)
            return self.process.returncode, out.decode(), err.decode()
        while data := self._read():
            self.shown += data
        return self.process.wait(SECONDS), self.shown.decode(), ""

    def _read(self):
        try:
            return os.read(self._terminal, 65536)
        except OSError:  # nobody has the other end any more
            return b""

    def close(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        if self._terminal is not None:
            os.close(self._terminal)


def _own_terminal():
    """What is typed at the terminal reaches the command as from a shell."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def start(tmp_path):
    started = []

    def start(url, *arguments, terminal=False):
        started.append(Started(tmp_path, url, *arguments, terminal=terminal))
        return started[-1]

    yield start
    for command in started:
        command.close()
    _kill_what_is_left(f"{MARK}={tmp_path}")


def _kill_what_is_left(mark):
    """A worker that was killed leaves its commands behind, in sessions of their own."""
    for folder in Path("/proc").glob("[0-9]*"):  # where there is one
        with suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


class Queue:
    """One queue of the module's server."""

    def __init__(self, url, name):
        self.url, self.name = url, name
        httpx.put(f"{url}/queues/{name}", json={"settings": {"backoff": 0.01}}).raise_for_status()

    def push(self, *values):
        items = [{"value": value} for value in values]
        httpx.post(f"{self.url}/queues/{self.name}/items", json={"items": items}).raise_for_status()

    def close(self):
        httpx.post(f"{self.url}/queues/{self.name}/close").raise_for_status()

    @property
    def info(self):
        return httpx.get(f"{self.url}/queues/{self.name}").raise_for_status().json()

    @property
    def values(self):
        taken = httpx.post(f"{self.url}/queues/{self.name}/next?count=10000")
        return [item["value"] for item in taken.json()["items"]] if taken.status_code == 200 else []

    @property
    def audit(self):
        audit = httpx.get(f"{self.url}/queues/{self.name}/audit").raise_for_status().json()
        assert audit["balanced"]
        return {name: audit[name] for name in ("acked", "waiting", "leased", "dead")}


@pytest.fixture
def queue(server, request):
    names = iter(range(100))
    base = re.sub(r"\W+", "-", request.node.name.lower())[-50:].strip("-")
    return lambda: Queue(server.url, f"{base}-{next(names)}")


@pytest.fixture
def here(server, tmp_path, monkeypatch, capfd):
    """Run a command to its end in this process, which is quicker: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIBS_URL", server.url)

    def here(*arguments):
        monkeypatch.setattr(sys, "argv", ["dibs", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return here


@pytest.fixture
def work(here):
    """Work to the end."""
    return lambda *arguments: here("work", *arguments)


@pytest.fixture
def gate(tmp_path, ear):
    """A command that tells that it runs, and goes on when the test opens its gate."""

    class Gate:
        command = ("sh", "-c", f'echo "$1" > "{tmp_path}/started"; cat "{tmp_path}/$1"', "sh", "{}")

        def make(self, *names):
            for name in names:
                os.mkfifo(tmp_path / name)

        def begun(self, count):
            return ear.words(count)

        def open(self, *names):
            for name in names:
                (tmp_path / name).write_text("")

    return Gate()


class TestWork:
    def test_all_is_done_and_the_queue_is_closed(self, queue, work):
        jobs = queue()
        jobs.push(*"abc")
        jobs.close()
        code, out, err = work(jobs.name, "-j", 2, "--", "echo", "got")
        assert (code, sorted(out.splitlines())) == (0, ["got a", "got b", "got c"])
        assert re.fullmatch(rf"{jobs.name}: 3 done in \S+ \w+ \(.*/s\)\n", err)
        assert jobs.audit == {"acked": 3, "waiting": 0, "leased": 0, "dead": 0}

    def test_a_source_is_worked_on_alike(self, server, work):
        httpx.put(
            f"{server.url}/queues/sweep", json={"source": "grid", "args": {"a": [1, 2], "b": ["x", "y"]}}
        )
        code, out, _ = work("sweep", "-j", 3, "--", "echo")
        assert code == 0
        assert sorted(map(json.loads, out.splitlines()), key=str) == [
            {"a": a, "b": b} for a in (1, 2) for b in ("x", "y")
        ]

    def test_what_fails_is_tried_again_and_its_errors_are_kept(self, queue, work, server):
        jobs = queue()
        jobs.push("a")
        script = "echo attempt $DIBS_ATTEMPT >&2; [ $DIBS_ATTEMPT = 3 ]"
        code, _, err = work(jobs.name, "--exit-when-empty", "--", "sh", "-c", script)
        assert (code, jobs.audit["acked"]) == (0, 1)
        assert f"dibs: {jobs.name} 1, attempt 2: exit 1\n" in err
        assert re.search(r": 1 done in .*; 2 attempts failed\n", err)

    def test_what_is_dead_has_its_exit_code_and_its_history(self, queue, work, server):
        jobs = queue()
        httpx.put(f"{server.url}/queues/{jobs.name}", json={"settings": {"max_attempts": 2, "backoff": 0.01}})
        jobs.push("a", "b")
        code, _, err = work(
            jobs.name, "--exit-when-empty", "--", "sh", "-c", 'echo no >&2; [ "$1" = b ]', "sh", "{}"
        )
        assert (code, jobs.audit) == (8, {"acked": 1, "waiting": 0, "leased": 0, "dead": 1})
        assert re.search(r": 1 done, 1 dead in .*; 2 attempts failed\n", err)
        item = httpx.get(f"{server.url}/queues/{jobs.name}/items/1").json()
        assert [failure["error"] for failure in item["history"]] == ["exit 1\nno"] * 2

    def test_results_come_with_the_ack(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push({"n": 1}, {"n": 2})
        script = "import json, sys; print(json.load(sys.stdin)['n'] * 10)"
        options = ("--stdin", "--results", results.name, "--json-results", "--exit-when-empty")
        code, out, _ = work(jobs.name, *options, "--", sys.executable, "-c", script)
        assert (code, out, sorted(results.values)) == (0, "", [10, 20])

    def test_the_trace_of_a_push_is_in_the_environment_and_goes_on_with_the_results(
        self, queue, work, server
    ):
        jobs, results = queue(), queue()
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        httpx.post(
            f"{server.url}/queues/{jobs.name}/items",
            json={"items": [{"value": "a"}]},
            headers={"traceparent": trace},
        ).raise_for_status()
        jobs.push("b")
        options = "--results", results.name, "--exit-when-empty"
        code, _, _ = work(jobs.name, *options, "--", "sh", "-c", 'echo "$1 $TRACEPARENT"', "sh", "{}")
        leased = httpx.post(f"{server.url}/queues/{results.name}/lease", json={"max": 9}).json()["items"]
        assert (code, {item["value"]: item.get("traceparent") for item in leased}) == (
            0,
            {f"a {trace}": trace, "b ": None},
        )

    def test_only_so_many(self, queue, work):
        jobs = queue()
        jobs.push(*range(10))
        assert work(jobs.name, "-j", 3, "--max", 4, "--", "true")[0] == 0
        assert jobs.audit == {"acked": 4, "waiting": 6, "leased": 0, "dead": 0}

    def test_empty_is_an_end_where_that_is_wanted(self, queue, work):
        code, out, err = work(queue().name, "--exit-when-empty", "--", "true")
        assert (code, out, ": 0 done in " in err) == (0, "", True)

    def test_otherwise_it_waits_for_more(self, queue, start, gate, server):
        jobs = queue()
        working = start(server.url, "work", jobs.name, "--max", 1, "--", *gate.command)
        gate.make("late")
        jobs.push("late")
        assert gate.begun(1) == ["late"]
        gate.open("late")
        assert working.end()[0] == 0

    def test_one_bad_result_costs_one_job(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push("1e400", "[1]", "9" * 30, "2")
        options = ("--stdin", "--results", results.name, "--json-results", "--max-attempts", 1)
        script = "import json, sys; print(json.load(sys.stdin))"
        code, _, err = work(jobs.name, *options, "--exit-when-empty", "--", sys.executable, "-c", script)
        assert (code, jobs.audit) == (8, {"acked": 2, "waiting": 0, "leased": 0, "dead": 2})
        assert results.values == [[1], 2]
        errors = [item["error"].partition(": ")[0] for item in items(jobs)]
        assert errors == ["its output can't be a result", "value-refused"]
        assert f"dibs: {jobs.name} 3, attempt 1: value-refused: " in err

    def test_a_text_of_line_ends_that_is_too_long_as_json(self, queue, work):
        jobs, results = queue(), queue()
        jobs.push(200_000, 2)
        script = "import sys; sys.stdout.write('\\n' * int(sys.argv[1]))"
        options = ("--results", results.name, "--max-attempts", 1, "--exit-when-empty")
        code, _, _ = work(jobs.name, *options, "--", sys.executable, "-c", script)
        assert (code, jobs.audit) == (8, {"acked": 1, "waiting": 0, "leased": 0, "dead": 1})
        assert results.values == ["\n"]

    def test_a_queue_that_takes_no_results_any_more_ends_it(self, queue, start, gate, server):
        jobs, results = queue(), queue()
        gate.make("a", "b")
        jobs.push("a", "b")
        working = start(server.url, "work", jobs.name, "--results", results.name, "--", *gate.command)
        gate.begun(1)
        results.close()
        gate.open("a")
        code, _, err = working.end()
        assert (code, jobs.audit["acked"]) == (1, 0)
        assert "does not take the result: it is closed" in err

    @pytest.mark.parametrize("where", ["/dev/full", "&-"])
    def test_what_can_not_be_shown_is_done_all_the_same(self, queue, server, tmp_path, where):
        jobs = queue()
        jobs.push("a", "b")
        script = f"echo ran >> {tmp_path}/ran; echo out"
        command = ("-m", "dibs", "work", jobs.name, "--exit-when-empty", "--", "sh", "-c", script)
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" >{where}', "sh", sys.executable, *command],
            check=False,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment({"DIBS_URL": server.url}),
        )
        assert (done.returncode, jobs.audit["acked"]) == (9, 2)
        assert (tmp_path / "ran").read_text() == "ran\n" * 2
        assert "dibs: not all of the output could be written: " in done.stderr

    def test_more_attempts_than_the_queue_gives_are_refused(self, queue, run, server):
        jobs = queue()
        code, _, err = run("work", jobs.name, "--url", server.url, "--max-attempts", 11, "--", "true")
        why = f"{jobs.name} gives an item 10 attempts; `dibs set {jobs.name} max_attempts=11` changes that"
        assert (code, err) == (2, f"dibs: option --max-attempts 11: {why}\n")


def test_the_server_that_was_looked_at_is_waited_for(monkeypatch, capfd):
    """It goes away between the look at the queue and the first lease, which another client asks for."""
    monkeypatch.setattr("dibs.client.flow._UNKNOWN", 0.0)
    monkeypatch.setattr("dibs.cli.http.PATIENCE", 0.3)
    monkeypatch.setattr("dibs.cli.work._look", lambda plan, create: None)
    monkeypatch.setattr(sys, "argv", ["dibs", "work", "jobs", "--url", "http://127.0.0.1:1", "--", "true"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 7
    assert (
        "dibs: waiting for the server at http://127.0.0.1:1 (Connection refused)\n" in capfd.readouterr().err
    )


class TestRefusals:
    def test_no_queue(self, work):
        assert work("nope", "--", "true") == (
            1,
            "",
            "dibs: queue-unknown: there is no queue nope; --create makes it\n",
        )

    def test_but_it_can_be_made(self, work, server):
        options = ("--create", "--results", "made-results", "--exit-when-empty")
        assert work("made", *options, "--", "true")[0] == 0
        assert httpx.get(f"{server.url}/queues/made-results").json()["source"] is None

    def test_no_server(self, run):
        code, _, err = run("work", "jobs", "--url", "http://127.0.0.1:1", "--", "true")
        assert (code, err.count("\n")) == (7, 1)
        assert "no server at http://127.0.0.1:1" in err

    def test_no_such_command(self, run, server):
        code, _, err = run("work", "jobs", "--url", server.url, "--", "dibs-no-such-command")
        assert (code, err) == (127, "dibs: can't run dibs-no-such-command: there is no such command\n")

    def test_one_that_is_no_program(self, run, server, tmp_path):
        path = tmp_path / "file"
        path.touch()
        code, _, err = run("work", "jobs", "--url", server.url, "--", path)
        assert (code, err) == (126, f"dibs: can't run {path}: it is not executable\n")

    def test_results_where_nothing_can_be_pushed(self, queue, work):
        jobs, results = queue(), queue()
        results.close()
        code, _, err = work(jobs.name, "--results", "ids", "--", "true")
        assert (code, "a source feeds that queue" in err) == (1, True)
        code, _, err = work(jobs.name, "--results", results.name, "--", "true")
        assert (code, "that queue is closed" in err) == (1, True)

    @pytest.mark.parametrize(
        "options", [("-j", 0), ("--timeout", 0), ("--ttl", 0), ("--max", 0), ("--json-results",)]
    )
    def test_wrong_options(self, run, options):
        assert run("work", "jobs", *options, "--", "true")[0] == 2

    def test_no_command(self, run):
        assert run("work", "jobs")[0] == 2


class TestCtrlC:
    """Typed at the terminal, so that it reaches whatever is in its foreground."""

    def test_once_finishes_what_is_in_hand(self, queue, start, gate, server):
        jobs = queue()
        gate.make(*"abcd")
        jobs.push(*"abcd")
        working = start(server.url, "work", jobs.name, "-j", 2, "--", *gate.command, terminal=True)
        assert gate.begun(2) == ["a", "b"]
        working.type(b"\x03")
        working.until(b"dibs: finishing 2; Ctrl-C again gives them back")
        gate.open("a", "b")
        code, shown, _ = working.end()
        assert code == 130
        assert re.search(rf"{jobs.name}: 2 done in .*\r\n$", shown)
        assert jobs.audit == {"acked": 2, "waiting": 2, "leased": 0, "dead": 0}

    def test_twice_gives_it_back(self, queue, start, gate, server):
        jobs = queue()
        gate.make(*"abcd")
        jobs.push(*"abcd")
        working = start(server.url, "work", jobs.name, "-j", 2, "--", *gate.command, terminal=True)
        gate.begun(2)
        working.type(b"\x03")
        working.until(b"Ctrl-C again")
        working.type(b"\x03")
        code, shown, _ = working.end()
        assert code == 130
        assert re.search(rf"{jobs.name}: 0 done, 2 given back in .*\r\n$", shown)
        assert jobs.audit == {"acked": 0, "waiting": 4, "leased": 0, "dead": 0}
        assert {item["attempt"] for item in items(jobs)} == {0}

    def test_while_it_waits_it_ends_at_once(self, queue, start, server):
        jobs = queue()
        working = start(server.url, "work", jobs.name, "-j", 4, "--", "true", terminal=True)
        working.until(b"0 running")
        began = time.monotonic()
        working.type(b"\x03")
        assert working.end()[0] == 130
        assert time.monotonic() - began < 15  # a poll takes 20 seconds

    def test_a_supervisor_is_obeyed_at_once(self, queue, start, gate, server):
        jobs = queue()
        gate.make("a")
        jobs.push("a")
        working = start(server.url, "work", jobs.name, "--", *gate.command)
        gate.begun(1)
        working.process.send_signal(signal.SIGTERM)
        assert working.end()[0] == 130
        assert jobs.audit == {"acked": 0, "waiting": 1, "leased": 0, "dead": 0}


class TestUnit:
    """A supervisor ends all processes of a unit, or one of them with no chance to end the others."""

    def test_commands_that_die_before_it_is_heard_here_are_given_back(self, queue, start, server, tmp_path):
        jobs = queue()
        jobs.push("a")
        os.mkfifo(tmp_path / "pid")
        command = ("sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 1000")
        working = start(server.url, "work", jobs.name, "--", *command)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
        working.process.send_signal(signal.SIGTERM)
        code, _, err = working.end()
        assert (code, jobs.audit) == (130, {"acked": 0, "waiting": 1, "leased": 0, "dead": 0})
        assert [(item["attempt"], item["error"]) for item in items(jobs)] == [(0, None)]
        assert "1 given back" in err

    def test_with_nohup_it_goes_on(self, queue, start, gate, server):
        jobs = queue()
        gate.make("a")
        jobs.push("a")
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is started inherits that
        try:
            working = start(server.url, "work", jobs.name, "--max", 1, "--", *gate.command)
        finally:
            signal.signal(signal.SIGHUP, before)
        gate.begun(1)
        working.process.send_signal(signal.SIGHUP)
        gate.open("a")
        assert (working.end()[0], jobs.audit["acked"]) == (0, 1)

    def test_kill_9_leaves_nothing_running(self, queue, start, server, tmp_path):
        jobs = queue()
        jobs.push("a")
        for name in ("alive", "ready"):
            os.mkfifo(tmp_path / name)
        script = f"exec 3> {tmp_path}/alive; echo r > {tmp_path}/ready; sleep 1000; true"
        working = start(server.url, "work", jobs.name, "--", "sh", "-c", script)
        with (tmp_path / "alive").open() as alive:
            assert (tmp_path / "ready").read_text() == "r\n"
            working.process.kill()
            assert alive.read() == ""  # neither the shell nor what it runs has it any more


def items(jobs):
    return httpx.get(f"{jobs.url}/queues/{jobs.name}/items").raise_for_status().json()["items"]


class TestPush:
    def test_a_file_twice(self, here, server, tmp_path):
        (tmp_path / "files.txt").write_text("a\nb\n")
        code, out, err = here("push", "pushed", "files.txt", "--create")
        assert (code, err) == (0, "")
        assert out.startswith("files.txt: 2 lines pushed to pushed in ")
        for options in ((), ("--close",)):
            known = (0, "files.txt: 2 lines known, 0 new\n", "")
            assert here("push", "pushed", "files.txt", *options) == known
        assert Queue.values.fget(SimpleQueue(server.url, "pushed")) == ["a", "b"]

    def test_a_closed_queue_takes_nothing_and_says_so(self, here, queue, tmp_path):
        jobs = queue()
        jobs.close()
        (tmp_path / "files.txt").write_text("a\n")
        code, out, err = here("push", jobs.name, "files.txt")
        assert (code, out, err[:25]) == (1, "", "dibs: files.txt: closed: ")

    def test_a_pipe(self, queue, server):
        jobs = queue()
        command = f"seq 3 | {sys.executable} -m dibs push {jobs.name} --json --url {server.url}"
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=True, timeout=SECONDS
        )
        assert done.stdout.startswith("stdin: 3 lines pushed to ")
        assert jobs.values == [1, 2, 3]

    def test_an_existing_queue_is_not_changed_by_create(self, here, server, tmp_path):
        httpx.put(f"{server.url}/queues/fed", json={"source": "count"})
        (tmp_path / "files.txt").write_text("a\n")
        code, _, err = here("push", "fed", "files.txt", "--create")
        assert (code, err[:29]) == (1, "dibs: files.txt: source-fed: ")
        assert httpx.get(f"{server.url}/queues/fed").json()["source"] == "count"

    def test_a_full_queue_is_waited_for(self, start, server, queue, tmp_path):
        jobs = queue()
        httpx.put(f"{server.url}/queues/{jobs.name}", json={"settings": {"max_ready": 2}})
        (tmp_path / "files.txt").write_text("".join(f"{number}\n" for number in range(4)))
        pushing = start(server.url, "push", jobs.name, "files.txt", terminal=True)
        pushing.until(b"dibs: waiting: queue-full: ")
        found = []
        while len(found) < 4:  # the push ends when there is room for the last
            found += jobs.values
        assert found == ["0", "1", "2", "3"]
        code, shown, _ = pushing.end()
        assert (code, "files.txt: 4 lines pushed to " in shown) == (0, True)


class SimpleQueue(Queue):
    """A queue that is there."""

    def __init__(self, url, name):
        self.url, self.name = url, name


def text_files(folder, count):
    """Files with words, and how many there are in each."""
    words = {}
    for number in range(count):
        words[f"text-{number:03}.txt"] = number * 7 % 100
        (folder / f"text-{number:03}.txt").write_text("word " * words[f"text-{number:03}.txt"])
    (folder / "files.txt").write_text("".join(f"{name}\n" for name in words))
    return words


def start_workers(start, jobs, *options):
    """Workers that have all found their server before the first of them gets a job."""
    httpx.post(f"{jobs.url}/queues/{jobs.name}/pause").raise_for_status()
    command = ("--", "sh", "-c", COUNT, "sh", "{}")
    workers = [start(jobs.url, "work", jobs.name, *options, *command) for _ in range(WORKERS)]
    until = time.monotonic() + SECONDS
    while httpx.get(f"{jobs.url}/queues/{jobs.name}/stats").json()["waiting"] < WORKERS:
        assert time.monotonic() < until
        time.sleep(0.05)
    httpx.post(f"{jobs.url}/queues/{jobs.name}/resume").raise_for_status()
    return workers


def reach(jobs, done):
    """Wait until so many are acked."""
    until = time.monotonic() + 60
    while jobs.info["acked"] < done:
        assert time.monotonic() < until, jobs.info
        time.sleep(0.05)


COUNT = """case "$1" in text-1[5-9]*) while [ -e hold ]; do sleep 0.05; done;; esac
printf '{"file": "%s", "words": %d}' "$1" $(wc -w < "$1"); sleep 0.0$((${#1} % 3 + 2))"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_words_of_200_files_counted_by_three_workers_one_of_them_killed(start, serve, tmp_path):
    words = text_files(tmp_path, 200)
    (tmp_path / "hold").touch()  # nobody is done before one of them is killed
    url = serve("--queue", "default=count").url
    assert start(url, "push", "jobs", "files.txt", "--create").end()[0] == 0
    jobs, results = SimpleQueue(url, "jobs"), Queue(url, "counts")
    options = ("-j", 4, "--ttl", 2, "--exit-when-empty", "--results", "counts", "--json-results")
    workers = start_workers(start, jobs, *options)
    reach(jobs, 60)
    workers[1].process.kill()
    (tmp_path / "hold").unlink()
    ends = [worker.end() for worker in workers]
    assert [code for code, _, _ in ends] == [0, -signal.SIGKILL, 0]
    assert jobs.audit == {"acked": 200, "waiting": 0, "leased": 0, "dead": 0}
    found = results.values
    assert Counter(result["file"] for result in found) == dict.fromkeys(words, 1)
    assert {result["file"]: result["words"] for result in found} == words


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_and_with_a_server_that_is_killed_again_and_again(start, serve, tmp_path):
    words = text_files(tmp_path, 200)
    server = serve("--port", free_port(), "--queue", "default=count")
    url, port = server.url, server.port
    assert start(url, "push", "jobs", "files.txt", "--create").end()[0] == 0
    jobs, results = SimpleQueue(url, "jobs"), Queue(url, "counts")
    options = ("-j", 4, "--exit-when-empty", "--results", "counts", "--json-results")
    workers = start_workers(start, jobs, *options)
    for done in (30, 90, 150):
        reach(jobs, done)
        server.end(signal.SIGKILL)
        server = serve("--port", port, "--queue", "default=count")
    ends = [worker.end() for worker in workers]
    assert [code for code, _, _ in ends] == [0] * WORKERS, ends
    assert jobs.audit == {"acked": 200, "waiting": 0, "leased": 0, "dead": 0}
    assert Counter((result["file"], result["words"]) for result in results.values) == dict.fromkeys(
        words.items(), 1
    )


@pytest.mark.slow
def test_a_server_that_is_away_at_the_end_of_the_last_job_is_waited_for(serve, gate, monkeypatch, capfd):
    """Though it is away for longer than closing may take."""
    monkeypatch.setattr("dibs.cli.work.GRACE", 0.0)
    server = serve("--port", free_port(), "--queue", "default=count")
    jobs = Queue(server.url, "jobs")
    gate.make("a")
    jobs.push("a")
    waits = threading.Event()
    held_up = Writer.held_up
    monkeypatch.setattr(Writer, "held_up", lambda *told: waits.set() or held_up(*told))

    def restart():
        gate.begun(1)
        server.end(signal.SIGKILL)
        gate.open("a")
        assert waits.wait(SECONDS)
        serve("--port", server.port, "--queue", "default=count")

    restarting = threading.Thread(target=restart)
    restarting.start()
    command = ["dibs", "work", "jobs", "--url", server.url, "--max", "1", "--", *gate.command]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        main()
    restarting.join()
    assert (ended.value.code, jobs.audit["acked"]) == (0, 1)
    assert "dibs: waiting for the server at " in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_push_that_is_killed_and_a_server_that_is_killed_and_each_line_is_there_once(
    start, serve, tmp_path
):
    chance = random.Random(1)
    lines = [f"{number} " + "x" * chance.randrange(200) for number in range(100_000)]
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in lines))
    server = serve("--port", free_port(), "--queue", "default=count")
    url, port = server.url, server.port
    jobs = Queue(url, "jobs")
    for share in (0.1, 0.3, 0.5):
        pushing = start(url, "push", "jobs", "lines.txt")
        until = time.monotonic() + 60
        while jobs.info["cursor"] < share * len(lines):
            assert time.monotonic() < until
        pushing.process.kill()
        server.end(signal.SIGKILL)
        server = serve("--port", port, "--queue", "default=count")
    pushing = start(url, "push", "jobs", "lines.txt")
    until = time.monotonic() + 60
    while jobs.info["cursor"] < 0.8 * len(lines):
        assert time.monotonic() < until
    server.end(signal.SIGKILL)
    server = serve("--port", port, "--queue", "default=count")
    code, out, err = pushing.end()
    assert code == 0
    assert re.fullmatch(r"(dibs: waiting for the server at \S+ \([^)]*\)\n)?", err)
    assert re.fullmatch(r"lines.txt: [\d,]+ lines known, [\d,]+ new\n", out)
    found = []
    while some := jobs.values:
        found += some
    assert found == lines
