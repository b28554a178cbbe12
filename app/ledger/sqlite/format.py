"""What makes an SQLite file a ledger of dibs, and of which format."""

from __future__ import annotations

from pathlib import Path

import apsw

from ...errors import LedgerForeign, LedgerTooNew
from . import moved

APPLICATION_ID = 0x64696273  # "dibs"
VERSION = 8


def identify(writer: apsw.Connection, path: str) -> None:
    """Refuse a file that is not ours before anything is written to it.

    Raises:
        LedgerForeign: another program's file.
        LedgerTooNew: a newer dibs wrote it.
        LedgerMigrated: it was moved to a database.
    """
    application, version = writer.pragma("application_id"), writer.pragma("user_version")
    tables = writer.execute("SELECT count(*) FROM sqlite_schema").get
    if application != APPLICATION_ID and (application or version or tables):
        raise LedgerForeign(f"{path} is an SQLite database, but not a ledger of dibs")
    check_version(application, version, path)


def check_version(application: int, version: int, path: str) -> None:
    """Refuse a ledger that a newer dibs wrote, or that was moved to a database."""
    if application == APPLICATION_ID and version == moved.MOVED:
        _, mark = moved.look(Path(path))  # the log may be ahead of the file's header
        if mark is not None:
            raise moved.refusal(path, mark.to)
        return
    if application == APPLICATION_ID and version > VERSION:
        raise LedgerTooNew(
            f"{path} has format {version}, written by a newer dibs; this one knows up to {VERSION}"
        )
