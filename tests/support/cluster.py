"""One PostgreSQL server with its data, which a test may stop, kill and freeze, and a pair of two."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
from dibs.proof.programs import Programs
from dibs.proof.server import free_port
from psycopg import sql

from .keeper import end, processes, send

ROLE = "dibs"
"""Who the tests are: no superuser, the owner of each database that is made for a test."""
LOCKED, PASSWORD = "locked", "a secret: %/@?#"
"""A role that has to tell a password, and that password."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": 200,
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # in the data folder: a killed server leaves nothing elsewhere
    "wal_receiver_timeout": "10s",
    "log_line_prefix": "%m [%p] %q%a ",
}
PATIENCE = 60
"""Seconds that anything may take here; it says that something is wrong, not that the machine is busy."""


class Cluster:
    """A server on loopback; ``settings`` go to its command line, where nothing can change them later."""

    def __init__(self, programs: Programs, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self.server: subprocess.Popen[bytes] | None = None
        self._was_up = False
        self.programs = programs
        self._settings = SETTINGS | {"unix_socket_directories": folder} | settings

    # -- who to connect to

    def url(self, database: str = "postgres", *, user: str = ROLE, **query: Any) -> str:
        """What ``--data`` takes."""
        return _url(f"127.0.0.1:{self.port}", database, user, query)

    @contextmanager
    def admin(self, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
        """A connection of the superuser, who waits for no lock and no standby for ever."""
        options = "-c statement_timeout=60s -c lock_timeout=60s"
        url = self.url(database, user="postgres")
        with psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE, options=options) as connection:
            yield connection

    def do(self, statement: str, *parameters: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute a statement as the superuser; its rows."""
        with self.admin(database) as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def create(self, database: str, template: str = "template1") -> str:
        """Create a database that belongs to our role; its URL."""
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        with self.admin() as connection:
            connection.execute(made.format(*map(sql.Identifier, (database, template, ROLE))))
        return self.url(database)

    def drop(self, database: str) -> None:
        """Drop a database, and end whoever is connected to it."""
        with self.admin() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))

    def configure(self, **settings: str) -> None:
        """Change settings that a running server reads again, and wait until they are in force."""
        with self.admin() as connection:
            for name, value in settings.items():
                change = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(change)
            connection.execute("SELECT pg_reload_conf()")
        for name, value in settings.items():
            self.until(f"{name} is {value!r}", lambda name=name, value=value: self.setting(name) == value)

    def setting(self, name: str) -> str:
        return self.do("SELECT current_setting(%s)", name)[0][0]

    # -- what happens to it

    def start(self) -> None:
        """Start the server, and wait until it can be asked.

        Where another test took its port before it was ever up, it gets another one.
        """
        for left in (2, 1, 0):
            try:
                self._start()
            except RuntimeError as ended:
                if self._was_up or not left or "Address already in use" not in str(ended):
                    raise
                self.port = free_port()
            else:
                self._was_up = True
                return

    def _start(self) -> None:
        words = [self.programs.path("postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in self._settings.items():
            words += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            options = self.programs.options() | {"cwd": self.data, "start_new_session": True}
            self.server = subprocess.Popen(words, stdout=log, stderr=log, **options)
        self.until("the server answers", self.answers)

    def answers(self) -> bool:
        """Whether the server can be asked; RuntimeError once it has ended."""
        if self.server is None or self.server.poll() is not None:
            raise RuntimeError(f"PostgreSQL has ended:\n{self.said()}")
        try:
            psycopg.connect(self.url(user="postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, mode: str = "fast") -> None:
        """Stop the server in order: ``smart``, ``fast`` or ``immediate``."""
        if self.server is not None:
            self.thaw()
            kinds = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
            self.server.send_signal(kinds[mode])
            self._gone()

    def kill(self) -> None:
        """SIGKILL to the server and all its backends, as when their machine is off."""
        send(self.processes(), signal.SIGKILL)
        self._gone()

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP to the server and all its backends: connections stay, and nothing answers."""
        send(self.processes(), signal.SIGSTOP)
        send(self.processes(), signal.SIGSTOP)  # the postmaster may have started one more before it stopped

    def thaw(self) -> None:
        send(self.processes(), signal.SIGCONT)

    def signal(self, number: int, backend: int | None = None) -> None:
        """Send a signal to one backend, by what ``pg_backend_pid()`` says, or to the postmaster alone."""
        assert self.server is not None
        children = psutil.Process(self.server.pid).children()
        to = next(each for each in children if each.pid == backend) if backend else self.server
        to.send_signal(number)

    def processes(self) -> list[psutil.Process]:
        """The server's processes, the postmaster first."""
        return sorted(
            processes(self.data), key=lambda each: self.server is None or each.pid != self.server.pid
        )

    def remove(self) -> None:
        """End the server, whatever was done to it, and forget its data."""
        end(self.folder)
        if self.server is not None:
            self.server.wait(PATIENCE)
        shutil.rmtree(self.folder)

    def said(self) -> str:
        """The end of the server's log."""
        return self.log.read_text()[-4000:]

    def until(self, what: str, holds: Any, seconds: float = PATIENCE) -> None:
        """Wait until something holds; TimeoutError says what did not, with the end of the server's log."""
        over = time.monotonic() + seconds
        while not holds():
            if time.monotonic() >= over:
                raise TimeoutError(f"after {seconds} s not so: {what}\n{self.said()}")
            time.sleep(0.02)

    def _gone(self) -> None:
        """The postmaster has been told to end: wait for it, and for the last of its backends."""
        assert self.server is not None
        self.server.wait(PATIENCE)
        self.server = None
        psutil.wait_procs(self.processes(), PATIENCE)

    # -- standbys

    def follow(self, primary: Cluster, name: str) -> None:
        """Begin as the standby of another cluster, with a copy of its data, by this name."""
        shutil.rmtree(self.data, ignore_errors=True)
        to = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        self.programs.run(
            "pg_basebackup", "-D", self.data, "-d", to, "-R", "-X", "stream", "-c", "fast", "--no-sync"
        )
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{to}'\n")
        self.start()
        asked = "SELECT count(*) FROM pg_stat_replication WHERE application_name = %s AND state = 'streaming'"
        primary.until("the standby streams", lambda: primary.do(asked, name) == [(1,)])

    def promote(self) -> None:
        """Make a primary of a standby, and wait until it takes writes."""
        self.do("SELECT pg_promote(false)")
        self.until("the standby is promoted", lambda: self.do("SELECT pg_is_in_recovery()") == [(False,)])


class Pair:
    """A primary and its standby, which the primary waits for at each commit where it is ``synchronous``."""

    def __init__(self, primary: Cluster, standby: Cluster, *, synchronous: bool) -> None:
        self.primary, self.standby, self.synchronous = primary, standby, synchronous
        self._names = (f"standby_{n}" for n in itertools.count(1))
        self._follow()

    def url(self, database: str = "postgres", *, user: str = ROLE, **query: Any) -> str:
        """What ``--data`` takes; both hosts are in it, always in the same order."""
        ports = sorted((self.primary.port, self.standby.port))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return _url(hosts, database, user, query)

    def create(self, database: str) -> str:
        self.primary.create(database)
        return self.url(database)

    def promote(self) -> None:
        """Promote the standby, which is the primary then; the old one is killed or frozen before."""
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def rejoin(self) -> None:
        """Make the old primary, whose server has ended, the standby of the new one."""
        self._follow()

    def _follow(self) -> None:
        name = next(self._names)
        self.standby.follow(self.primary, name)
        if self.synchronous:
            self.primary.configure(synchronous_standby_names=name)
            asked = "SELECT sync_state = 'sync' FROM pg_stat_replication WHERE application_name = %s"
            self.primary.until("the standby is waited for", lambda: self.primary.do(asked, name) == [(True,)])


def _url(hosts: str, database: str, user: str, query: dict[str, Any]) -> str:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    return f"postgresql://{user}@{hosts}/{database}" + (f"?{words}" if words else "")
