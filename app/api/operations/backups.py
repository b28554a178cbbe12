"""The operations for backups: make one, fetch one, say that one is kept; and go on from a restored one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, BinaryIO, Final

from starlette.responses import Response, StreamingResponse

from ..models_manage import AcceptRestored, BackupKept, RecoverLedger
from ..operation import Call, Operations, Spec
from ..problem_table import LEDGER
from ..records import answer, instant
from ..reply import Reply

log = logging.getLogger("dibs.api")

backups: Final = Operations("manage")
arrivals: Final = Operations("observe")
"""What says that a copy has arrived changes nothing: a server that is read only takes it, too."""
CHUNK: Final = 256 * 1024
TYPE: Final = "application/vnd.sqlite3"
_COPY: Final[dict[int, dict[str, Any]]] = {
    200: {
        "description": "The copy, named in `Content-Disposition`.",
        "content": {TYPE: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@backups.add("POST", "/backup", Spec(role="admin", answer="BackupDone", problems=(*LEDGER, "conflict")))
async def backup(call: Call) -> Reply:
    """Copy the ledger.

    The server writes a consistent copy into its data folder while it goes on serving, and reads it once to
    check it. The copy is a whole ledger, which `dibs restore` puts into a fresh data folder.
    """
    return answer(asdict(await call.context.queues.backups.write()))


@backups.add("GET", "/backup", Spec(role="admin", answer=None, problems=LEDGER, more=_COPY))
async def fetch(call: Call) -> Response:
    """Fetch a copy of the ledger.

    A copy as `POST /backup` makes it, sent as a file; the server does not keep it. `POST /backup/kept`
    tells the server that it has arrived.
    """
    lent = await call.context.queues.backups.lend()
    headers = {
        "content-disposition": f'attachment; filename="{lent.name}"',
        "content-length": str(lent.bytes),
        "cache-control": "no-store",
    }
    return StreamingResponse(_chunks(lent.file), media_type=TYPE, headers=headers)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


@arrivals.add(
    "POST", "/backup/kept", Spec(role="admin", answer="BackupLast", problems=("conflict",), body=BackupKept)
)
async def kept(call: Call) -> Reply:
    """Note that a fetched copy is kept.

    Whoever fetched it has checked it, and it is on a disk. The server's metrics tell when that was last so.
    """
    last = await call.context.queues.backups.keep(call.body["name"])
    return answer({"name": last.name, "made_at": instant(round(last.at * 1000)), "bytes": last.bytes})


@backups.add(
    "POST",
    "/accept",
    Spec(
        role="admin",
        answer="Accepted",
        problems=(*LEDGER, "queue-unknown", "conflict", "source-busy", "source-failed", "exhausted"),
        body=AcceptRestored,
    ),
)
async def accept(call: Call) -> Reply:
    """Accept a restored backup.

    Until then a server of a restored backup hands nothing out (503 `restored`), since it does not know what
    was handed out after the backup. `advance` says how many items at most that were of each queue: their
    seqs are passed over, and count as jumped; 0 hands them out again. `queues` has other numbers for some.
    Sent again, it changes nothing more.
    """
    named = call.body.get("queues", {})
    jumped = await call.context.queues.accept(call.body["advance"], named)
    for each in jumped:
        what = f"advanced {each.queue} to {each.cursor}, after a restore"
        await call.note(each.queue, what, "advanced")
    return answer({"advanced": [each._asdict() for each in jumped]})


@backups.add(
    "POST",
    "/recover",
    Spec(
        role="admin",
        answer="RecoveredLedger",
        problems=("conflict", *LEDGER),
        body=RecoverLedger,
        optional=True,
    ),
)
async def recover(call: Call) -> Reply:
    """Go on after the database has lost transactions.

    Until then nothing is handed out (503 `ledger-lost`). The owner writes back what it has kept of them
    (`written`), and goes on as if nothing had been. With `accept_loss` they are `lost`: a new term begins
    with what the database has, and every queue passes over what they handed out or took in (`passed`, which
    counts as jumped). Up to `again` items that were done since are handed out again, and queues that were
    made since are `gone`. 409 `conflict` says why it can't be done.
    """
    accept_loss = (call.body or {}).get("accept_loss", False)
    done = await call.context.queues.recover(accept_loss=accept_loss, who=call.who)
    if accept_loss:  # the term that begins then notes it
        log.warning("%s lets the ledger go on without %d transactions that are lost", call.who, done.lost)
    else:
        await call.note("", f"wrote back {done.written:,} lost transactions", "recovered")
    return answer(done._asdict())
