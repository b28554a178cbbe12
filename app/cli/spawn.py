"""A server in a process of its own, for commands that show or test one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from app.errors import DibsError

START_SECONDS: Final = 20.0
_SERVING = re.compile(r"dibs: serving (http://\S+)")


class ServerProcess:
    """``dibs serve`` on a data folder and a port of its own; killed at the end, whatever happens.

    The port is kept across ``start`` and ``kill``, so that clients find it again.
    """

    def __init__(self, data: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.url = ""
        self._data = data.resolve()
        self._options = options
        self._environment = environment or {}
        self._port = "0"
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in __exit__; a pipe could fill up

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise DibsError("the server was not started")
        return self._process

    def start(self) -> str:
        """Start, and return the URL once it accepts.

        Raises:
            DibsError: It ended instead, or took too long; the message has what it said.
        """
        command = [sys.executable, "-m", "app", "serve", "--port", self._port, "--data", str(self._data)]
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter and module
            [*command, *self._options],
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=self._data.parent,  # not where a dibs.toml of the user's may be
            env=_environment() | self._environment,
        )
        self.url = self._wait_for_url(self._process)
        self._port = self.url.rpartition(":")[2]
        return self.url

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        if self._process is not None:
            self._process.kill()
            self._forget()

    def stop(self, timeout: float = 10.0) -> int:
        """SIGTERM, and wait; the exit code."""
        self._running.terminate()
        try:
            code = self._running.wait(timeout)
        finally:
            self.kill()
        return code

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._said.close()

    def _forget(self) -> None:
        process, self._process = self._running, None
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _wait_for_url(self, process: subprocess.Popen[str]) -> str:
        lines: SimpleQueue[str] = SimpleQueue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        try:
            line = lines.get(timeout=START_SECONDS)
        except Empty:
            line = ""
        found = _SERVING.search(line)
        if found:
            return found[1]
        process.kill()
        self._forget()
        self._said.seek(0)
        said = self._said.read().strip() or line.strip() or "it said nothing"
        raise DibsError(f"the server did not start: {said}")


def _read(process: subprocess.Popen[str], lines: SimpleQueue[str]) -> None:
    """The first line of stdout; an end of it counts as an empty one."""
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    lines.put(process.stdout.readline())


def _environment() -> dict[str, str]:
    """The parent's, with this package found whatever the current directory is, and no DIBS_ settings."""
    root = str(Path(__file__).parents[2])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
    path = os.pathsep.join(filter(None, (root, kept.get("PYTHONPATH"))))
    return kept | {"PYTHONPATH": path}


def options_of(queues: Sequence[str]) -> list[str]:
    """``--queue`` for each definition."""
    return [part for definition in queues for part in ("--queue", definition)]
