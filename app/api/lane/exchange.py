"""One request that the framework answers: uvicorn's cycle of ASGI messages, with the body as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ...queue.wait import WAIT, Wait
from ..admission import KEEP
from .content import ROOM

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPScope
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.server import ServerState

    from .framing import RequestHead

LITTLE: Final = 65_536
"""Bytes of a body that are read and thrown away where it was answered before; for more of it nobody waits."""

_logger: Final = logging.getLogger("uvicorn.error")
_access: Final = logging.getLogger("uvicorn.access")


class Peer(NamedTuple):
    """A connection, as the framework knows it: the application, its two addresses, what carries it."""

    app: Any
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    transport: asyncio.Transport
    flow: FlowControl
    state: ServerState
    app_state: dict[str, Any]
    loop: asyncio.AbstractEventLoop


class Exchange(RequestResponseCycle):
    """A request and its answer. ``incoming`` is what reads its body, until that is whole.

    ``read_on`` is called when more of it is asked for than is here. ``held`` are the bytes of a large body
    that is whole: they count until the request is done.
    """

    def __init__(
        self, peer: Peer, head: RequestHead, on_response: Callable[[], None], read_on: Callable[[], None]
    ) -> None:
        expects = (b"expect", b"100-continue") in [(name, value.lower()) for name, value in head.headers]
        super().__init__(
            scope=_scope(peer, head),
            transport=_Out(self, peer.transport),  # type: ignore[arg-type]  # it writes and closes
            flow=peer.flow,
            logger=_logger,
            access_logger=_access,
            access_log=False,
            default_headers=peer.state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=expects and head.length != 0 and head.version == "1.1",
            keep_alive=head.keep_alive,
            on_response=on_response,
        )
        self.scope[KEEP] = self._keep  # type: ignore[typeddict-unknown-key]  # ours
        self.incoming = head.body()
        self.more_body = self.incoming is not None
        self.wait = Wait()
        self._read_on = read_on
        self.held = 0
        self._taken = 0  # bytes of the body that the application has, and may keep until it answers
        self._failure: Exception | None = None
        self._ended = False  # the end of the body was told

    async def run(self, app: Any) -> None:
        """Let the application answer the request."""
        WAIT.set(self.wait)
        await self.run_asgi(app)

    def feed(self, data: bytes, at: int) -> int:
        """Read on in the body, while there is room; where that ended.

        Raises:
            RequestRefused: What came is no body.
        """
        if self.incoming is None:
            return at
        at = self.incoming.feed(data, at, bytearray() if self.response_complete else self.body)
        if self.incoming.done:
            self.incoming = None
            self.more_body = False
        self.message_event.set()
        return at

    @property
    def has_room(self) -> bool:
        """Whether more of the body can be read now."""
        return len(self.body) < ROOM

    @property
    def kept(self) -> int:
        """The bytes that are kept of a body that is not whole."""
        return 0 if self.incoming is None else self.size

    @property
    def size(self) -> int:
        """The bytes of the body that are here, or that the application may keep."""
        return len(self.body) + self._taken

    @property
    def failed(self) -> bool:
        """Whether the body can't be read."""
        return self._failure is not None

    def fail(self, error: Exception) -> None:
        """The body will never be whole: who reads it is told so, and the answer is the connection's last."""
        self._failure = error
        self.incoming = None
        self.forget()
        self.keep_alive = False
        self.message_event.set()

    def forget(self) -> None:
        """Drop the body, which nobody reads any more."""
        self.body = bytearray()
        self._taken = 0

    def disconnect(self) -> None:
        """Tell the application that the client has gone."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """The next part of the body, as soon as there is one.

        Raises:
            RequestRefused: What came is no body, or it does not come.
        """
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        while True:
            if self.disconnected or self.response_complete:
                return {"type": "http.disconnect"}
            if self._failure is not None:
                raise self._failure
            if self.body or (not self.more_body and not self._ended):
                return self._next()
            self.message_event.clear()
            self._read_on()
            await self.message_event.wait()

    def _next(self) -> ASGIReceiveEvent:
        body, self.body = bytes(self.body), bytearray()
        self._taken += len(body)
        self._ended = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _keep(self, kept: int) -> None:
        self._taken = kept

    async def send(self, message: ASGISendEvent) -> None:
        """Send; what is answered before its body has come ends the connection, if much of that is missing."""
        if not self.response_started and self.more_body:
            left = None if self.incoming is None else self.incoming.left
            little = left is not None and left <= LITTLE and not self.waiting_for_100_continue
            self.keep_alive = self.keep_alive and little
        await super().send(message)


class _Out:
    """The transport, as an exchange uses it: the connection is closed by itself, when the answer is out."""

    def __init__(self, exchange: Exchange, transport: asyncio.Transport) -> None:
        self._exchange = exchange
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Close the connection, as the answer broke off."""
        if not self._exchange.response_complete:
            self._transport.close()


def _scope(peer: Peer, head: RequestHead) -> HTTPScope:
    path = head.path.decode("ascii")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "server": peer.server,
        "client": peer.client,
        "scheme": "http",
        "root_path": "",
        "method": head.method,
        "path": unquote(path) if "%" in path else path,
        "raw_path": head.path,
        "query_string": head.query,
        "headers": head.headers,
        "state": peer.app_state.copy(),
    }
