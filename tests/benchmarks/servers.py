"""Servers, each a process on one core: dibs, bare applications, Redis, beanstalkd; and what they use."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = "0", "1"


class Server:
    """A process on the core of servers; the end of the ``with`` ends it and what it started.

    ``ready`` is a request whose answer shows that it serves; without one a connection has to do.
    """

    def __init__(
        self, command: list[str], port: int, *, ready: tuple[str, str] | None = None, **environment: str
    ) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},  # the first start writes it
            start_new_session=True,
        )
        try:
            self._await(ready)
        except BaseException:
            self.stop()
            raise

    def _await(self, ready: tuple[str, str] | None) -> None:
        until = time.monotonic() + 300  # an owner of a million ranges loads them first
        while time.monotonic() < until and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if ask(self.port, *ready) if ready else _connects(self.port):
                    return
            time.sleep(0.002)
        raise RuntimeError(f"{self.process.args} does not answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end; after ten seconds kill it, and what it left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def cpu(self) -> float:
        """Seconds of processor time that it has used, to the nanosecond (the process's own clock)."""
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def memory(self) -> float:
        """Resident memory, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000

    def written(self) -> int:
        """Bytes that it has sent to the disk."""
        return int(re.search(r"\nwrite_bytes: (\d+)", Path(f"/proc/{self.process.pid}/io").read_text())[1])

    def get(self, path: str = "/stats") -> Any:
        """A document of dibs."""
        return httpx.get(self.url + path, timeout=120).raise_for_status().json()


def ask(port: int, method: str, path: str) -> bytes:
    """The body of the answer to one request on a connection of its own, empty unless it is a 200."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return answer.partition(b"\r\n\r\n")[2] if answer.startswith(b"HTTP/1.1 200") else b""


def _connects(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port)).close()
    return True


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dibs(
    data: Path,
    *queues: str,
    before: tuple[str, ...] = (),
    module: str = "dibs",
    ready: tuple[str, str] = ("GET", "/readyz"),
    **environment: str,
) -> Server:
    """A server of dibs; ``before`` is a command that runs it, ``module`` the name of its package."""
    port = free_port()
    command = [*before, sys.executable, "-m", module, "serve", "--port", str(port), "--data", str(data)]
    options = [word for queue in queues for word in ("--queue", queue)]
    return Server([*command, *options], port, ready=ready, **environment)


def bare(application: str, data: Path | None = None) -> Server:
    """An application of ``floors.py`` on uvicorn; ``data`` is the file that it commits to."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--no-access-log", "--lifespan", "off", "--port", str(port)]
    command += [f"floors:{application}", "--app-dir", str(HERE)]
    return Server(command, port, ready=("GET", "/"), FLOOR_FILE=str(data))


def limit(file: Path) -> Server:
    """The protocol of ``limit.py``."""
    port = free_port()
    return Server([sys.executable, str(HERE / "limit.py"), str(port), str(file)], port)


def redis(folder: Path) -> Server:
    """Redis, synced before it answers, once for all that came in one turn of its loop."""
    port = free_port()
    folder.mkdir()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    options += ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
    return Server(["redis-server", *options], port)


def beanstalkd(folder: Path, *options: str) -> Server:
    """beanstalkd with its log: synced every 50 ms and answered before; with ``-f0`` synced for each put."""
    port = free_port()
    folder.mkdir()
    return Server(["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", str(folder), *options], port)
