"""Checks of a data folder before its ledger is opened: its permissions, and whether a file is missing."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from ...errors import LedgerDamaged
from .lock import Left

log = logging.getLogger("dibs.ledger")

RESCUED = "rescued-"
"""How the names of copies begin that a server wrote when its files went away under it."""

OURS = ("dibs.db", "lock", "ballast", "backups", RESCUED, "lost+found")
"""How the names begin of what is in a data folder that has nothing else in it."""


def make_private(folder: Path) -> None:
    """Make the folder if there is none, and let only its owner read it, whatever the umask.

    A folder or file of another owner is left as it is, with a warning; a folder that has other things in it,
    too, keeps its mode.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_folder(folder)
    inside = list(folder.iterdir())
    ours = [path for path in inside if path.name.startswith(OURS)]
    if len(ours) == len(inside):
        tighten(folder, 0o700)
    backups = folder / "backups"
    for path in (*ours, *backups.glob("*.db*")):
        tighten(path, 0o700 if path == backups else 0o600)


def make_folder(path: Path) -> None:
    """Make a folder that only its owner can read, if there is none; its parent must be there."""
    if not path.exists():
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(0o700)  # a umask may have taken what the owner needs


def make_file(path: Path) -> None:
    """Make an empty file that only its owner can read, if there is none."""
    with suppress(FileExistsError):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(handle, 0o600)  # a umask may have taken what the owner needs
        finally:
            os.close(handle)


def tighten(path: Path, mode: int) -> None:
    """Remove the permissions that ``mode`` does not have from a file or folder of ours."""
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or not stat.S_IMODE(found.st_mode) & ~mode:
            return
        if found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & mode)
            return
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("%s can be read by others, and that can't be changed: %s", path, error.strerror)
        return
    log.warning("%s belongs to another user (%d), and can be read by others", path, found.st_uid)


def check_complete(folder: Path, left: Left | None) -> None:
    """Refuse to begin anew at 1 where a ledger was, or to go on without a part of it.

    Raises:
        LedgerDamaged: a file is missing; the message says what can be done.
    """
    ledger, journal = folder / "dibs.db", folder / "dibs.db-wal"
    rescued = sorted(path.name for path in folder.glob(f"{RESCUED}*.db"))
    if not _bytes(ledger):
        anew = "to begin again at 1, empty the folder"
        if rescued:
            raise LedgerDamaged(
                f"dibs.db is missing from {folder}, and {rescued[-1]} is what its server saved when it went "
                f"away: to go on, rename that to dibs.db; {anew}"
            )
        if left is not None or _bytes(journal):
            raise LedgerDamaged(
                f"dibs.db is missing from {folder}, from which a ledger was served: to go on, put it or a "
                f"backup back; {anew}"
            )
        return
    if left is not None and left.open and not journal.exists():
        found = ledger.stat()
        same = (found.st_dev, found.st_ino) == (left.device, left.inode)
        if same and _has_log(ledger):
            raise LedgerDamaged(
                f"dibs.db-wal is missing from {folder}: its server did not stop in order, and what the log "
                f"held would be handed out again. Put it or a backup back{_copy_in_words(rescued)}; to go on "
                f"without it, delete {folder / 'lock'}"
            )


def _copy_in_words(rescued: list[str]) -> str:
    if not rescued:
        return ""
    return f" ({rescued[-1]} is a copy that its server saved when files went away: rename that to dibs.db)"


def header_of(ledger: Path) -> tuple[int, int]:
    """The application's id and the format's version, as the file has them; 0 where there is none."""
    try:
        with ledger.open("rb") as file:
            header = file.read(100)
    except OSError:
        return 0, 0
    return int.from_bytes(header[68:72]), int.from_bytes(header[60:64])


def _has_log(ledger: Path) -> bool:
    """Whether a database says that it has a log; a backup, which may have got the same inode, does not."""
    with ledger.open("rb") as file:
        return file.read(20)[18:] == b"\2\2"


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
