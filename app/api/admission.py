"""The front door: what holds for every request, whatever its path.

Every answer carries ``Cache-Control: no-store``, ``Dibs-Version`` and ``X-Content-Type-Options: nosniff``,
and says whose it is (see ``signature``).
An oversized body is refused before it is read, other sites' browsers are (see ``guards``), and what
nobody foresaw becomes a problem without a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..access.caller import ANYBODY, CALLER
from ..access.secrets import without_secret
from ..cluster.origin import HOPS
from ..cluster.refused import FAILED, check, told
from ..errors import DibsError, OutcomeUnknown
from ..queue.limits import check_name
from ..quote import quoted
from . import bodies, guards
from .access_log import REQUEST_ID, host_of, well_formed
from .durations import OTHER
from .problems import RequestRefused, reply_to
from .reply import REQUEST, Headers, Reply
from .signature import signature

if TYPE_CHECKING:
    from ..config import Settings
    from .access_log import AccessLog
    from .context import Context
    from .durations import Durations

HEADERS: Final = "dibs.headers"
"""In a scope: the headers by name."""
KEEP: Final = "dibs.keep"
"""In a scope: what an operation calls that reads a stream, with the bytes of it that it still keeps."""
GONE: Final = "dibs.gone"
"""In a scope: what tells whether the client has gone."""
OPERATION: Final = "dibs.operation"
"""In a scope: the operation that the request reaches, by the name under which its times are counted."""
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
        if HOPS in headers:
            raise guards.misdirected()
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

    def __init__(self, app: ASGIApp, *, context: Context, version: str) -> None:
        self._app = app
        self._door = Door(context.settings)
        self._callers = context.callers
        self._always = always(version)
        self._access = context.access
        self._durations = context.durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; other kinds of scope go on untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[REQUEST] = _given(scope["headers"]) or self._access.made()
        answer = _Sent(scope, send, self._always)
        try:
            check(scope)
            self._door.admit(scope)
            scope[CALLER] = self._callers.admit(scope, scope[HEADERS])
            await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            return
        except (Exception, asyncio.CancelledError) as error:
            if answer.status:
                raise
            scope[FAILED] = failed = told(scope, error)
            request = scope[REQUEST].decode("ascii")
            path = quoted(without_secret(scope["path"]))
            refused = refusal(failed, f"{scope['method']} {path}, request {request}")
            await refused(scope, receive, answer.send)
        finally:
            answer.count(self._access, self._durations)


class _Sent:
    """What was sent of one answer. ``status`` is 0 before it begins."""

    def __init__(self, scope: Scope, send: Send, headers: Headers) -> None:
        self.status = 0
        self._size = 0
        self._began = perf_counter()
        self._endless = self._whole = False
        self._scope = scope
        self._send = send
        self._always = headers

    async def send(self, message: Message) -> None:
        """Send a part, the head with our headers."""
        if message["type"] == "http.response.start":
            scope = self._scope
            self.status = message["status"]
            self._endless = (b"content-type", b"text/event-stream; charset=utf-8") in message["headers"]
            ours = [*self._always, (REQUEST_ID, scope[REQUEST]), *signature(scope)]
            message["headers"] = [*message["headers"], *ours]
        else:
            self._size += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
        await self._send(message)

    def count(self, access: AccessLog, durations: Durations) -> None:
        """Count the answer, and write its line. A stream of events says nothing of how long answers take."""
        scope, took = self._scope, perf_counter() - self._began
        gone: Any = scope.get(GONE)
        status = self.status if self._whole and not (gone and gone()) else 0
        if not self._endless:
            durations.of(scope.get(OPERATION, OTHER))[status // 100].add(took)
        if access.on:
            path, peer = scope["path"], host_of(scope.get("client"))
            access.line(
                scope[REQUEST],
                scope["method"],
                path,
                status,
                seconds=took,
                size=self._size,
                peer=peer,
                who=scope.get(CALLER, ANYBODY).name,
            )


def _given(headers: Headers) -> bytes | None:
    """The id that the client gave its request, if it gave one that can be one."""
    found = [value.strip(b" \t") for name, value in headers if name == REQUEST_ID]
    return found[0] if len(found) == 1 and well_formed(found[0]) else None


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
