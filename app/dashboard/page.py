"""The page at ``/``, its files, and its stream; everything in the package, nothing from another host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..access.caller import CALLER, Caller
from ..api.admission import HEADERS
from ..api.guards import check_site
from ..api.plain import Plain
from ..api.problems import RequestRefused, reply_to
from .login import Login
from .streams import Streams

if TYPE_CHECKING:
    from ..api.context import Context

TYPES: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
GUARDED: Final = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
QUERY_MOST: Final = 1_024


class Page:
    """The page of one server. Its ``streams`` begin with the server and end with it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._login = Login(context)
        static = files(__package__).joinpath("static")
        self._files = {path.name: path.read_bytes() for path in static.iterdir()}
        self._streams: Streams | None = None
        context.at_open.append(self.start)
        context.at_stop.append(self.stop)

    def add_to(self, app: FastAPI) -> None:
        """Add the page's paths to the application."""
        app.router.routes += [
            Plain("/", self.index, "none"),
            Plain("/page/static/{name}", self.static, "none"),
            Plain("/events", self.events, "any"),
        ]
        self._login.add_to(app)

    def start(self) -> None:
        """Begin to record."""
        context = self._context
        self._login.begin()
        self._streams = Streams(
            context.queues, context.actions, settings=lambda: context.settings, cluster=context.cluster
        )

    def stop(self) -> None:
        """End all streams: the server goes down."""
        if self._streams is not None:
            self._streams.end()
            self._streams = None

    async def index(self, _: Request) -> Response:
        """The page itself."""
        return self._file("index.html")

    async def static(self, request: Request) -> Response:
        """One of its files."""
        name = request.path_params["name"]
        if name not in self._files:
            return reply_to(RequestRefused("not-found", "the page has no such file"))
        return self._file(name)

    def _file(self, name: str) -> Response:
        kind = TYPES[name.rpartition(".")[2]]
        return Response(self._files[name], headers=GUARDED, media_type=kind)

    async def events(self, request: Request) -> Response:
        """The stream of a tab: ``view`` says of what, see ``Streams``."""
        check_site(request.scope[HEADERS])
        streams = self._streams
        if streams is None or self._context.queues.stopping:
            raise RequestRefused("not-ready", "the server is going down, or not open yet")
        if streams.full:
            raise RequestRefused("overloaded", "as many pages are open as this server takes")
        if len(request.scope["query_string"]) > QUERY_MOST:
            raise RequestRefused("invalid", "the query is too long", field="query", limit=QUERY_MOST)
        headers = {"x-accel-buffering": "no"}
        caller, query = request.scope[CALLER], dict(request.query_params)
        queue = query.get("queue", "") if query.get("view") == "queue" else ""
        events = streams.watch(query, partial(self._login.hello, caller, queue), caller)
        watched = self._encoded(events, caller)
        return StreamingResponse(watched, media_type="text/event-stream", headers=headers)

    async def _encoded(self, events: AsyncIterator[str], caller: Caller) -> AsyncIterator[bytes]:
        """The events while the caller may look. A lone surrogate, which UTF-8 can't carry, is replaced."""
        book = self._context.callers.book
        async for event in events:
            if not book.good(caller):
                return
            yield event.encode("utf-8", "replace")
