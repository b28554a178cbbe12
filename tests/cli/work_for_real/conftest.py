"""``dibs push`` and ``dibs work`` as users run them: processes, terminals, signals, a server that dies."""

import os
import pty
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from dibs.cli import main

from tests.cli.conftest import SECONDS, environment

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


def items(jobs):
    return httpx.get(f"{jobs.url}/queues/{jobs.name}/items").raise_for_status().json()["items"]


class SimpleQueue(Queue):
    """A queue that is there."""

    def __init__(self, url, name):
        self.url, self.name = url, name
