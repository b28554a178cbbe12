"""The write-ahead log that a killed server left: whether SQLite will read all of it that was synced.

SQLite reads a log up to the first frame whose checksum is wrong, and takes that for the end. After a loss of
power it is the end: a commit that was never acknowledged. But a frame that was damaged later would take with
it what was acknowledged after it. Two things tell them apart: the log's index (``-shm``), which is written
after a sync, and whole commits beyond the wrong frame, which were begun only after it was synced.

The formats are those of SQLite's *WAL-mode File Format*.
"""

from __future__ import annotations

import struct
import sys
from array import array
from pathlib import Path
from typing import NamedTuple

import apsw

from ...errors import LedgerDamaged

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682  # or one more: then the checksums are of big-endian words
_INDEX = struct.Struct("=12xB3xI20x2I")
_PIECE = 65_536
_RESERVED_AT = 20  # in the database, how many bytes each page reserves at its end
_SMALLEST_PAGE, _LARGEST_PAGE = 512, 65_536


class _Sum(NamedTuple):
    """The two words of a running checksum."""

    one: int = 0
    two: int = 0

    def over(self, data: bytes, *, big: bool) -> _Sum:
        words = array("I", data)
        if big != (sys.byteorder == "big"):
            words.byteswap()
        one, two = self
        for first, second in zip(words[::2], words[1::2], strict=True):
            one = (one + first + two) & 0xFFFFFFFF
            two = (two + second + one) & 0xFFFFFFFF
        return _Sum(one, two)


def check_log(ledger: Path) -> None:
    """Refuse a ledger whose log is damaged in what was acknowledged.

    Raises:
        LedgerDamaged: SQLite would leave out commits that were synced.
    """
    try:
        log = Path(f"{ledger}-wal").read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    if len(log) <= _HEADER.size:
        return
    page = _HEADER.unpack_from(log)[2]
    where = "its header"
    if not _SMALLEST_PAGE <= page <= _LARGEST_PAGE or page & (page - 1):
        damaged = True
    elif not _header_is_whole(log):
        damaged = _is_needed(log, page, ledger)
    else:
        good, beyond = _frames(log, page)
        damaged = good < _indexed(ledger, log) or beyond > 1
        where = f"frame {good + 1}"
    if damaged:
        raise LedgerDamaged(
            f"{ledger}-wal is damaged in {where}: what was written after that would be lost, and handed out"
            " again; put a backup in its place"
        )


def write_again(ledger: Path, vfs: str | None) -> None:
    """Write a log that is there with the same bytes, and sync it, before anything of it goes into the ledger.

    A system keeps in memory what a failed sync was to bring to the disk, and takes it for written: it is
    read, and no later sync brings it there. If the log went into the ledger like that and the power was lost
    before the next commit, the log's older part would be read over the newer pages.

    Raises:
        apsw.Error: the disk fails, or is full.
    """
    path = Path(f"{ledger}-wal")
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return
    if not size:
        return
    # As a journal: opened as a log, cksumvfs would look for the connection that it belongs to.
    file = apsw.VFSFile(vfs or "", str(path), [apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_MAIN_JOURNAL, 0])
    try:
        for at in range(0, size, _PIECE):
            file.xWrite(file.xRead(min(_PIECE, size - at), at), at)
        file.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        file.xClose()


def _header_is_whole(log: bytes) -> bool:
    magic, *_, one, two = _HEADER.unpack_from(log)
    return magic & ~1 == _MAGIC and _Sum().over(log[:24], big=bool(magic & 1)) == (one, two)


def _frames(log: bytes, page: int) -> tuple[int, int]:
    """The number of whole frames that belong together, and of later frames that end a commit of the log."""
    magic, _, _, _, *salts, one, two = _HEADER.unpack_from(log)
    big = bool(magic & 1)
    good, running, beyond, whole = 0, _Sum(one, two), 0, True
    size = _FRAME.size + page
    for at in range(_HEADER.size, len(log) - size + 1, size):
        _, commit, salt_one, salt_two, *told = _FRAME.unpack_from(log, at)
        same_log = [salt_one, salt_two] == salts
        if whole and same_log:
            running = running.over(log[at : at + 8], big=big).over(log[at + _FRAME.size : at + size], big=big)
        whole = whole and same_log and running == _Sum(*told)
        good += whole
        beyond += not whole and same_log and commit > 0
    return good, beyond


def _is_needed(log: bytes, page: int, ledger: Path) -> bool:
    """Whether pages in a log without a header are not in the database yet.

    While a log begins anew its header is written over; all that it had is in the database then. What a page
    reserves at its end is not compared: the pages of a ledger's first log have no sums yet, in the database
    they have.
    """
    size = _FRAME.size + page
    latest: dict[int, bytes] = {}
    first = log[_HEADER.size + 8 : _HEADER.size + 16]
    for at in range(_HEADER.size, len(log) - size + 1, size):
        if log[at + 8 : at + 16] == first:  # the salts of one log
            latest[_FRAME.unpack_from(log, at)[0]] = log[at + _FRAME.size : at + size]
    with ledger.open("rb") as file:
        header = file.read(_RESERVED_AT + 1)
        used = page - (header[_RESERVED_AT] if len(header) > _RESERVED_AT else 0)
        for number, content in latest.items():
            file.seek((number - 1) * page)
            if file.read(page)[:used] != content[:used]:
                return True
    return False


def _indexed(ledger: Path, log: bytes) -> int:
    """How many frames the log's index knows as synced; 0 where it tells nothing about this log."""
    try:
        index = Path(f"{ledger}-shm").read_bytes()[: _INDEX.size]
    except OSError:
        return 0
    if len(index) < _INDEX.size or index[32:40] != log[16:24]:  # the salts
        return 0
    initialized, frames, *told = _INDEX.unpack(index)
    whole = _Sum().over(index[:40], big=sys.byteorder == "big") == _Sum(*told)
    return int(frames) if initialized and whole else 0
