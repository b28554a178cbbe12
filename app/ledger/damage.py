"""Telling damage from other faults: what comes back from the disk is not what was written to it."""

from __future__ import annotations

import apsw


def is_damage(error: BaseException) -> bool:
    """Whether an error of SQLite says so: a page's checksum or structure is wrong, or a text is not UTF-8."""
    return _wrong_sum(error) or isinstance(error, apsw.CorruptError | apsw.NotADBError | UnicodeDecodeError)


def told(error: BaseException) -> str:
    """What is damaged, in words."""
    return "the checksum of a page is wrong" if _wrong_sum(error) else str(error)


def _wrong_sum(error: BaseException) -> bool:
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_DATA
