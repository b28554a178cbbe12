"""A server process of the test's own: started, killed without warning, started again on the same data."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from random import SystemRandom

from .errors import HarnessFault
from .target import ready

HOST = "127.0.0.1"
_SERVE = f"-m dibs serve --host {HOST} --port {{port}} --data {{data}}"
_PORTS = range(20_000, 32_768)
_POLL = 0.02
_LOG_TAIL = 2_000
_ROOT = Path(__file__).resolve().parents[2]


class ServerProcess(AbstractContextManager["ServerProcess"]):
    """One server at a time, on one port and one data folder. Leaving the ``with`` kills it, in any case.

    Args:
        folder: The folder of its data and its log.
        command: The command to run; ``{port}`` and ``{data}`` are filled in. None: ``dibs serve``.
    """

    def __init__(self, folder: Path, command: Sequence[str] | None = None) -> None:
        port = free_port()
        parts = command or (sys.executable, *_SERVE.split())
        self.url = f"http://{HOST}:{port}"
        self.log = folder / "server.log"
        self._command = [part.format(port=port, data=folder / "data") for part in parts]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server. Neither Ctrl-C in the terminal nor a setting of the environment reaches it."""
        if self._process is not None:
            raise HarnessFault("the server is running already")
        env = {name: value for name, value in os.environ.items() if not name.startswith("DIBS_")}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), env.get("PYTHONPATH"))))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env=env,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float) -> None:
        """Wait until the server takes requests.

        Raises:
            HarnessFault: the server ended, or was not ready in time; the end of its log is shown.
        """
        until = time.monotonic() + seconds
        while not ready(self.url, timeout=seconds):
            self.check_alive()
            if time.monotonic() > until:
                raise HarnessFault(f"the server was not ready after {seconds:.0f} s\n{self._tail()}")
            time.sleep(_POLL)

    def check_alive(self) -> None:
        """Check that the server has not ended by itself.

        Raises:
            HarnessFault: the server ended by itself.
        """
        if self._process is None:
            raise HarnessFault("the server is not running")
        code = self._process.poll()
        if code is not None:
            raise HarnessFault(f"the server ended by itself with exit code {code}\n{self._tail()}")

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill the server with SIGKILL, so that it can't finish anything. Harmless if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop the server with SIGSTOP: its connections stay, and it answers nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a server that was stopped go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def _tail(self) -> str:
        return self.log.read_bytes()[-_LOG_TAIL:].decode("utf-8", "replace") if self.log.exists() else ""


def free_port() -> int:
    """A port that nobody listens on, below the range that outgoing connections are given.

    Inside that range a client that connects while the server is down may be given the very port it
    connects to, talk to itself, and hold the port when the server comes back.
    """
    for port in SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port
    raise HarnessFault("no free port")
