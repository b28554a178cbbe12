"""``dibs restore``: from a backup to a data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exits import tell
from .options import Json

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow


def restore(backup: Path, folder: Path, *, json: Json = False) -> None:
    """Check a backup, put it into a fresh data folder, and show the cursors of its queues.

    A server of the copy hands out again what was taken since the backup. `dibs advance` brings a queue past
    what is known to be in use already.

    Args:
        backup: A file that `dibs backup` made.
        folder: A data folder that is not there yet, or is empty.

    Example: `dibs restore dibs-data/backups/20261129T010203.db restored`
    """
    from ..ledger.sqlite.restoring import restore as restored
    from .output import print_json

    rows = restored(backup, folder)
    there = [row for row in rows if row.deleted_at is None]
    if json:
        queues = [
            {"queue": row.name, "cursor": row.cursor, "deleted": row.deleted_at is not None} for row in rows
        ]
        print_json({"folder": str(folder.absolute()), "queues": queues})
        return
    for row in there:
        tell(f"{row.name}: {_source(row)}, cursor {row.cursor:,}")
    tell(
        f"Restored to {folder.absolute()}. Its server hands out again what was taken since the backup:"
        " `dibs advance` brings a queue past what is in use."
    )


def _source(row: QueueRow) -> str:
    import json

    from .words import source

    fields: dict[str, Any] = {"source": row.source or None, "args": json.loads(row.args or "{}")}
    return source(fields)
