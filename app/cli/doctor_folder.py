"""``dibs doctor`` looks at the data folder: who may read it, what it lies on, its room, its ledger."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ..ledger.sqlite.examining import Examined, examine
from ..ledger.sqlite.folder import OURS
from .doctor_findings import Finding, mend, note, well
from .words import size, span

ROOM: Final = 256 * 1024 * 1024
"""Bytes free on the disk below which it is time to do something; at 2 MiB hand-outs end."""
LOG_MOST: Final = 64 * 1024 * 1024
"""Bytes of the log above which something keeps it from being brought into the ledger; 1 MiB is usual."""
SECONDS: Final = 10.0
"""Seconds that the check of the ledger's pages may take."""
CLOCK_MOST: Final = 5_000
"""Milliseconds that the ledger's time may be ahead: it is written once a second."""
_REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "vboxsf"}
)
_FLEETING: Final = frozenset({"tmpfs", "ramfs"})
MOUNTS: Final = Path("/proc/self/mountinfo")


def look_at(folder: Path, of: str | None = None) -> Iterator[Finding]:
    """All findings about a data folder, which may not be there yet.

    ``of``: the URL of a server that is asked, while nobody said where its ledger is.
    """
    try:
        yield from _looked_at(folder, of)
    except PermissionError as error:
        yield mend("folder", f"{error.filename or folder}: {error.strerror}", "run it as the server's user")


def _looked_at(folder: Path, of: str | None) -> Iterator[Finding]:
    if of is not None and not folder.exists():
        way = f"to look at the ledger of {of}, say where it is: --data FOLDER, or --data postgresql://…"
        yield note("folder", f"there is no {folder} here", way)
        return
    if not folder.exists():
        yield from _missing(folder)
        return
    if not folder.is_dir():
        yield mend("folder", f"{folder} is not a folder", "say another one with --data")
        return
    yield from _access(folder)
    yield from _disk(folder)
    try:
        found = examine(folder, seconds=SECONDS)
    except OSError as error:
        yield mend("ledger", f"{error.filename or folder}: {error.strerror}", "run it as the server's user")
    else:
        yield from _ledger(folder, found)


def _missing(folder: Path) -> Iterator[Finding]:
    parent = next(path for path in folder.absolute().parents if path.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        yield note("folder", f"{folder} is not there yet", "the first `dibs serve` makes it")
        yield from _disk(parent)
    else:
        yield mend("folder", f"{folder} can't be made in {parent}", f"let this user write to {parent}")


def _access(folder: Path) -> Iterator[Finding]:
    """Owner and permissions of the folder and of the ledger's files; see ``folder.make_private``."""
    inside = list(folder.iterdir())
    ours = [path for path in inside if path.name.startswith(OURS)]
    if len(ours) == len(inside):
        ours.insert(0, folder)  # one with other things in it keeps its mode
    for path in ours:
        try:
            found = path.lstat()
        except FileNotFoundError:  # a log that was brought in just now
            continue
        if found.st_uid != os.geteuid():
            told = f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}"
            yield mend("owner", told, f"run dibs as that user, or chown -R {os.geteuid()} {folder}")
            return
        if stat.S_IMODE(found.st_mode) & 0o077 and not stat.S_ISLNK(found.st_mode):
            told = f"{path} can be used by others ({stat.S_IMODE(found.st_mode):o})"
            yield mend("permissions", told, f"chmod go-rwx {path}")
            return
    if not stat.S_IMODE(folder.stat().st_mode) & stat.S_IWUSR:
        yield mend("permissions", f"{folder} can't be written to by its owner", f"chmod u+rwx {folder}")
    else:
        yield well("permissions", f"{folder} is this user's alone")


def _disk(folder: Path) -> Iterator[Finding]:
    """The kind of file system, and the room on it."""
    kind = filesystem(folder, MOUNTS)
    if kind in _REMOTE:
        yield mend(
            "filesystem",
            f"{folder} is on {kind}, whose locks and syncs can't be relied on: two servers may hand out the"
            " same values, and what was answered may be lost",
            "use a disk of this machine",
        )
    elif kind == "overlay":
        yield mend(
            "filesystem",
            f"{folder} is in the layer of a container, and goes with it",
            "mount a volume there",
        )
    elif kind in _FLEETING:
        yield mend(
            "filesystem", f"{folder} is in memory ({kind})", "use a disk: nothing outlives this machine"
        )
    elif kind:
        yield well("filesystem", kind)
    else:
        yield note("filesystem", "its kind can't be told here")
    disk = os.statvfs(folder)
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM:
        yield mend("room", f"{size(free)} are free", "make room: at 2 MiB hand-outs are refused (507)")
    elif disk.f_files and not disk.f_favail:
        yield mend("room", "no more files can be made (inodes)", "remove files on that disk")
    else:
        yield well("room", f"{size(free)} are free")


def filesystem(folder: Path, mounts: Path) -> str:
    """The kind of file system that a folder is on, by the table of mounts; empty where it can't be told.

    The table is ``/proc/[pid]/mountinfo`` of Linux; see proc(5).
    """
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ""
    path, found = folder.resolve(), ("", "")
    for line in lines:
        fields, _, kind = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if path.is_relative_to(point) and len(point) >= len(found[0]):  # the last mount at a place counts
            found = point, kind.split()[0]
    return found[1]


def _ledger(folder: Path, found: Examined) -> Iterator[Finding]:
    """The ledger in the folder."""
    if found.missing:
        yield mend("ledger", found.missing, "see `When something fails` in the manual")
        return
    if not found.bytes:
        yield note("ledger", f"there is none in {folder} yet", "the first `dibs serve` makes it")
        return
    if found.foreign:
        yield mend("ledger", f"{folder / 'dibs.db'} is no ledger of dibs", "use another folder")
        return
    if found.moved:
        told = f"it has moved to {found.moved}, and is not opened here any more"
        yield mend("ledger", told, "say that URL with --data, or as `data` in dibs.toml")
        return
    if found.version > found.known:
        told = f"its format is {found.version}, and this dibs knows up to {found.known}"
        yield mend("format", told, "use the newer dibs that wrote it")
        return
    yield from _format(found)
    server = "no server has it" if found.server is None else f"a server has it (process {found.server})"
    if found.damage:
        yield mend("integrity", found.damage, "stop the server, and put a backup in its place")
    elif found.checked:
        yield well("integrity", f"SQLite's quick check found nothing; {server}")
    else:
        yield note("integrity", f"the check found nothing in {SECONDS:g} s, and was ended then; {server}")
    if found.log_bytes > LOG_MOST:
        yield mend(
            "log",
            f"dibs.db-wal has {size(found.log_bytes)}",
            "end what reads dibs.db all the time (a copy, a shell of sqlite3), or start the server again",
        )
    else:
        yield well("log", f"dibs.db-wal has {size(found.log_bytes)}, dibs.db {size(found.bytes)}")
    if found.ahead > CLOCK_MOST:
        yield mend(
            "clock",
            f"the ledger's time is {span(found.ahead / 1000)} ahead of this machine's: it was set back",
            "set the clock right (NTP); until then due times are by the ledger's",
        )


def _format(found: Examined) -> Iterator[Finding]:
    if found.version < found.known:
        yield note(
            "format",
            f"{found.version}; the next start makes it {found.known}, and an older dibs can't read it then",
            "`dibs backup` first",
        )
    else:
        yield well("format", str(found.version))
