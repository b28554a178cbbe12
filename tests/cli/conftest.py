"""The command, as its users run it: processes, signals, exit codes, what stands on the terminal."""

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
SERVING = re.compile(r"dibs: serving (https?://\S+) ")
SECONDS = 60


def environment(extra=None):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"} | (extra or {})


class Ear:
    """A named pipe into which commands say words. Open all along: none falls between two readings."""

    def __init__(self, path):
        os.mkfifo(path)
        self._file = os.open(path, os.O_RDWR)  # with a writer of its own, so that it never comes to an end

    def words(self, count):
        """So many, sorted; waits for them."""
        found = []
        while len(found) < count:
            found += os.read(self._file, 65_536).decode().split()
        return sorted(found)

    def close(self):
        os.close(self._file)


@pytest.fixture
def ear(tmp_path):
    """At ``started`` in the test's folder."""
    ear = Ear(tmp_path / "started")
    yield ear
    ear.close()


@pytest.fixture
def run(monkeypatch, capsys):
    """Run a command in this process, which is quicker: (exit code, stdout, stderr)."""
    from dibs.cli import main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dibs", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def dibs(run, tmp_path):
    """Run a command in this process as if it was in the test's folder, with an environment."""

    def dibs(*arguments, env=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            for name in os.environ.keys() - environment().keys():
                patch.delenv(name)
            for name, value in environment(env).items():
                patch.setenv(name, value)
            code, out, err = run(*arguments)
        return SimpleNamespace(returncode=code, stdout=out, stderr=err)

    return dibs


class Serving:
    """A server in a process of its own. Killed at the end, whatever happens."""

    def __init__(self, folder, *options, env=None):
        command = [sys.executable, "-m", "dibs", "serve", *map(str, options)]
        if "--port" not in options:
            command += ["--port", "0"]
        self.log = (folder / "stderr.txt").open("w+")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=folder, env=environment(env)
        )
        lines = SimpleQueue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        self.line = lines.get(timeout=SECONDS)
        found = SERVING.search(self.line)
        assert found, self.stderr
        self.url = found[1]
        self.port = int(self.url.rpartition(":")[2])

    @property
    def stderr(self):
        self.log.seek(0)
        return self.log.read()

    def end(self, number=signal.SIGTERM):
        """Send a signal and wait: the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


@pytest.fixture
def serve(tmp_path):
    """A function that starts a server, with these options, in the test's own folder."""
    started = []

    def serve(*options, env=None):
        started.append(Serving(tmp_path, *options, env=env))
        return started[-1]

    yield serve
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for a whole module of commands that ask it."""
    running = Serving(
        tmp_path_factory.mktemp("server"),
        *("--queue", "default=count"),
        *("--queue", "ids=count(start=100)"),
        *("--queue", "few=range(3)"),
        *("--queue", 'inv=count(format="INV-{:04d}")'),
    )
    yield running
    running.close()
