"""A path's operation: a plain coroutine behind FastAPI's routing, and all that its request says, read for it.

FastAPI's own way from a request to a function (dependencies, validation by coercion, two exit stacks, a
response model that is validated again) costs more than the hand-out itself and is laxer than it may be
here. So an ``Operation`` reads the request with the reader of both doors, calls its function with a ``Call``,
and sends the answer. What it says of itself is what OpenAPI shows (see ``openapi``).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.utils import create_model_field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..access.caller import CALLER, Caller
from ..access.roles import Need
from ..errors import Forbidden
from ..ledger.serve import Key
from ..queue import Queue
from ..queue.limits import check_name
from . import bodies, queries
from .accept import Type, negotiate
from .actions import who_of
from .admission import HEADERS, OPERATION
from .answer_models import model_of
from .context import Context
from .queries import Query
from .requests import Reader
from .requests import Request as HotRequest
from .validation import Model


@dataclass(slots=True)
class Call:
    """One request, read and checked: nothing was spent on one that is refused.

    ``query`` and ``body`` are as their models give them; of a hot call the body is what it asks of a queue.
    """

    context: Context
    request: Request
    name: str
    query: Any
    key: Key | None
    body: Any
    _queue: Queue | None

    @property
    def queue(self) -> Queue:
        """The queue that the path names."""
        assert self._queue is not None  # noqa: S101  # an operation on a queue looks it up first
        return self._queue

    @property
    def caller(self) -> Caller:
        """Who asks."""
        found: Caller = self.request.scope[CALLER]
        return found

    async def note(self, queue: str, what: str, brief: str) -> None:
        """Note an action that was done; see ``Actions.add``."""
        await self.context.actions.add(queue, what, brief, who=self.who)

    @property
    def who(self) -> str:
        """Who asks, in the log of actions."""
        return who_of(self.caller, self.request.client)

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
        role: The role that it needs, for the queue of its path or for the whole server.
        answer: The name of the model of its 200, or of ``status``, or several (``model_of`` has them); None:
            it is no JSON, and ``more`` describes it.
        problems: The names of the problems that it can answer with, beside those that its kind implies.
        query: The model of its query; without one it takes none.
        body: The model of its body; without one it takes none.
        fixed: How a hot call without a body is read from its query and the type of its answer.
        hot: How one with a body is read from that and its key; of other calls the model reads the body.
        large: Whether its body may be as large as ``items_bytes``.
        optional: Whether the body may be left out.
        stream: How OpenAPI writes the stream that may stand for its body (``application/x-ndjson``).
        key: Whether it takes an Idempotency-Key.
        traced: Whether what it pushes keeps its traceparent.
        text: Whether it can answer with plain text, too.
        queue: The queue that it is about, if its path names none.
        known: Whether the queue has to be there.
        status: The status of success.
        more: Other answers, or more about the 200, as OpenAPI writes them.
    """

    role: Need
    answer: str | None
    problems: tuple[str, ...] = ()
    query: Any = queries.Nothing
    body: Any = None
    fixed: Callable[[Reader, Any, Type], HotRequest] | None = None
    hot: Callable[[Reader, bytes, Key | None], Any] | None = None
    large: bool = False
    optional: bool = False
    stream: Mapping[str, Any] | None = None
    key: bool = False
    traced: bool = False
    text: bool = False
    queue: str = ""
    known: bool = True
    status: int = 200
    more: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)


class Operations:
    """The operations of one audience (``tag``), each a function with what it takes and answers."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._all: list[tuple[str, str, Spec, Endpoint]] = []

    def add(self, method: str, path: str, spec: Spec) -> Callable[[Endpoint], Endpoint]:
        """Decorate a function as an operation; its docstring is the description."""

        def added(endpoint: Endpoint) -> Endpoint:
            self._all.append((method, path, spec, endpoint))
            return endpoint

        return added

    def add_to(self, app: FastAPI, context: Context) -> None:
        """Add all to the application."""
        for method, path, spec, endpoint in self._all:
            manages = self._tag == "manage" and method != "GET"
            read = Read(context, spec, _label(endpoint), manages=manages)
            route = Operation(path, endpoint, read, methods=[method], tags=[self._tag])
            app.router.routes.append(route)


def _label(endpoint: Endpoint) -> str:
    """The name under which an operation's times are counted: one, whether its path names the queue or not."""
    return endpoint.__name__.removeprefix("get_").removeprefix("queue_")


_IN_IDS: Final = str.maketrans({"/": "_", "{": None, "}": None})


