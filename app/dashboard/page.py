"""The page at ``/``, its files, and its stream; everything in the package, nothing from another host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ..api.admission import HEADERS
from ..api.guards import check_site
from ..api.problems import RequestRefused, reply_to
from ..api.records import answer
from ..config import version
from .streams import Streams, now

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
        self._began = now()
        static = files(__package__).joinpath("static")
        self._files = {path.name: path.read_bytes() for path in static.iterdir()}
        self._streams: Streams | None = None
        context.at_stop.append(self.stop)

    def add_to(self, app: FastAPI) -> None:
        """Add the page's paths to the application."""
        for path, endpoint in (
            ("/", self.index),
            ("/page/static/{name}", self.static),
            ("/page/session", self.session),
            ("/events", self.events),
        ):
            app.router.routes.append(Route(path, endpoint, methods=["GET"]))

    def start(self) -> None:
        """Begin to record."""
        context = self._context
        self._streams = Streams(context.queues, context.actions, settings=lambda: context.settings)

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

    async def session(self, _: Request) -> Response:
        """Who looks, and what that one may do."""
        return answer(self._hello())

    def _hello(self) -> Mapping[str, Any]:
        settings = self._context.settings
        queues = self._context.opened
        names = sorted(queue.name for queue in queues.everyone) if queues is not None else []
        return {
            "who": "anybody",
            "role": "admin",
            "may": ["read", "consume", "produce", "operate", "admin"],
            "read_only": settings.read_only,
            "show_values": settings.show_values,
            "began": self._began,
            "now": now(),
            "login": False,
            "restored": queues.restored.waiting if queues is not None else None,
            "first": names[0] if names else None,
            "version": version(),
        }

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
        watched = _encoded(streams.watch(dict(request.query_params), self._hello))
        return StreamingResponse(watched, media_type="text/event-stream", headers=headers)


async def _encoded(events: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """JSON has no lone surrogate that UTF-8 could not carry, but a value may."""
    async for event in events:
        yield event.encode("utf-8", "replace")
