"""The front door: what holds for every request, whatever its path.

Every answer carries ``Cache-Control: no-store``, ``Dibs-Version`` and ``X-Content-Type-Options: nosniff``,
and says whose it is (see ``signature``).
An oversized body is refused before it is read, other sites' browsers are (see ``guards``), and what
nobody foresaw becomes a problem without a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.caller import ANYBODY, CALLER
from ..config import Settings
from ..errors import DibsError, OutcomeUnknown
from ..queue.limits import check_name
from ..quote import quoted
from . import bodies, guards
from .problems import RequestRefused, reply_to
from .reply import Headers, Reply
from .signature import signature

HEADERS: Final = "dibs.headers"
"""In a scope: the headers by name."""
KEEP: Final = "dibs.keep"
"""In a scope: what an operation calls that reads a stream, with the bytes of it that it still keeps."""
_LARGE_BODIES: Final = ("/items", "/settle")

logger = logging.getLogger("dibs.api")


def always(version: str) -> Headers:
    """The headers of every answer."""
    return [
        (b"cache-control", b"no-store"),
        (b"dibs-version", version.encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
    ]


class Door:
    """What a request is let in by, whatever its path: its headers, its host, its site, its size."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self._hosts = guards.Hosts(settings.allowed_hosts, settings.host)

    def admit(self, scope: Scope) -> None:
        """Everything that can be said before the path is looked at."""
        headers = guards.read_headers(scope["headers"])
        scope[HEADERS] = headers
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length[:20]) > self._limits.body_bytes):
            self._check_length(scope, length, headers)
        self._check_host(scope, headers.get(b"host"))
        if b"content-encoding" in headers:
            guards.check_coding(headers)
        if scope["method"] not in guards.READS:
            guards.check_site(headers)
        raw_path = scope.get("raw_path") or b""
        if b"%" in raw_path:
            _check_path(raw_path)

    def _check_host(self, scope: Scope, host: bytes | None) -> None:
        if host is None:
            guards.check_missing_host(scope)
        elif scope["path"] in guards.HEALTH:
            guards.check_authority(host, "Host")
        else:
            self._hosts.check(host)

    def _check_length(self, scope: Scope, length: bytes, headers: guards.Headers) -> None:
        """Where more may be sent than elsewhere: items, and what becomes of them; a stream has no limit."""
        limit, path = self._limits.body_bytes, scope["path"]
        if scope["method"] == "POST" and path.startswith("/queues/") and path.endswith(_LARGE_BODIES):
            if path.endswith("/items") and bodies.is_stream(headers) and length.isdigit():
                return
            limit = max(limit, self._limits.items_bytes)
        if not length.isdigit() or int(length[:20]) > limit:
            raise bodies.too_large(limit)


class Admission:
    """Pure ASGI; the outermost of ours."""

    def __init__(self, app: ASGIApp, *, settings: Settings, version: str) -> None:
        self._app = app
        self._door = Door(settings)
        self._always = always(version)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of scope go on untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_ours(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *self._always, *signature(scope)]
            await send(message)

        try:
            self._door.admit(scope)
            scope[CALLER] = ANYBODY
            await self._app(scope, receive, send_ours)
        except ClientDisconnect:
            return
        except (Exception, asyncio.CancelledError) as error:
            if started:
                raise
            await refusal(error, f"{scope['method']} {quoted(scope['path'])}")(scope, receive, send_ours)


def refusal(error: BaseException, request: str) -> Reply:
    """The answer to a request that raised; the log has what nobody foresaw.

    A task is cancelled when the server goes down, and the time that the request had is over.
    """
    if isinstance(error, asyncio.CancelledError):
        error = OutcomeUnknown("the server went down in the middle of this; ask again with the same key")
    if isinstance(error, DibsError):
        return reply_to(error)
    logger.error("%s", request, exc_info=error)
    return reply_to(RequestRefused("internal", ""))


def _check_path(raw_path: bytes) -> None:
    """A slash that was encoded is part of a name, and no name has one.

    ASGI servers decode the path, so without this ``POST /queues/a%2Fnext`` would take from ``a``.
    """
    if b"%2f" in raw_path.lower():
        check_name("a/b")
