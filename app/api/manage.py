"""For those who run queues: define, read, delete, pause, resume, close, retry, advance, audit, backup."""

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
        self._deletion = Query(Name("confirm", "The queue's name once more, where something is inside."))

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
            problems=(*CHANGES, *DEFINE),
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
            query=self._deletion,
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

        By name, a page at a time: `next` is the `after` of the next page.
        """
        page = PAGE_OF_QUEUES.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        infos, following = await self._house.queues.infos(page["after"] or "", page["limit"])
        return answer({"queues": [queue_fields(info) for info in infos], "next": following})

    async def read(self, request: Request) -> Reply:
        """Read a queue."""
        return answer(queue_fields((await self._queue(request)).info()))

    async def define(self, request: Request) -> Reply:
        """Define a queue.

        With a built-in source, or without one: then producers push. What is not named stays as it is, the
        source and each of the `settings` alike, so that settings may change at any time; another source for a
        queue whose cursor is above 0 is a conflict. A deleted queue's name goes on after its cursor, unless
        `reset` says to begin again.
        """
        house = self._house
        name = house.name(request)
        key = house.key(request)
        _no_query(request)
        headers = request.scope[HEADERS]
        negotiate(headers.get(b"accept"))
        body = await bodies.read_model(request.receive, headers, house.limits, DefineQueue)
        if body.source is None and body.args:
            refuse("args", "they are a source's: name it, too")
        spec = _source(body)
        settings = queue_settings(**body.settings.model_dump(exclude_unset=True)) if body.settings else {}
        info = await house.queues.define(name, spec, reset=body.reset, settings=settings, key=key)
        return answer(queue_fields(info), 201 if info.created else 200, replayed=info.replayed)

    async def delete(self, request: Request) -> Reply:
        """Delete a queue.

        Answers with its last counters. With something inside only where `confirm` is the queue's name once
        more; else 409 `not-empty` says what would be dropped. What remains is its name and its cursor: a
        queue that is defined under the name again goes on behind it.
        """
        name, key = self._house.name(request), self._house.key(request)
        confirm = self._deletion.parse(request.scope["query_string"])["confirm"]
        if confirm not in {None, name}:
            raise QueueConflict(f"confirm names another queue than {name}: nothing was done", field="confirm")
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        return _info(await self._house.queues.delete(name, confirmed=confirm == name, key=key))

    async def pause(self, request: Request) -> Reply:
        """Pause a queue.

        Whoever asks is told 503 `paused`, until it is resumed; a restart does not resume it.
        """
        return await self._operate(request, lambda queue, key: queue.pause(key=key))

    async def resume(self, request: Request) -> Reply:
        """Resume a paused queue."""
        return await self._operate(request, lambda queue, key: queue.resume(key=key))

    async def close(self, request: Request) -> Reply:
        """Close a queue.

        Nothing more is drawn from its source or pushed; what is inside still goes out. After that whoever
        asks is told 410 `exhausted`.
        """
        return await self._operate(request, lambda queue, key: queue.close(key=key))

    async def retry(self, request: Request) -> Reply:
        """Try a failed source again.

        It is opened anew behind the cursor. Nothing is skipped.
        """
        return await self._operate(request, lambda queue, key: queue.retry(key=key))

    async def advance(self, request: Request) -> Reply:
        """Jump forward.

        The cursor becomes `to_seq`: what lies between is never handed out, and is counted as jumped.
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

        Counters that are kept independently of each other, read in one moment: they must add up.
        """
        queue = await self._queue(request)
        return answer(audit_fields(await queue.audit()))

    async def backup(self, request: Request) -> Reply:
        """Copy the ledger.

        A consistent copy beside the data, made online. It is a data folder's ledger of its own.
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
    """The source that a definition names; null is a meaning: producers push."""
    if "source" not in body.model_fields_set:
        return KEPT
    return None if body.source is None else SourceSpec(body.source, body.args)


def _no_query(request: Request) -> None:
    Query().parse(request.scope["query_string"])


def _info(info: QueueInfo) -> Reply:
    return answer(queue_fields(info), replayed=info.replayed)


def _content(model: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
