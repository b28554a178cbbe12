"""The operations for what is pushed by SQL: look at the inbox, and try again what was refused."""

from __future__ import annotations

import json
from typing import Any, Final

from ...errors import QueueConflict
from ...ledger.inbox import RefusedRow
from ...queue.draining import Draining
from ..models_manage import RetryRefused
from ..operation import Call, Operations, Spec
from ..problem_table import LEDGER
from ..queries import RefusedPage
from ..records import answer, exact, instant
from ..reply import Reply

inbox: Final = Operations("manage")
_PROBLEMS: Final = ("conflict", "queue-unknown", *LEDGER)


@inbox.add("GET", "/inbox", Spec(role="operate", answer="InboxPage", problems=_PROBLEMS, query=RefusedPage))
async def read(call: Call) -> Reply:
    """Look at the inbox.

    Programs push into it by SQL, in their own transactions, where the ledger is in PostgreSQL; elsewhere
    there is none (409 `conflict`). It tells how much waits there, and lists what could not be taken, a page
    at a time: `next` is the `after` of the next page.
    """
    draining = _draining(call)
    limit = call.query.get("limit", 100)
    queue = call.query.get("queue")
    found = await draining.refused(queue, call.query.get("after", 0), limit + 1)
    if not found:
        _check(call, queue)
    state = draining.state._asdict()
    if state["oldest"] is not None:
        state["oldest"] = round(state["oldest"], 3)
    following = found[limit - 1].id if len(found) > limit else None
    return answer({**state, "rows": [_shown(row) for row in found[:limit]], "next": following})


@inbox.add(
    "POST",
    "/inbox/retry",
    Spec(role="operate", answer="Retried", problems=_PROBLEMS, body=RetryRefused, optional=True),
)
async def retry(call: Call) -> Reply:
    """Try again what could not be taken.

    What was refused, of one queue or of all, goes into the inbox again, with its key, delay and priority.
    """
    queue = (call.body or {}).get("queue")
    count = await _draining(call).retry(queue)
    if not count:
        _check(call, queue)
    else:
        await call.note(queue or "", f"tried {count:,} refused pushes again", "retried pushes")
    return answer({"retried": count})


def _check(call: Call, queue: str | None) -> None:
    """Refuse a name that no queue has, once nothing was found of it: one that is gone may have rows."""
    if queue is not None:
        call.context.queues.get(queue)


def _draining(call: Call) -> Draining:
    draining = call.context.queues.inbox
    if draining is None:
        raise QueueConflict("this ledger has no inbox: it is not in PostgreSQL, where programs push by SQL")
    return draining


def _shown(row: RefusedRow) -> dict[str, Any]:
    at, refused_at = instant(row.at), instant(row.refused_at)
    value = exact(json.loads(row.value))
    return row._asdict() | {"value": value, "at": at, "refused_at": refused_at}
