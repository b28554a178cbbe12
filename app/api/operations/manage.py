"""The operations for operators: define, read, delete, pause, resume, close, retry, advance, audit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ...errors import QueueConflict
from ...ledger.work import QueueSettings
from ...queue.answers import QueueInfo
from ...queue.definition import KEPT, Kept, queue_settings
from ...sources import SourceSpec
from ..models_manage import Advance, DefineQueue
from ..operation import Call, Operations, Spec
from ..problem_table import QUEUES
from ..problems import invalid
from ..queries import Confirmation, QueuesPage
from ..records import answer, queue_fields, settings_fields
from ..reply import Reply

manage: Final = Operations("manage")
DEFINE: Final = ("source-unknown", "source-invalid", "source-changed", "value-refused", "conflict")
CHANGES: Final = ("conflict", "source-busy", "starting")
_CREATED: Final[dict[int, dict[str, Any]]] = {
    201: {
        "description": "The queue was created.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/QueueState"}}},
    }
}
_DEFINE: Final = Spec(
    role="admin",
    answer="QueueState",
    problems=(*CHANGES, *DEFINE, "not-empty"),
    query=Confirmation,
    body=DefineQueue,
    known=False,
    key=True,
    more=_CREATED,
)
_DELETE: Final = Spec(
    role="admin",
    answer="QueueState",
    problems=(*CHANGES, "not-empty"),
    query=Confirmation,
    known=False,
    key=True,
)
_OPERATE: Final = Spec(role="operate", answer="QueueState", problems=(*CHANGES, "source-changed"), key=True)
_ADVANCE: Final = Spec(
    role="operate",
    answer="QueueState",
    problems=(*CHANGES, "exhausted", "source-failed"),
    body=Advance,
    key=True,
)


@manage.add("GET", "/queues", Spec(role="any", answer="QueueList", problems=QUEUES, query=QueuesPage))
async def list(call: Call) -> Reply:
    """List the queues.

    Queues come in the order of their names, a page at a time: `next` is the `after` of the next page.
    """
    page = call.query
    infos, following = await call.context.queues.infos(
        page.get("after", ""), page.get("limit", 100), call.caller.sees
    )
    shown = [queue_fields(info, operates=_operates(call, info.queue)) for info in infos]
    return answer({"queues": shown, "next": following})


@manage.add("GET", "/queues/{queue}", Spec(role="any", answer="QueueState"))
async def read(call: Call) -> Reply:
    """Read a queue."""
    return answer(queue_fields(await call.queue.browser.read(), operates=_operates(call, call.name)))


def _operates(call: Call, queue: str) -> bool:
    """Whether the caller may operate a queue: then it is told where its source failed."""
    return not call.context.settings.read_only and call.caller.may("operate", queue)


@manage.add("PUT", "/queues/{queue}", _DEFINE)
async def define(call: Call) -> Reply:
    """Define a queue.

    A queue has a built-in source, or producers push to it. The source and each of the `settings` stay as
    they are if the request does not name them, so settings can be changed at any time; another source for
    a queue whose cursor is above 0 is a conflict. A queue defined under the name of a deleted one goes on
    after its cursor, unless `reset` says to begin at seq 1. A `reset` drops the items inside; where there
    are any, it needs `confirm`, as a deletion does.
    """
    body: DefineQueue = call.body
    confirmed = _confirmed(call)
    if body.get("source") is None and body.get("args"):
        raise invalid("args", "arguments belong to a source: name the source, too")
    settings = queue_settings(**(body.get("settings") or {}))
    before = call.context.queues.find(call.name)
    was = None if before is None else before.browser.settings
    info = await call.context.queues.define(
        call.name,
        _source(body),
        reset=body.get("reset", False),
        confirmed=confirmed,
        settings=settings,
        key=call.key,
    )
    how = "" if info.created or was is None else _changed(was, info.settings)
    return await _done(call, info, "created" if info.created else "changed", how)


@manage.add("DELETE", "/queues/{queue}", _DELETE)
async def delete(call: Call) -> Reply:
    """Delete a queue.

    The answer has the last counters of the queue. A queue with items inside is deleted only if `confirm`
    is its name once more; otherwise 409 `not-empty` says what would be dropped. The server remembers the
    name and the cursor: a queue that is defined under this name later goes on after the cursor.
    """
    return await _done(
        call, await call.context.queues.delete(call.name, confirmed=_confirmed(call), key=call.key), "deleted"
    )


@manage.add("POST", "/queues/{queue}/pause", _OPERATE)
async def pause(call: Call) -> Reply:
    """Pause a queue.

    Takes and leases are answered 503 `paused` until the queue is resumed; a restart does not resume it.
    """
    return await _done(call, await call.queue.operations.pause(key=call.key), "paused")


@manage.add("POST", "/queues/{queue}/resume", _OPERATE)
async def resume(call: Call) -> Reply:
    """Resume a paused queue."""
    return await _done(call, await call.queue.operations.resume(key=call.key), "resumed")


@manage.add("POST", "/queues/{queue}/close", _OPERATE)
async def close(call: Call) -> Reply:
    """Close a queue.

    Nothing more is drawn from the source or pushed; the items inside are still handed out. After that,
    takes and leases are answered 410 `exhausted`.
    """
    return await _done(call, await call.queue.operations.close(key=call.key), "closed")


@manage.add("POST", "/queues/{queue}/retry", _OPERATE)
async def retry(call: Call) -> Reply:
    """Try a failed source again.

    The source is opened anew after the cursor. No item is skipped.
    """
    return await _done(call, await call.queue.operations.retry(key=call.key), "retried")


@manage.add("POST", "/queues/{queue}/advance", _ADVANCE)
async def advance(call: Call) -> Reply:
    """Jump forward.

    The cursor becomes `to_seq`: the items in between are never handed out, and count as jumped.
    """
    to_seq = call.body["to_seq"]
    info = await call.queue.operations.advance(to_seq, key=call.key)
    return await _done(call, info, "advanced", f" to {to_seq}")


@manage.add("GET", "/queues/{queue}/audit", Spec(role="read", answer="QueueAudit"))
async def audit(call: Call) -> Reply:
    """Audit a queue.

    The answer has counters that the server keeps independently of each other, all read in one moment:
    they must add up to the cursor.
    """
    audit = await call.queue.browser.audit()
    return answer({**asdict(audit), "balanced": audit.balanced})


def _changed(was: QueueSettings, now: QueueSettings) -> str:
    """Which settings have another value, from what to what."""
    before, after = settings_fields(was), settings_fields(now)
    told = [
        f"{name} from {_told(before[name])} to {_told(value)}"
        for name, value in sorted(after.items())
        if value != before[name]
    ]
    return f": {', '.join(told)}" if told else ""


def _told(value: float | None) -> str:
    return "null" if value is None else f"{value:.12g}"


def _confirmed(call: Call) -> bool:
    """Whether the request says that the items inside may be dropped."""
    confirm = call.query.get("confirm")
    if confirm not in {None, call.name}:
        raise QueueConflict(
            f"confirm names another queue than {call.name}: nothing was done", field="confirm"
        )
    return confirm is not None


def _source(body: DefineQueue) -> SourceSpec | Kept | None:
    """The source that a definition names; null means that producers push."""
    if "source" not in body:
        return KEPT
    return None if body["source"] is None else SourceSpec(body["source"], body.get("args", {}))


async def _done(call: Call, info: QueueInfo, verb: str, how: str = "") -> Reply:
    """Answer with a queue, and note what was done to it; a replay did nothing."""
    if not info.replayed:
        await call.note(info.queue, f"{verb} {info.queue}{how}", verb)
    return answer(queue_fields(info), 201 if info.created else 200, replayed=info.replayed)
