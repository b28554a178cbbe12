"""Telling damage (the disk gives back other bytes than were written) from other faults."""

from __future__ import annotations

import apsw


def is_damage(error: BaseException) -> bool:
    """Whether an error of SQLite means damage: a page's wrong checksum or structure, or bad UTF-8."""
    return _wrong_sum(error) or isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError)


def told(error: BaseException) -> str:
    """The damage in words, for messages."""
    return "the checksum of a page is wrong" if _wrong_sum(error) else str(error)


def _wrong_sum(error: BaseException) -> bool:
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
