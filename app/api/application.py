"""The HTTP application, from its parts: the front door, the operations by audience, the reference."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from ..quote import bare, quoted
from . import docs, metrics
from .admission import Admission
from .context import Context
from .operations.access import access
from .operations.backups import arrivals, backups
from .operations.consume import consume
from .operations.inbox import inbox
from .operations.items import items
from .operations.manage import manage
from .operations.observe import observe
from .operations.produce import produce
from .operations.server import server
from .problems import RequestRefused, reply_to

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build(context: Context, *, version: str, lifespan: Lifespan) -> FastAPI:
    """Put the application together."""
    app = FastAPI(
        title="dibs",
        version=version,
        description=docs.DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.add_middleware(Admission, context=context, version=version)
    app.add_exception_handler(HTTPException, _refuse)
    for audience in (consume, produce, manage, items, inbox, backups, observe, arrivals, server, access):
        audience.add_to(app, context)
    docs.add_to(app)
    metrics.add_to(app, context)
    context.limits.follow(lambda: setattr(app, "openapi_schema", None))
    app.openapi = lambda: docs.document(app)  # type: ignore[method-assign]
    return app


async def _refuse(request: Request, error: Exception) -> Response:
    """Turn a refusal of the router into a problem."""
    path = quoted(request.url.path)
    if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allow = ", ".join(sorted(_methods(request)))
        return reply_to(
            RequestRefused(
                "method-not-allowed",
                f"{path} takes {allow}, not {bare(request.method)}",
                headers=[(b"allow", allow.encode())],
            )
        )
    return reply_to(RequestRefused("not-found", f"there is nothing at {path}; /docs shows what there is"))


def _methods(request: Request) -> set[str]:
    """All methods that the path takes; the router names only those of its first route."""
    found: set[str] = set()
    for route in request.app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            found |= route.methods or set()
    return found
