"""One request that the framework answers: uvicorn's cycle of ASGI messages, with the body as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from ...access.caller import CALLER
from ...queue.wait import WAIT, Wait
from ..admission import GONE, KEEP
from ..problems import RequestRefused
from .content import LITTLE, ROOM

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPScope
    from uvicorn.config import Config
    from uvicorn.protocols.http.flow_control import FlowControl
    from uvicorn.server import ServerState

    from ...access.caller import Caller
    from .framing import RequestHead
    from .intake import Intake
    from .responses import Responses


_logger: Final = logging.getLogger("uvicorn.error")
_access: Final = logging.getLogger("uvicorn.access")


class Peer(NamedTuple):
    """A connection, as the framework knows it: the application, its two addresses, what carries it."""

    app: Any
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    scheme: str
    transport: asyncio.Transport
    flow: FlowControl
    state: ServerState
    app_state: dict[str, Any]
    loop: asyncio.AbstractEventLoop

    @classmethod
    def of(
        cls,
        config: Config,
        transport: asyncio.Transport,
        flow: FlowControl,
        state: ServerState,
        *,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> Peer:
        """What a transport carries, with the addresses of its two ends."""
        addresses = get_local_addr(transport), get_remote_addr(transport)
        scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        return cls(config.loaded_app, *addresses, scheme, transport, flow, state, app_state, loop)


class Exchange(RequestResponseCycle):
    """A request and its answer. ``incoming`` is what reads its body from the ``intake``, until that is whole.

    ``go_on`` is called when the answer is out, and all of the body that has to be read.
    """

    def __init__(
        self, peer: Peer, head: RequestHead, responses: Responses, intake: Intake, go_on: Callable[[], None]
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
            on_response=self._answered,
        )
        self.scope[KEEP] = self._keep  # type: ignore[typeddict-unknown-key]  # ours
        self.scope[GONE] = self._gone  # type: ignore[typeddict-unknown-key]  # ours
        self.incoming = head.body()
        self.more_body = self.incoming is not None
        self.failure: Exception | None = None
        self.wait = Wait()
        self._peer = peer
        self._responses = responses
        self._intake = intake
        self._go_on = go_on
        self._held = 0  # bytes of a large body that is whole: they count until the request is done
        self._taken = 0  # bytes of the body that the application has, and may keep until it answers
        self._ended = False  # the end of the body was told
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Let the application answer the request."""
        if self._intake.ended:
            self.wait.end()
        self.feed()
        self._task = task = self._peer.loop.create_task(self._run())
        self._peer.state.tasks.add(task)
        task.add_done_callback(self._done)

    def is_of(self, caller: Caller) -> bool:
        """Whether a caller's request is here; but for the one that is asked about at this moment."""
        return self.scope.get(CALLER) is caller and self._task is not asyncio.current_task()

    def be_last(self) -> None:
        """Close the connection when the answer is out, as the server goes down."""
        if self.response_complete:
            self._peer.transport.close()
        else:
            self.keep_alive = False

    async def _run(self) -> None:
        WAIT.set(self.wait)
        await self.run_asgi(self._peer.app)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._peer.state.tasks.discard(task)
        self._intake.budget.let_go(self._held)

    def feed(self) -> None:
        """Read the body, as much as there is room for; go on behind its end."""
        intake = self._intake
        if self._responses.gone or (self.incoming is None and self.response_complete):
            return  # it may be another request's turn
        if self.incoming is None or not intake.size:
            self._bound()
            return
        intake.since = self._peer.loop.time()
        try:
            data, at = intake.take()
            at = self.incoming.feed(data, at, bytearray() if self.response_complete else self.body)
            intake.put(data, at)
        except RequestRefused as error:
            self.fail(error)
            return
        if self.incoming.done:
            self._end()
        elif self._has_room and intake.size:
            self._peer.loop.call_soon(self.feed)
        self.message_event.set()
        if self.incoming is None and self.response_complete:
            self._go_on()
        else:
            self._bound()

    def _end(self) -> None:
        """The body is whole; a large one is no longer kept, but held."""
        self.incoming, self.more_body = None, False
        size = self._size
        if size > LITTLE and not self.response_complete:
            self._bound()
            if self._intake.budget.hold(size):
                self._held = size
            else:
                self.fail(self._intake.budget.overloaded())

    def fail(self, error: RequestRefused) -> None:
        """The body will never be whole: who reads it is told so, and the answer is the connection's last."""
        self.failure = error
        self.incoming = None
        self._forget()
        self.keep_alive = False
        self.message_event.set()
        self._responses.last = True
        self._intake.clear()
        if self.response_complete:
            self._go_on()
        else:
            self._bound()

    def _answered(self) -> None:
        """The answer is out."""
        responses = self._responses
        responses.last = responses.last or not self.keep_alive
        if self.incoming is None or responses.last:
            self._go_on()
        else:
            self._forget()  # the little that is missing of the body comes first
            self.feed()

    def _forget(self) -> None:
        """Drop the body, which nobody reads any more."""
        self.body = bytearray()
        self._taken = 0

    def disconnect(self) -> None:
        """Tell the application that the client has gone."""
        if not self.response_complete:
            self.disconnected = True
        self.message_event.set()

    @property
    def _has_room(self) -> bool:
        """Whether more of the body can be read now."""
        return len(self.body) < ROOM

    @property
    def _size(self) -> int:
        """The bytes of the body that are here, or that the application may keep."""
        return len(self.body) + self._taken

    def _bound(self) -> None:
        reading = self.incoming is not None
        self._intake.more = self._size if reading else 0
        self._intake.bound(full=reading and not self._has_room)

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
            if self.failure is not None:
                raise self.failure
            if self.body or (not self.more_body and not self._ended):
                return self._next()
            self.message_event.clear()
            self.feed()
            await self.message_event.wait()

    def _next(self) -> ASGIReceiveEvent:
        body, self.body = bytes(self.body), bytearray()
        self._taken += len(body)
        self._ended = not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _keep(self, kept: int) -> None:
        self._taken = kept

    def _gone(self) -> bool:
        return self.disconnected

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
        "scheme": peer.scheme,
        "root_path": "",
        "method": head.method,
        "path": unquote(path) if "%" in path else path,
        "raw_path": head.path,
        "query_string": head.query,
        "headers": head.headers,
        "state": peer.app_state.copy(),
    }
