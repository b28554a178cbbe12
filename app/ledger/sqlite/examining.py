"""Looking at a data folder from outside, while a server uses it or none does; nothing in it is written.

The one exception: of a ledger that was not closed in order SQLite makes the index of its log
(``dibs.db-shm``) again, as the next start would.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import apsw

from ...errors import LedgerDamaged
from . import moved, sums
from .folder import check_complete, header_of
from .format import APPLICATION_ID, VERSION
from .lock import noted

SQLITE: Final = apsw.sqlite_lib_version()
_BUSY: Final = 1_000


class Examined(NamedTuple):
    """What was found.

    Attributes:
        server: The process that owns the folder, 0 where that can't be told; None where none does.
        foreign: Whether the file is no ledger of dibs.
        version: Its format, 0 where there is no ledger yet; ``known`` is the newest that this dibs knows.
        bytes, log_bytes: The sizes of the ledger and of its log.
        missing: Why the next start will refuse.
        moved: The database to which the ledger has moved.
        damage: What the check found; ``checked``: whether it came to its end, and found nothing.
        ahead: Milliseconds by which the ledger's time is ahead of the wall clock.
    """

    server: int | None = None
    foreign: bool = False
    version: int = 0
    known: int = VERSION
    bytes: int = 0
    log_bytes: int = 0
    missing: str = ""
    moved: str = ""
    damage: str = ""
    checked: bool = False
    ahead: int = 0


def examine(folder: Path, *, seconds: float) -> Examined:
    """Look at a folder that is there; the check of the ledger's pages ends after so many seconds.

    Raises:
        OSError: It can't be read.
    """
    next(folder.iterdir(), None)
    ledger, log = folder / "dibs.db", folder / "dibs.db-wal"
    server, left = noted(folder)
    missing = ""
    if server is None:
        try:
            check_complete(folder, left)
        except LedgerDamaged as error:
            missing = str(error)
    application, version = header_of(ledger)
    found = Examined(server, False, version, VERSION, _size(ledger), _size(log), missing)
    if not found.bytes or missing:
        return found
    if application != APPLICATION_ID:
        return found._replace(foreign=True)
    if (to := _moved(ledger)) is not None:
        return found._replace(moved=to)
    return found if version > VERSION else _check(ledger, found, seconds)


def _moved(ledger: Path) -> str | None:
    """To where a ledger has moved; None too where that can't be read, of which the check tells more."""
    try:
        _, mark = moved.look(ledger)
    except (apsw.Error, UnicodeDecodeError):
        return None
    return None if mark is None else mark.to


def _check(ledger: Path, found: Examined, seconds: float) -> Examined:
    """SQLite's quick check, on a connection that can only read."""
    sums.available()  # then the sums of pages are looked at, too
    try:
        # Without a log that is all there is; to look for one would make an empty one.
        alone = found.server is None and not found.log_bytes
        uri = f"{ledger.absolute().as_uri()}?{'immutable=1' if alone else 'mode=ro'}"
        with closing(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as reader:
            reader.set_busy_timeout(_BUSY)
            clock = reader.execute("SELECT clock FROM ledger").get
            ahead = max(clock - time.time_ns() // 1_000_000, 0)
            late = threading.Timer(seconds, reader.interrupt)
            late.start()
            try:
                result = reader.execute("PRAGMA quick_check(1)").get
            except apsw.InterruptError:
                return found._replace(ahead=ahead)
            finally:
                late.cancel()
                late.join()
    except (apsw.Error, UnicodeDecodeError) as error:
        return found._replace(damage=str(error))
    return found._replace(ahead=ahead, checked=result == "ok", damage="" if result == "ok" else str(result))


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
