"""The operations for operators: define, read, delete, pause, resume, close, retry, advance, audit, backup."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..errors import QueueConflict
from ..queue import Queue
from ..queue.answers import QueueInfo
from ..queue.definition import KEPT, Kept, queue_settings
from ..sources import SourceSpec
from . import bodies
from .accept import negotiate
from .front import HEADERS
from .house import House
from .operation import LEDGER, QUEUES, add
from .params import PAGE_OF_QUEUES, Name, Query, refuse
from .reply import Reply
from .schemas import Advance, BackupDone, DefineQueue, QueueAudit, QueueList, QueueState
from .wire import answer, audit_fields, queue_fields

DEFINE: Final = ("source-unknown", "source-invalid", "source-changed", "value-refused", "conflict")
CHANGES: Final = (*QUEUES, *LEDGER, "conflict", "source-busy", "starting")


class Manage:
    """The operations on queues themselves."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._confirmation = Query(
            Name("confirm", "The queue's name once more; required if items inside would be dropped.")
        )

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        one = "/queues/{queue}"
        made = {201: {"description": "The queue was created.", "content": _content(QueueState)}}
        add(app, "GET", "/queues", self.list, answer=QueueList, problems=QUEUES, query=PAGE_OF_QUEUES)
        add(app, "GET", one, self.read, answer=QueueState, problems=QUEUES)
        add(
            app,
            "PUT",
            one,
            self.define,
            answer=QueueState,
            problems=(*CHANGES, *DEFINE, "not-empty"),
            query=self._confirmation,
            body=DefineQueue,
            key=True,
            more=made,
        )
        add(
            app,
            "DELETE",
            one,
            self.delete,
            answer=QueueState,
            problems=(*CHANGES, "not-empty"),
            query=self._confirmation,
            key=True,
        )
        for operate in (self.pause, self.resume, self.close, self.retry):
            path = f"{one}/{operate.__name__}"
            add(
                app, "POST", path, operate, answer=QueueState, problems=(*CHANGES, "source-changed"), key=True
            )
        add(
            app,
            "POST",
            f"{one}/advance",
            self.advance,
            answer=QueueState,
            problems=(*CHANGES, "exhausted", "source-failed"),
            body=Advance,
            key=True,
        )
        add(app, "GET", f"{one}/audit", self.audit, answer=QueueAudit, problems=QUEUES)
        add(app, "POST", "/backup", self.backup, answer=BackupDone, problems=LEDGER)

    async def list(self, request: Request) -> Reply:
        """List the queues.

        Queues come in the order of their names, a page at a time: `next` is the `after` of the next page.
        """
        page = PAGE_OF_QUEUES.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        infos, following = await self._house.queues.infos(page["after"] or "", page["limit"])
        return answer({"queues": [queue_fields(info) for info in infos], "next": following})

    async def read(self, request: Request) -> Reply:
        """Read a queue."""
        return answer(queue_fields(await (await self._queue(request)).read()))

    async def define(self, request: Request) -> Reply:
        """Define a queue.

        A queue has a built-in source, or producers push to it. The source and each of the `settings` stay as
        they are if the request does not name them, so settings can be changed at any time; another source for
        a queue whose cursor is above 0 is a conflict. A queue defined under the name of a deleted one goes on
        after its cursor, unless `reset` says to begin at seq 1. A `reset` drops the items inside; where there
        are any, it needs `confirm`, as a deletion does.
        """
        house = self._house
        name = house.name(request)
        key = house.key(request)
        confirmed = self._confirmed(request, name)
        headers = request.scope[HEADERS]
        negotiate(headers.get(b"accept"))
        body = await bodies.read_model(request.receive, headers, house.limits, DefineQueue)
        if body.source is None and body.args:
            refuse("args", "arguments belong to a source: name the source, too")
        spec = _source(body)
        settings = queue_settings(**body.settings.model_dump(exclude_unset=True)) if body.settings else {}
        info = await house.queues.define(
            name, spec, reset=body.reset, confirmed=confirmed, settings=settings, key=key
        )
        return answer(queue_fields(info), 201 if info.created else 200, replayed=info.replayed)

    async def delete(self, request: Request) -> Reply:
        """Delete a queue.

        The answer has the last counters of the queue. A queue with items inside is deleted only if `confirm`
        is its name once more; otherwise 409 `not-empty` says what would be dropped. The server remembers the
        name and the cursor: a queue that is defined under this name later goes on after the cursor.
        """
        name, key = self._house.name(request), self._house.key(request)
        confirmed = self._confirmed(request, name)
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        return _info(await self._house.queues.delete(name, confirmed=confirmed, key=key))

    def _confirmed(self, request: Request, name: str) -> bool:
        """Whether the request says that the items inside may be dropped."""
        confirm = self._confirmation.parse(request.scope["query_string"])["confirm"]
        if confirm not in {None, name}:
            raise QueueConflict(f"confirm names another queue than {name}: nothing was done", field="confirm")
        return bool(confirm == name)

    async def pause(self, request: Request) -> Reply:
        """Pause a queue.

        Takes and leases are answered 503 `paused` until the queue is resumed; a restart does not resume it.
        """
        return await self._operate(request, lambda queue, key: queue.pause(key=key))

    async def resume(self, request: Request) -> Reply:
        """Resume a paused queue."""
        return await self._operate(request, lambda queue, key: queue.resume(key=key))

    async def close(self, request: Request) -> Reply:
        """Close a queue.

        Nothing more is drawn from the source or pushed; the items inside are still handed out. After that,
        takes and leases are answered 410 `exhausted`.
        """
        return await self._operate(request, lambda queue, key: queue.close(key=key))

    async def retry(self, request: Request) -> Reply:
        """Try a failed source again.

        The source is opened anew after the cursor. No item is skipped.
        """
        return await self._operate(request, lambda queue, key: queue.retry(key=key))

    async def advance(self, request: Request) -> Reply:
        """Jump forward.

        The cursor becomes `to_seq`: the items in between are never handed out, and count as jumped.
        """
        house = self._house
        queue = house.queue(request)
        key = house.key(request)
        _no_query(request)
        headers = request.scope[HEADERS]
        negotiate(headers.get(b"accept"))
        body = await bodies.read_model(request.receive, headers, house.limits, Advance)
        return _info(await queue.advance(body.to_seq, key=key))

    async def audit(self, request: Request) -> Reply:
        """Audit a queue.

        The answer has counters that the server keeps independently of each other, all read in one moment:
        they must add up to the cursor.
        """
        queue = await self._queue(request)
        return answer(audit_fields(await queue.audit()))

    async def backup(self, request: Request) -> Reply:
        """Copy the ledger.

        The server writes a consistent copy into its data folder while it goes on serving. The copy is a whole
        ledger, which `dibs restore` puts into a fresh data folder.
        """
        await self._house.bare(request)
        return answer(asdict(await self._house.queues.backup()))

    async def _queue(self, request: Request) -> Queue:
        await self._house.bare(request)
        return self._house.queue(request)

    async def _operate(
        self, request: Request, act: Callable[[Queue, str | None], Awaitable[QueueInfo]]
    ) -> Reply:
        queue = await self._queue(request)
        return _info(await act(queue, self._house.key(request)))


def _source(body: DefineQueue) -> SourceSpec | Kept | None:
    """The source that a definition names; null means that producers push."""
    if "source" not in body.model_fields_set:
        return KEPT
    return None if body.source is None else SourceSpec(body.source, body.args)


def _no_query(request: Request) -> None:
    Query().parse(request.scope["query_string"])


def _info(info: QueueInfo) -> Reply:
    return answer(queue_fields(info), replayed=info.replayed)


def _content(model: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