class Operation(APIRoute):
    """A route that reads a request, calls its function, and nothing between."""

    def __init__(
        self, path: str, endpoint: Endpoint, read: Read, *, methods: list[str], **options: Any
    ) -> None:
        async def answer(request: Request) -> Response:
            return await endpoint(await read.call(request))

        async def respond(scope: Scope, receive: Receive, send: Send) -> None:
            scope[OPERATION] = read.operation
            await (await answer(Request(scope, receive)))(scope, receive, send)

        answer.__doc__ = endpoint.__doc__
        super().__init__(
            path,
            answer,
            name=endpoint.__name__,
            methods=methods,
            response_model=None,  # the document alone has it: see document
            status_code=read.spec.status,
            operation_id=f"{methods[0].lower()}_{path.strip('/').translate(_IN_IDS)}",
            summary=(endpoint.__doc__ or "").partition("\n")[0].rstrip("."),
            include_in_schema=methods != ["HEAD"],
            **options,
        )
        self.read = read
        self.app = respond

    def document(self) -> None:
        """Give the model of the answer to FastAPI's document.

        To make the models takes as long as all else of a start, and no answer goes through them.
        """
        if self.read.spec.answer is None:  # `more` has it
            return
        self.response_model = model_of(self.read.spec.answer)
        name = f"Response_{self.unique_id}"
        self.response_field = create_model_field(name=name, type_=self.response_model, mode="serialization")


class Read:
    """Reads what the requests of one operation say; the queue is looked up before the body is read.

    ``query`` and ``model`` (of its body) are compiled by the limits of the settings. ``fixed`` reads a hot
    call without a body, ``parse`` the body of any other. ``manages``: refused where the server is read only.
    ``times`` counts how long its answers took, by the first digit of their status.
    """

    def __init__(self, context: Context, spec: Spec, operation: str, *, manages: bool = False) -> None:
        limits, reader = context.limits, context.reader
        self.operation = operation
        self.times = context.durations.of(operation)
        self.spec = spec
        self.query: Query[Any] = Query(spec.query, limits)
        self.model: Model[Any] | None = None if spec.body is None else Model(spec.body, limits)
        self.fixed = None if spec.fixed is None else partial(spec.fixed, reader)
        self.parse: Callable[[bytes, Key | None], Any] = (
            self._by_model if spec.hot is None else partial(spec.hot, reader)
        )
        self._context = context
        self._manages = manages

    @property
    def limit(self) -> int:
        """The most bytes of a body."""
        limits = self._context.limits
        return max(limits.items_bytes, limits.body_bytes) if self.spec.large else limits.body_bytes

    @property
    def hot(self) -> bool:
        """Whether it is a hot call, or a push."""
        return self.fixed is not None or self.spec.hot is not None

    async def call(self, request: Request) -> Call:
        """Read all of a request.

        Raises:
            RequestRefused, LimitExceeded, QueueUnknown: the first thing that is wrong with it.
            ClientDisconnect: the client went away before its body was there.
        """
        spec, scope = self.spec, request.scope
        if self._manages and self._context.settings.read_only:
            raise Forbidden("this server is read only: queues are looked at, and not operated")
        headers = scope[HEADERS]
        name = request.path_params.get("queue", spec.queue)
        queue = None
        if name:
            check_name(name)
        scope[CALLER].check(spec.role, name)
        if name:
            keyed = spec.key and b"idempotency-key" in headers
            queue = self._context.queues.get(name, keyed=keyed) if spec.known else None
        query = self.query.parse(scope["query_string"])
        kind = negotiate(headers.get(b"accept"), text=spec.text)
        key = self._key(headers, scope[CALLER]) if spec.key else None
        body = await self._body(request, headers, key)
        if self.fixed is not None:
            body = self.fixed(query, kind)
        return Call(self._context, request, name, query, key, body, queue)

    def _by_model(self, body: bytes, _: Key | None) -> Any:
        assert self.model is not None  # noqa: S101  # it takes a body
        return self.model.parse(body)

    def _key(self, headers: bodies.Headers, caller: Caller) -> Key | None:
        key, sequence = headers.get(b"idempotency-key"), headers.get(b"idempotency-sequence")
        found = self._context.reader.key(key, sequence)
        return found if found is None or not caller.keys else found._replace(caller=caller.keys)

    async def _body(self, request: Request, headers: bodies.Headers, key: Key | None) -> Any:
        spec, read = self.spec, self.parse
        if self.model is None:
            await bodies.receive_none(request.receive, headers, self.limit)
            return None
        if spec.stream is not None and bodies.is_stream(headers):
            bodies.check_type(headers, bodies.NDJSON)
            return None
        if not spec.optional:
            types = () if spec.stream is None else (bodies.NDJSON,)
            bodies.check_type(headers, *types)
        elif not bodies.has_body(headers):
            return read(b"{}", key)
        body = await bodies.receive_all(request.receive, self.limit)
        if spec.optional:
            if body.strip() in bodies.BLANK:
                return read(b"{}", key)
            bodies.check_type(headers)
        return await bodies.apart(lambda whole: read(whole, key), body)
