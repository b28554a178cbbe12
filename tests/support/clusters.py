"""All servers of a session of tests, or of benchmarks."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from dibs.proof.errors import HarnessFault
from dibs.proof.programs import Programs, of_wheel

from . import keeper
from .cluster import LOCKED, PASSWORD, ROLE, Cluster, Pair

HBA = f"""
local all all trust
host all {LOCKED} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
"""

BIN = "DIBS_TEST_POSTGRES_BIN"
"""Names the folder of another PostgreSQL's programs, such as ``/usr/lib/postgresql/15/bin``."""


class Unavailable(Exception):
    """There is no PostgreSQL here that can be started; the message says why."""


def _programs() -> Path | None:
    """Those that are named, or of the wheel: so that tests use one version, whatever else is installed."""
    return Path(named) if (named := os.environ.get(BIN)) else of_wheel()


class Clusters:
    """All servers of a session, in one folder. The keeper ends them even if nobody ends the session."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dibs-pg-")).resolve()
        self.folder.chmod(0o755)
        self._keeper = subprocess.Popen(
            [sys.executable, keeper.__file__, str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._numbers = itertools.count(1)
        self._running: list[Cluster] = []
        try:
            self._programs = Programs(self.folder, _programs())
            self._template = self.folder / "template"
            self._initdb(self._template)
        except HarnessFault as error:
            self.end()
            raise Unavailable(f"no database could be made here: {error}") from error

    def make(self, *, anew: bool = False, start: bool = True, **settings: Any) -> Cluster:
        """A server of its own. Only those made ``anew`` have a system identifier of their own."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        if anew:
            self._programs.give(folder)
            self._initdb(folder / "data")
        else:
            shutil.copytree(self._template, folder / "data")
            (folder / "data").chmod(0o700)
        self._programs.give(folder)
        made = Cluster(self._programs, folder, **settings)
        self._running.append(made)
        if start:
            made.start()
        return made

    def pair(self, *, synchronous: bool = True, **settings: Any) -> Pair:
        """A primary and its standby."""
        standby = self.make(start=False, **settings)
        return Pair(self.make(**settings), standby, synchronous=synchronous)

    def mark(self) -> int:
        """To :meth:`remove` what was made after this."""
        return len(self._running)

    def remove(self, mark: int) -> None:
        """End the servers that were made since the mark, and forget their data."""
        while len(self._running) > mark:
            self._running.pop().remove()

    def end(self) -> None:
        """End everything."""
        self.remove(0)
        self._keeper.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _initdb(self, folder: Path) -> None:
        words = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._programs.run("initdb", "-D", folder, *words)
        (folder / "pg_hba.conf").write_text(HBA)
        roles = f"CREATE ROLE {ROLE} LOGIN;\nCREATE ROLE {LOCKED} LOGIN PASSWORD '{PASSWORD}';\n"
        self._programs.run("postgres", "--single", "-D", folder, "postgres", told=roles)
