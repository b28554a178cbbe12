"""The common part of all operations: the queues, once they are open, and the limits."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from ..config import Settings
from ..queue import Queue, Queues
from . import bodies
from .accept import negotiate
from .front import HEADERS
from .operation import NO_PARAMETERS, QUEUE, SEQ
from .params import parse_key
from .problems import RequestRefused


class House:
    """One server's queues and settings, handed to every group of operations."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.opened: Queues | None = None

    @staticmethod
    async def no_app(scope: Scope, receive: Receive, send: Send) -> None:
        """Nothing behind the front door: for those who only ask what it lets in."""

    @property
    def queues(self) -> Queues:
        """The queues; before they are open, a refusal that says to ask again."""
        if self.opened is None:
            raise RequestRefused("not-ready", "the ledger is not open yet")
        return self.opened

    def queue(self, request: Request) -> Queue:
        """The queue that the path names."""
        return self.queues.get(self.name(request))

    def name(self, request: Request) -> str:
        """The queue's name in the path, checked."""
        return QUEUE.parse(request.path_params["queue"])

    def seq(self, request: Request) -> int:
        """The item's seq in the path, checked."""
        return SEQ.parse(request.path_params["seq"])

    def key(self, request: Request) -> str | None:
        """The request's idempotency key, the same for its bare and its quoted form."""
        return parse_key(request.scope[HEADERS].get(b"idempotency-key"), self.limits.key_bytes)

    async def bare(self, request: Request) -> None:
        """Check what every operation without parameters and body has to: none came, and JSON is taken."""
        NO_PARAMETERS.parse(request.scope["query_string"])
        await self.bodiless(request)
        negotiate(request.scope[HEADERS].get(b"accept"))

    async def bodiless(self, request: Request) -> None:
        """Refuse a body."""
        await bodies.read_none(request.receive, request.scope[HEADERS], self.limits.body_bytes)
