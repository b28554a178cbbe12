"""Logging in to the page: a token once, and from then on a cookie that no script can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from ..access.caller import CALLER, Caller
from ..access.roles import ROLES, Role
from ..access.secrets import TOKEN_MOST, Credential
from ..access.sessions import SECONDS
from ..api import bodies
from ..api.access import cookie_name
from ..api.admission import HEADERS
from ..api.fields import Text
from ..api.models import strict
from ..api.plain import Plain
from ..api.records import answer
from ..api.validation import Model
from ..config import version
from ..errors import Forbidden
from .slices import Slices
from .streams import now

if TYPE_CHECKING:
    from ..api.context import Context
    from ..queue import Queues

_ORDER: Final[tuple[Role, ...]] = ("admin", "operate", "read", "produce", "consume")
"""Of somebody's roles the first of these is shown."""


@strict({"token": "dibs_0f3a5c7e91_Zk3q"})
class Shown(TypedDict):
    """The token that somebody shows."""

    token: Annotated[str, Text(1, TOKEN_MOST, "The token.")]


class Login:
    """Who looks at the page of one server."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._model: Model[Shown] = Model(Shown, context.limits)
        self._began = now()

    def begin(self) -> None:
        """Note that the queues were opened now: what the page counts begins anew."""
        self._began = now()

    def add_to(self, app: FastAPI) -> None:
        """Add the paths to the application."""
        app.router.routes += [
            Plain("/page/session", self.session, "any"),
            Plain("/page/login", self.login, "none", "POST"),
            Plain("/page/logout", self.logout, "none", "POST"),
        ]

    async def session(self, request: Request) -> Response:
        """Who looks, and what that one may do."""
        return answer(await self.hello(request.scope[CALLER]))

    async def login(self, request: Request) -> Response:
        """Take a token, and give a cookie for it."""
        access, headers = self._context.callers, request.scope[HEADERS]
        bodies.check_type(headers)
        token = self._model.parse(await bodies.receive_all(request.receive, self._context.limits.body_bytes))[
            "token"
        ]
        if not access.book.locked:
            return answer(await self.hello(request.scope[CALLER]))
        caller = access.book.caller(Credential.of(token.encode("utf-8", "replace")))
        if caller is None:
            raise access.wrong(request.scope, headers)
        if "read" not in caller.grants.somewhere:
            raise Forbidden("this token may not look: that needs the role read, operate or admin")
        reply = answer(await self.hello(caller))
        reply.raw_headers.append(self._cookie(request, access.sessions.cookie(caller.token), SECONDS))
        return reply

    async def logout(self, request: Request) -> Response:
        """Forget the cookie."""
        reply = answer({})
        reply.raw_headers.append(self._cookie(request, "", 0))
        return reply

    def _cookie(self, request: Request, value: str, seconds: int) -> tuple[bytes, bytes]:
        headers = request.scope[HEADERS]
        told = f"{cookie_name(headers)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        return b"set-cookie", f"{told}{'; Secure' if self._secure(request) else ''}".encode()

    def _secure(self, request: Request) -> bool:
        """Whether the browser came by TLS, to us or to a proxy that is trusted."""
        if request.scope["scheme"] == "https":
            return True
        told: bytes = request.scope[HEADERS].get(b"x-forwarded-proto", b"")
        return told.strip().lower() == b"https" and self._context.callers.trusts(request.scope)

    async def hello(self, caller: Caller, queue: str = "") -> dict[str, Any]:
        """What the page is told of who looks; what that one may do, with this queue or with all."""
        settings, queues = self._context.settings, self._context.opened
        roles = caller.grants.of(queue) if queue else caller.grants.everywhere
        shown = roles or caller.grants.somewhere
        return {
            "who": caller.name,
            "role": next((role for role in _ORDER if role in shown), "none"),
            "may": [role for role in ROLES if role in roles],
            "read_only": settings.read_only,
            "show_values": settings.show_values,
            "began": self._began,
            "now": now(),
            "login": bool(caller.token),
            "restored": queues.restored.waiting if queues is not None else None,
            "first": None if queues is None else await _first(queues, caller),
            "version": version(),
        }


async def _first(queues: Queues, caller: Caller) -> str | None:
    """The first queue that the caller may look at, by name."""
    first: str | None = None
    slices = Slices()
    for queue in list(queues.everyone):
        if (first is None or queue.name < first) and caller.sees(queue.name, "read"):
            first = queue.name
        if slices.over:
            await slices.turn()
    return first
