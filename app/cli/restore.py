"""``dibs restore`` and ``dibs accept``: from a backup to a data folder, and from that to a server in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from .changes import tell_done
from .exits import USAGE, fail, tell
from .options import DEFAULT_URL, Json, Url, server
from .options import folder as checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..ledger.ops import QueueRow

MOST: Final = 2**53 - 1
HOW: Final = (
    "Its server hands nothing out until you say how many items were handed out after the backup:"
    " `dibs accept --advance N` passes over so many seqs of each queue, `dibs accept --as-is` over none."
)


def restore(
    backup: Path, folder: Annotated[Path, typer.Argument(callback=checked)], *, json: Json = False
) -> None:
    """Check a backup, put it into a fresh data folder, and show the cursors of its queues.

    A server of the copy does not know what was handed out after the backup, so it hands nothing out until
    `dibs accept` says how to go on.

    Args:
        backup: A file that `dibs backup` made.
        folder: A data folder that is not there yet, or is empty.

    Example: `dibs restore dibs-data/backups/dibs-20261129T010203.000000Z.db restored`
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
    tell(f"Restored to {folder.absolute()}. {HOW}")


def accept(
    *,
    advance: Annotated[
        list[str] | None, typer.Option("--advance", "-a", metavar="[QUEUE=]N", show_default=False)
    ] = None,
    as_is: bool = False,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Let the server of a restored backup hand out again.

    What was handed out after the backup is not in it. Say how many seqs of each queue that may have been: the
    server passes over them, they count as jumped, and no seq is handed out twice. Items that were inside at
    the time of the backup, and were done since, are handed out again: look at them with `dibs peek` and drop
    them with `dibs purge` before you accept.

    Args:
        advance: So many seqs after the backup are passed over in each queue; with a name, in that one.
            Repeatable.
        as_is: Pass over none: what was handed out after the backup is handed out again.

    Example: `dibs accept --advance 100000 --advance invoices=20`
    """
    others, named = _numbers(advance or [])
    if as_is == bool(advance):
        fail("say either --advance N (seqs to pass over in each queue), or --as-is to pass over none", USAGE)
    if advance and others is None:
        fail("option --advance: say a number for the other queues, too: --advance N (0 for none)", USAGE)
    with server(url) as api:
        answer = api.told("accept", body={"advance": others or 0, "queues": named})
    told = [
        f"{each['queue']}: goes on after {each['cursor']:,} (the backup was at {each['cursor_before']:,})"
        for each in answer["advanced"]
    ]
    tell_done(answer, "\n".join([*told, "Accepted: the server hands out."]), json=json)


def _numbers(given: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """The number for all queues, if there is one, and those of single ones."""
    others: int | None = None
    named: dict[str, int] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        if not (number.isascii() and number.isdecimal()) or int(number) > MOST or (equals and not name):
            fail(f"option --advance {text!r}: say N, or QUEUE=N, with a number from 0 to 2^53-1", USAGE)
        if name in named or (not name and others is not None):
            fail(f"option --advance {text!r}: {name or 'a number for all queues'} is there twice", USAGE)
        if name:
            named[name] = int(number)
        else:
            others = int(number)
    return others, named


def _source(row: QueueRow) -> str:
    """The source as it was written down."""
    from ..queue.info import spec_of

    spec = spec_of(row)
    return "pushed" if spec is None else spec.text
