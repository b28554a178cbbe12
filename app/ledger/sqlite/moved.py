"""The mark of a ledger that was moved to a database: no server opens its folder any more.

The mark and the format 1000 come in one transaction, so older releases refuse the file, too, as one that a
newer dibs wrote. Only ``dibs migrate`` takes the mark away, and with it the format is again what it was.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import apsw

from ...errors import LedgerMigrated
from . import sums

MOVED: Final = 1_000
"""The format of a ledger that is not to be opened."""
TABLE: Final = "moved"

_MARK: Final = f"""
CREATE TABLE {TABLE} (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    moved_to TEXT    NOT NULL,
    made     TEXT    NOT NULL,
    position INTEGER NOT NULL,
    format   INTEGER NOT NULL
) STRICT;
INSERT INTO {TABLE} VALUES (1, :to, :made, :position, :format);
"""


class Moved(NamedTuple):
    """Where a ledger is: the place without its password, and the position there at which it is equal to this.

    ``made`` tells that ledger from others that the same one became there before or later. ``format``: the
    format that this file has but for the mark.
    """

    to: str
    made: str
    position: int
    format: int


def mark(writer: apsw.Connection, to: str, made: str, position: int) -> None:
    """Mark a ledger as moved, in the caller's transaction."""
    version = writer.pragma("user_version")
    writer.execute(_MARK, {"to": to, "made": made, "position": position, "format": version})
    writer.pragma("user_version", MOVED)


def unmark(writer: apsw.Connection) -> None:
    """Make a ledger of it again, in the caller's transaction."""
    version = writer.execute(f"SELECT format FROM {TABLE}").get
    writer.execute(f"DROP TABLE {TABLE}")
    writer.pragma("user_version", version)


def read(connection: apsw.Connection) -> Moved | None:
    """The mark of an open ledger; None where it has none."""
    if connection.pragma("user_version") != MOVED:
        return None
    found: list[Any] = connection.execute(f"SELECT moved_to, made, position, format FROM {TABLE}").fetchall()
    return Moved(*found[0])


def refusal(path: str, to: str) -> LedgerMigrated:
    """Why a ledger with a mark is not opened."""
    return LedgerMigrated(
        f"{path} has moved to {to}: serve it by `dibs serve --data URL` with that URL; `dibs migrate --back"
        f" URL {Path(path).parent}` brings it back while nothing was written there"
    )


def look(ledger: Path) -> tuple[str, Moved | None]:
    """Which ledger a file is, and its mark; nothing is written but, after a kill, the index of its log.

    Raises:
        apsw.Error: it can't be read.
    """
    sums.available()  # then the sums of pages are looked at, too
    log = ledger.with_name(f"{ledger.name}-wal")
    alone = not log.exists() or not log.stat().st_size  # to look for a log would make an empty one
    uri = f"{ledger.absolute().as_uri()}?{'immutable=1' if alone else 'mode=ro'}"
    with closing(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)) as reader:
        reader.set_busy_timeout(1_000)
        return str(reader.execute("SELECT instance FROM ledger").get), read(reader)
