"""The durable record of what was handed out: ops, the writer, and the engines that keep them."""

from __future__ import annotations

from pathlib import Path

from .engine import Engine
from .sqlite.engine import SqliteEngine

__all__ = ["Engine", "open_ledger"]

MEMORY = ":memory:"


def open_ledger(data: Path | str) -> Engine:
    """The ledger in a data folder; ``:memory:`` is the same engine without a disk.

    Raises:
        LedgerLocked: another server owns the folder; the message names its process.
        LedgerForeign: the file is not a ledger of dibs, or it is damaged.
        LedgerTooNew: a newer dibs wrote it.
        LedgerUnavailable: the folder or the file can't be opened.
    """
    return SqliteEngine(None if str(data) == MEMORY else Path(data))
