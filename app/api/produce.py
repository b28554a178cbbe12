"""The operations for producers: pushing, and which keys of items a queue knows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..errors import DibsError, LimitExceeded
from ..ledger.work import Parcel
from ..queue import Queue
from . import bodies
from .accept import negotiate
from .front import HEADERS, KEEP
from .house import House
from .ndjson import StreamReader
from .operation import LEDGER, NO_PARAMETERS, QUEUES, add
from .params import Query, Text, Whole
from .parcels import ItemReader
from .problems import RequestRefused, reply_to
from .reply import Reply
from .schemas_work import ItemKeys, Pushed, PushItems, Streamed
from .wire import answer, keys_fields, push_fields

PUSH: Final = (
    *QUEUES,
    *LEDGER,
    "value-refused",
    "queue-full",
    "source-fed",
    "closed",
    "conflict",
)
MAX_PAGE: Final = 1000
_STREAM: Final[dict[str, Any]] = {
    "application/x-ndjson": {
        "schema": {"type": "string"},
        "example": '{"value": "a.png"}\n{"value": "b.png", "key": "b", "priority": 1}\n',
    }
}


class Produce:
    """The operations that push items."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._items = ItemReader(house.limits)
        most = house.limits.key_bytes
        self._page = Query(
            Text("prefix", most, "List the keys that begin so."),
            Text("after", most, "List the keys that come after this one."),
            Whole("limit", 1, MAX_PAGE, "The most keys of a page.", 100),
        )

    def add_to(self, app: FastAPI) -> None:
        """Add the operations to the application."""
        add(
            app,
            "POST",
            "/queues/{queue}/items",
            self.push,
            answer=Pushed | Streamed,
            status=201,
            problems=PUSH,
            body=PushItems,
            other_bodies=_STREAM,
            key=True,
        )
        path = "/queues/{queue}/keys"
        add(app, "GET", path, self.keys, answer=ItemKeys, problems=QUEUES, query=self._page)

    async def keys(self, request: Request) -> Reply:
        """List keys of items.

        The answer has the keys of items that the queue knows, with the seqs of the items, which may be done.
        Keys come in their order, a page at a time: `next` is the `after` of the next page.
        """
        queue = self._house.queue(request)
        page = self._page.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        found = await queue.item_keys(page["prefix"] or "", page["after"] or "", page["limit"])
        return answer(keys_fields(found))

    async def push(self, request: Request) -> Reply:
        """Push items.

        A JSON body is pushed whole or not at all. An item with a `key` is pushed once only: if it is sent
        again, the answer marks it as a `duplicate` and gives its seq. If more items would wait than the
        queue's `max_ready`, nothing is pushed (429).

        A body of type `application/x-ndjson` has one item per line and any number of lines; the server
        commits them in chunks while they arrive, of 1,000 items or 1 MiB. The first line that is refused ends
        the stream: everything before it is pushed, and the problem names the `line` and says how much that
        was. With an `Idempotency-Key` the same stream can be sent again after any failure: chunks that were
        pushed before are not pushed again. Items with keys can be sent again in any stream.
        """
        headers = request.scope[HEADERS]
        if not bodies.is_stream(headers):
            return await self._push_items(request)
        return await self._push_stream(request)

    async def _push_items(self, request: Request) -> Reply:
        queue, key = self._asked(request)
        body = await bodies.read(request.receive, self._house.limits.items_bytes)
        return await push_reply(queue, await bodies.apart(self.parcels, body), key)

    def parcels(self, body: bytes) -> tuple[Parcel, ...]:
        """The items that a body pushes."""
        return self._items.parcels(bodies.as_object(bodies.parse(body, self._house.limits.members)))

    async def _push_stream(self, request: Request) -> Reply:
        queue, key = self._asked(request)
        reader = StreamReader(
            request.receive,
            queue,
            self._items,
            key=key,
            max_value_bytes=self._house.limits.value_bytes,
            patience=self._house.limits.body_patience,
            keep=request.scope.get(KEEP, _nothing_kept),
        )
        try:
            await reader.read()
        except DibsError as error:
            return _problem(error, reader)
        fields = {"queue": queue.name, **asdict(reader.sums)}
        return answer(fields, 201, replayed=reader.replayed)

    def _asked(self, request: Request) -> tuple[Queue, str | None]:
        """Check the path, the query and the headers before the body is read."""
        queue = self._house.queue(request)
        NO_PARAMETERS.parse(request.scope["query_string"])
        headers = request.scope[HEADERS]
        negotiate(headers.get(b"accept"))
        key = self._house.key(request)
        bodies.check_type(headers, bodies.NDJSON)
        return queue, key


async def push_reply(queue: Queue, parcels: tuple[Parcel, ...], key: str | None) -> Reply:
    """Push items and make the answer, with the seq of each item."""
    pushed = await queue.push(parcels, key=key)
    return answer(push_fields(pushed), 201, replayed=pushed.replayed)


def _nothing_kept(kept: int) -> None:
    """Ignore the count of kept bytes: only our own server bounds them."""


def _problem(error: DibsError, reader: StreamReader) -> Reply:
    """What ended a stream, at which line, and what is in; nobody reads what is still coming of it."""
    more = {"line": reader.line, **asdict(reader.sums)}
    if isinstance(error, RequestRefused | LimitExceeded):
        more["detail"] = f"line {reader.line}: {error}"
    reply = reply_to(error, **more)
    if not reader.ended:
        reply.raw_headers.append((b"connection", b"close"))
    return reply
