"""The servers of a cluster of the test's own, and which of them owns the ledger."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from .errors import HarnessFault
from .server import HOST, ServerProcess
from .target import ready

START_PATIENCE = 60.0
"""Seconds in which a server has to be ready after a start: the database may be repairing itself."""

_SERVE = ("-m", "dibs", "serve", "--host", HOST, "--port", "{port}", "--log-format", "human", "--data")
_TERM = re.compile(rb"this server owns the ledger: term (\d+)")


class Members(AbstractContextManager["Members"]):
    """Servers on one database, which are killed when the ``with`` is left. ``terms`` has the owner of each.

    A server says in its log that it owns; nothing else that it is asked for tells it while it is stopped.

    Args:
        folder: The folder of their folders.
        data: The URL of the database.
        size: How many there are.
        command: The command to run, without ``--data`` and what follows; None: ``dibs serve``. ``{port}`` is
            filled in.
    """

    def __init__(self, folder: Path, data: str, size: int, command: Sequence[str] | None = None) -> None:
        whole = (*(command or (sys.executable, *_SERVE)), data.replace("{", "{{").replace("}", "}}"))
        folders = [folder / f"server-{number}" for number in range(1, size + 1)]
        for each in folders:
            each.mkdir()
        self.servers = [ServerProcess(each, whole) for each in folders]
        self.urls = [server.url for server in self.servers]
        self.terms: dict[int, ServerProcess] = {}
        self._read = dict.fromkeys(self.servers, 0)

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()

    def start(self) -> None:
        """Start those that do not run, wake those that are stopped, and wait until all take requests.

        Raises:
            HarnessFault: one of them ended by itself, or was not ready in time.
        """
        for server in self.servers:
            server.thaw()
            if not server.running:
                server.kill()
                server.start()
        for server in self.servers:
            server.wait_ready(START_PATIENCE)

    def all_ready(self) -> bool:
        """Whether every server takes requests.

        Raises:
            HarnessFault: one of them ended by itself.
        """
        self.check_alive()
        return all(ready(url, timeout=1.0) for url in self.urls)

    def check_alive(self) -> None:
        """Check that none has ended by itself.

        Raises:
            HarnessFault: one has.
        """
        for server in self.servers:
            server.check_alive()

    def news(self) -> bool:
        """Read what the logs have to say of terms; return whether there is a new one."""
        before = len(self.terms)
        for server in self.servers:
            with contextlib.suppress(FileNotFoundError), server.log.open("rb") as log:
                log.seek(self._read[server])
                lines, _, _ = log.read().rpartition(b"\n")
                self._read[server] += len(lines)
                self.terms |= {int(number): server for number in _TERM.findall(lines)}
        return len(self.terms) > before

    def owner(self) -> ServerProcess:
        """The owner of the newest term.

        Raises:
            HarnessFault: no server has said that it owns.
        """
        self.news()
        if not self.terms:
            raise HarnessFault("no server has said in its log that it owns the ledger")
        return self.terms[max(self.terms)]

    def fronts(self) -> list[ServerProcess]:
        """All others."""
        owner = self.owner()
        return [server for server in self.servers if server is not owner]
