"""A PostgreSQL of the test's own: made, killed without warning, frozen, started again on the same data."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from contextlib import AbstractContextManager
from pathlib import Path

from .errors import HarnessFault
from .keeper import gone, processes, send
from .programs import Programs
from .server import HOST, free_port

PATIENCE = 60.0
"""Seconds that a start may take, which includes the repair after a kill."""

_ROLE = "dibs"
# Only the role of the test may connect, who is no superuser, so that nobody else on this machine comes to
# more than the data of a test.
_ALLOWED = f"local all all reject\nhost {_ROLE} {_ROLE} {HOST}/32 trust\n"
_MADE = f"CREATE ROLE {_ROLE} LOGIN;\nCREATE DATABASE {_ROLE} OWNER {_ROLE};\n"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # among its data: what is killed leaves nothing elsewhere
    "log_line_prefix": "%m [%p] %q%a ",
}
_GRACE = 10.0
_LOOK = 0.01
_TAIL = 2_000


class Postgres(AbstractContextManager["Postgres"]):
    """One PostgreSQL server on loopback, in a folder that a `Keeper` watches. It commits to the disk.

    It ends when the ``with`` is left, in a way in which it leaves nothing in the system's memory.

    Raises:
        HarnessFault: there are no programs of PostgreSQL here, or they can't make a database.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o755)
        self._programs = programs = Programs(folder)
        programs.run("initdb", "-D", self._data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        (self._data / "pg_hba.conf").write_text(_ALLOWED)
        programs.run("postgres", "--single", "-D", self._data, "postgres", told=_MADE)

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
        self.kill()

    @property
    def url(self) -> str:
        """What the servers are given as ``--data``."""
        return f"postgresql://{_ROLE}@{HOST}:{self._port}/{_ROLE}"

    def start(self) -> None:
        """Start the server, and wait until it can be asked.

        Raises:
            HarnessFault: it ended, or was not ready in time; the end of its log is shown.
        """
        words = [self._programs.path("postgres"), "-D", str(self._data), "-p", str(self._port)]
        for name, value in _SETTINGS.items():
            words += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # PostgreSQL's own program, no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._data,
                start_new_session=True,
                **self._programs.options(),
            )
        until = time.monotonic() + PATIENCE
        while not self._is_ready(self._process.pid):
            self.check_alive()
            if time.monotonic() > until:
                raise HarnessFault(f"PostgreSQL was not ready after {PATIENCE:.0f} s\n{self._said()}")
            time.sleep(_LOOK)

    def _is_ready(self, pid: int) -> bool:
        """Whether it says so in its file, which may still be that of the server before."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return lines[0] == str(pid) and any(line.strip() == "ready" for line in lines[1:])

    def check_alive(self) -> None:
        """Check that the server has not ended by itself.

        Raises:
            HarnessFault: it has.
        """
        if self._process is None or self._process.poll() is not None:
            raise HarnessFault(f"PostgreSQL ended by itself\n{self._said()}")

    def kill(self) -> None:
        """SIGKILL to the server and all its backends, as when their machine is off."""
        until = time.monotonic() + PATIENCE
        while True:
            send(processes(self._data), signal.SIGKILL)
            if self._process is not None:
                self._process.kill()
                self._process.wait()
            if gone(self._data, 1.0):
                break
            if time.monotonic() > until:
                raise HarnessFault("PostgreSQL could not be killed")
        self._process = None

    def freeze(self) -> None:
        """SIGSTOP to the server and all its backends: connections stay, and nothing answers."""
        send(processes(self._data), signal.SIGSTOP)
        send(processes(self._data), signal.SIGSTOP)  # what it may have started before it stopped itself

    def thaw(self) -> None:
        """Let it go on."""
        send(processes(self._data), signal.SIGCONT)

    def mend(self) -> None:
        """Let it go on if it was stopped, and start it if it was killed.

        Raises:
            HarnessFault: it can't be started.
        """
        self.thaw()
        if self._process is None or self._process.poll() is not None:
            self.kill()
            self.start()

    def _said(self) -> str:
        return self._log.read_bytes()[-_TAIL:].decode("utf-8", "replace") if self._log.exists() else ""
