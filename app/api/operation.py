"""A path's operation: a plain coroutine behind FastAPI's routing, and all that its request says, read for it.

FastAPI's own way from a request to a function (dependencies, validation by coercion, two exit stacks, a
response model that is validated again) costs more than the hand-out itself and is laxer than it may be
here. So an ``Operation`` reads the request with the reader of both doors, calls its function with a ``Call``,
and sends the answer. What it says of itself is what OpenAPI shows (see ``openapi``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..ledger.serve import Key
from ..queue import Queue
from ..queue.limits import check_name
from . import bodies
from .accept import Type, negotiate
from .admission import HEADERS
from .context import Context
from .queries import Query
from .validation import Model

EVERYWHERE: Final = (
    "malformed",
    "forbidden",
    "not-acceptable",
    "head-timeout",
    "body-timeout",
    "body-too-large",
    "unsupported-media-type",
    "invalid",
    "headers-too-large",
    "internal",
    "not-implemented",
    "overloaded",
    "stopping",
)
"""What any operation may answer."""
LEDGER: Final = ("ledger-unavailable", "outcome-unknown", "ledger-full", "damaged")
"""What an operation may answer that writes."""
QUEUES: Final = ("queue-unknown", "limit-exceeded")
"""What an operation on a queue may answer."""


@dataclass(slots=True)
class Call:
    """One request, read and checked: nothing was spent on one that is refused.

    ``query`` and ``body`` are as their models give them; ``kind`` is the type of the answer.
    """

    request: Request
    name: str
    query: Any
    key: Key | None
    kind: Type
    body: Any
    _queue: Queue | None

    @property
    def queue(self) -> Queue:
        """The queue that the path names."""
        assert self._queue is not None  # noqa: S101  # an operation on a queue looks it up first
        return self._queue

    @property
    def headers(self) -> Mapping[bytes, bytes]:
        """The headers by name."""
        found: Mapping[bytes, bytes] = self.request.scope[HEADERS]
        return found


Endpoint = Callable[[Call], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What an operation takes and answers.

    Args:
        answer: The model of its 200, or of ``status``.
        problems: The names of the problems that it can answer with, beside those of ``EVERYWHERE``.
        query: What its query may hold; without one it takes none.
        body: The model of its body; without one it takes none.
        hot: How a hot call is read from its body and its key; otherwise its model reads the body.
        large: Whether its body may be as large as ``items_bytes``.
        optional: Whether the body may be left out.
        stream: How OpenAPI writes the stream that may stand for its body (``application/x-ndjson``).
        key: Whether it takes an Idempotency-Key.
        text: Whether it can answer with plain text, too.
        known: Whether the queue that the path names has to be there.
        status: The status of success.
        more: Other answers, or more about the 200, as OpenAPI writes them.
    """

    answer: Any
    problems: tuple[str, ...] = ()
    query: Query[Any] | None = None
    body: Model[Any] | None = None
    hot: Callable[[bytes, Key | None], Any] | None = None
    large: bool = False
    optional: bool = False
    stream: Mapping[str, Any] | None = None
    key: bool = False
    text: bool = False
    known: bool = True
    status: int = 200
    more: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class Operation(APIRoute):
    """A route that reads a request, calls its function, and nothing between."""

    def __init__(self, path: str, endpoint: Endpoint, context: Context, spec: Spec, **options: Any) -> None:
        read = Read(context, spec)

        async def answer(request: Request) -> Response:
            return await endpoint(await read.call(request))

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            await (await answer(Request(scope, receive)))(scope, receive, send)

        answer.__doc__ = endpoint.__doc__
        super().__init__(path, answer, name=endpoint.__name__, **options)
        self.spec = spec
        self.app = respond


class Read:
    """Reads what the requests of one operation say; the queue is looked up before the body is read."""

    def __init__(self, context: Context, spec: Spec) -> None:
        self._context = context
        self._spec = spec
        limits = context.limits
        self._limit = max(limits.items_bytes, limits.body_bytes) if spec.large else limits.body_bytes
        self._query = spec.query or context.reader.no_query
        self._read = spec.hot or _by_model(spec.body)

    async def call(self, request: Request) -> Call:
        """Read all of a request.

        Raises:
            RequestRefused, LimitExceeded, QueueUnknown: the first thing that is wrong with it.
            ClientDisconnect: the client went away before its body was there.
        """
        spec, scope = self._spec, request.scope
        headers = scope[HEADERS]
        name = request.path_params.get("queue", "")
        queue = None
        if name:
            check_name(name)
            keyed = spec.key and b"idempotency-key" in headers
            queue = self._context.queues.get(name, keyed=keyed) if spec.known else None
        query = self._query.parse(scope["query_string"])
        kind = negotiate(headers.get(b"accept"), text=spec.text)
        key = self._key(headers) if spec.key else None
        return Call(request, name, query, key, kind, await self._body(request, headers, key), queue)

    def _key(self, headers: bodies.Headers) -> Key | None:
        key, sequence = headers.get(b"idempotency-key"), headers.get(b"idempotency-sequence")
        return self._context.reader.key(key, sequence)

    async def _body(self, request: Request, headers: bodies.Headers, key: Key | None) -> Any:
        spec, read = self._spec, self._read
        if read is None:
            await bodies.receive_none(request.receive, headers, self._limit)
            return None
        if spec.stream is not None and bodies.is_stream(headers):
            bodies.check_type(headers, bodies.NDJSON)
            return None
        if not spec.optional:
            types = () if spec.stream is None else (bodies.NDJSON,)
            bodies.check_type(headers, *types)
        elif not bodies.has_body(headers):
            return read(b"{}", key)
        body = await bodies.receive_all(request.receive, self._limit)
        if spec.optional:
            if body.strip() in bodies.BLANK:
                return read(b"{}", key)
            bodies.check_type(headers)
        return await bodies.apart(lambda whole: read(whole, key), body)


def _by_model(model: Model[Any] | None) -> Callable[[bytes, Key | None], Any] | None:
    """How a model reads a body, whatever the key."""
    return None if model is None else lambda body, _: model.parse(body)
