"""A folder of backups: each is checked before it has its name, and the oldest goes when a new one is good."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple, Self

from ..client.errors import UnexpectedAnswer
from ..errors import DibsError, LedgerFull, LedgerLocked, LedgerUnavailable
from ..ledger.sqlite.copied import instance_of, verify
from .exits import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from .http import Api

NAMED: Final = re.compile(r"dibs-\d{8}T\d{6}\.\d{6}Z\.db", re.ASCII)
COMING: Final = ".coming"
_DISPOSITION: Final = re.compile(r'attachment; filename="([^"]*)"')
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Made(NamedTuple):
    """A backup that is good: where it is, how many of this ledger there are now, which older ones went."""

    path: Path
    bytes: int
    kept: int
    removed: list[str]


class BackupFolder:
    """A folder on this machine. Used in a ``with``, during which no other ``dibs backup`` writes there.

    Raises:
        LedgerLocked: Another one does.
        LedgerUnavailable: The folder can't be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._handle = -1

    def __enter__(self) -> Self:
        with _in_words(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._lock()
            for left in self.path.glob(f"dibs-*{COMING}"):  # by a run that was killed
                left.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise LedgerLocked(f"another `dibs backup` writes into {self.path}") from None

    def fetch(self, api: Api, keep: int | None) -> Made:
        """Fetch a copy, check it, give it its name, tell the server, and remove what is beyond ``keep``.

        Raises:
            DibsError: There is no new copy; those that are there are as they were.
        """
        with api.streamed("backup") as answer, _in_words(self.path):
            name = _name_in(answer)
            path, coming = self.path / name, self.path / f"{name}{COMING}"
            try:
                with _made(coming) as file:
                    for chunk in answer.iter_raw():
                        file.write(chunk)
                    file.flush()
                    os.fsync(file.fileno())
                    size = file.tell()
                verify(coming)
                coming.replace(path)
                os.fsync(self._handle)
            finally:
                coming.unlink(missing_ok=True)
        self._tell(api, name)
        with _in_words(self.path):
            kept, removed = self._remove_beyond(keep, path)
        return Made(path, size, kept, removed)

    @staticmethod
    def _tell(api: Api, name: str) -> None:
        """Let the server's metrics know; a backup is as good without."""
        try:
            api.told("backup", "kept", body={"name": name})
        except DibsError as error:
            say(f"{name} is kept, and the server could not be told so: {error}")

    def _remove_beyond(self, keep: int | None, newest: Path) -> tuple[int, list[str]]:
        """Remove the oldest of the same ledger; what is no such copy, or can't be read, is left alone."""
        ours = instance_of(newest)
        found = [path for path in self.path.iterdir() if NAMED.fullmatch(path.name)]
        same = sorted(path for path in found if path == newest or instance_of(path) == ours)
        older = [path for path in same if path != newest]
        beyond = older[: max(len(same) - keep, 0)] if keep is not None else []
        for path in beyond:
            path.unlink(missing_ok=True)
        return len(same) - len(beyond), [path.name for path in beyond]


@contextmanager
def _made(path: Path) -> Iterator[BinaryIO]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file


def _name_in(answer: httpx.Response) -> str:
    """The name of a copy, which is one of ours and no path."""
    found = _DISPOSITION.fullmatch(answer.headers.get("content-disposition", ""))
    if found is None or not NAMED.fullmatch(found[1]):
        raise UnexpectedAnswer("the server sent no backup: is it older than this command?")
    return found[1]


@contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    """An error of the disk, as a sentence."""
    try:
        yield
    except OSError as error:
        if isinstance(error, DibsError):
            raise
        if error.errno in _FULL:
            raise LedgerFull(f"there is no room in {folder} for the backup") from error
        raise LedgerUnavailable(f"{error.filename or folder}: {error.strerror or error}") from error
