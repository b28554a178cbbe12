"""The operations for producers: ``/queues/{queue}/items``, and how far the streams into it have come."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request

from ..errors import DibsError, LimitExceeded
from ..ledger.work import Parcel
from ..queue import Queue
from ..sources.encode import MAX_SAFE
from . import bodies
from .accept import negotiate
from .front import HEADERS, KEEP
from .house import House
from .ndjson import PART_ITEMS, StreamReader
from .operation import LEDGER, QUEUES, add
from .params import KeyPart, Query, Whole, refuse
from .parcels import ItemReader
from .problems import RequestRefused, reply_to
from .reply import Reply
from .schemas_work import Pushed, PushItems, Streamed, StreamList
from .wire import answer, push_fields, stream_fields, streams_fields

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
LEAST_KEY: Final = 8
"""A shorter beginning of a key would be somebody else's, too."""
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
        self.push_query = Query(
            Whole(
                "offset",
                0,
                MAX_SAFE,
                "For a stream that goes on: the byte of the stream at which this body begins.",
            )
        )
        most = house.limits.key_bytes
        self._page = Query(
            KeyPart("key", min(LEAST_KEY, most), most, "The beginning of the streams' keys.", required=True),
            KeyPart("after", 1, most, "List the streams whose keys come after this one."),
            Whole("limit", 1, MAX_PAGE, "The most streams of a page.", 100),
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
            query=self.push_query,
            body=PushItems,
            other_bodies=_STREAM,
            key=True,
        )
        path = "/queues/{queue}/streams"
        add(app, "GET", path, self.streams, answer=StreamList, problems=QUEUES, query=self._page)

    async def streams(self, request: Request) -> Reply:
        """List resumable streams.

        The answer says how far each stream has come that was pushed to the queue as `application/x-ndjson`
        under an `Idempotency-Key` that begins with `key`. Streams come in the order of their keys, a page at
        a time: `next` is the `after` of the next page.
        """
        queue = self._house.queue(request)
        page = self._page.parse(request.scope["query_string"])
        await self._house.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))
        found = await queue.streams(page["key"], page["after"] or "", page["limit"])
        return answer(streams_fields(found))

    async def push(self, request: Request) -> Reply:
        """Push items.

        A JSON body is pushed whole or not at all. An item with a `key` is pushed once only: if it is sent
        again, the answer marks it as a `duplicate` and gives its seq. If more items would wait than the
        queue's `max_ready`, nothing is pushed (429).

        A body of type `application/x-ndjson` has one item per line and any number of lines; the server
        commits them in parts while they arrive. The first line that is refused ends the stream, with a
        problem that names the `line` and says how much was pushed. With an `Idempotency-Key` a stream can be
        sent again after any failure, from its start or, with `offset`, from that byte on: items that were
        pushed before are skipped. The answer to an empty body says how far the stream has come.
        """
        headers = request.scope[HEADERS]
        if not bodies.is_stream(headers):
            return await self._push_items(request)
        return await self._push_stream(request)

    async def _push_items(self, request: Request) -> Reply:
        house, headers = self._house, request.scope[HEADERS]
        queue, key, offset = self._asked(request)
        if offset is not None:
            refuse("offset", "only a stream (application/x-ndjson) has one")
        bodies.check_type(headers, bodies.NDJSON)
        body = await bodies.read(request.receive, house.limits.items_bytes)
        return await push_reply(queue, await bodies.apart(self.parcels, body), key)

    def parcels(self, body: bytes) -> tuple[Parcel, ...]:
        """The items that a body pushes."""
        return self._items.parcels(bodies.as_object(bodies.parse(body, self._house.limits.members)))

    async def _push_stream(self, request: Request) -> Reply:
        queue, key, offset = self._asked(request)
        bodies.check_type(request.scope[HEADERS], bodies.NDJSON)
        if offset and key is None:
            refuse("offset", "it goes on with a stream by its Idempotency-Key, and the request has none")
        async with queue.stream(key) as sink:
            began = sink.state.bytes
            reader = StreamReader(
                request.receive,
                sink,
                self._items,
                max_value_bytes=self._house.limits.value_bytes,
                patience=self._house.limits.body_patience,
                keep=request.scope.get(KEEP, _nothing_kept),
                part_items=_part_items(queue),
            )
            try:
                new = await reader.read(offset)
            except DibsError as error:
                return _problem(error, reader)
        replayed = began > 0 and not new
        return answer({"queue": queue.name, **stream_fields(reader.state)}, 201, replayed=replayed)

    def _asked(self, request: Request) -> tuple[Queue, str | None, int | None]:
        """Check the path, the query and the headers before the body is read."""
        queue = self._house.queue(request)
        offset: int | None = self.push_query.parse(request.scope["query_string"])["offset"]
        negotiate(request.scope[HEADERS].get(b"accept"))
        return queue, self._house.key(request), offset


async def push_reply(queue: Queue, parcels: tuple[Parcel, ...], key: str | None) -> Reply:
    """Push items and make the answer, with the seq of each item."""
    pushed = await queue.push(parcels, key=key)
    return answer(push_fields(pushed), 201, replayed=pushed.replayed)


def _nothing_kept(kept: int) -> None:
    """Ignore the count of kept bytes: only our own server bounds them."""


def _part_items(queue: Queue) -> int:
    """A part goes in whole or not at all, so it is well below what may wait in the queue."""
    most = queue.row.settings.max_ready
    return PART_ITEMS if most is None else min(PART_ITEMS, max(1, most // 2))


def _problem(error: DibsError, reader: StreamReader) -> Reply:
    """What ended a stream, at which line, and what is in; nobody reads what is still coming of it."""
    more = {"line": reader.line, **stream_fields(reader.state)}
    if isinstance(error, RequestRefused | LimitExceeded):
        more["detail"] = f"line {reader.line}: {error}"
    reply = reply_to(error, **more)
    if not reader.ended:
        reply.raw_headers.append((b"connection", b"close"))
    return reply
