"""A connection, as uvicorn's server knows it: made, ended, and given up where it takes too long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr

from .. import bodies
from ..problems import RequestRefused
from .closing import Closing, Unread
from .pipeline import ANSWERED, BETWEEN, BODY, HEAD, LEFT, Pipeline
from .responses import Responses
from .timer import Timer

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from .lane import Lane


class Connection(asyncio.Protocol):
    """One connection. ``lane`` is what all connections share."""

    def __init__(
        self,
        lane: Lane,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.server_state = server_state
        self.app_state = app_state
        self._config = config
        self._lane = lane
        self._closing = False  # the server goes down

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to read, as the connection is open."""
        limits = self._lane.limits
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server, self.client = get_local_addr(transport), get_remote_addr(transport)
        self.responses = Responses(self._lane, self.server_state, transport, self.loop)
        self.pipeline = Pipeline(self._lane, self, self._config.loaded_app)
        self._unread = Unread(transport, limits.body_patience)
        self._timer = Timer(self.loop, self._look, self.pipeline.since + limits.head_patience)
        self.server_state.connections.add(self)  # type: ignore[arg-type]  # it has what the server calls

    def data_received(self, data: bytes) -> None:
        """Read the next bytes."""
        self.pipeline.come(data)

    def resume_writing(self) -> None:
        """Go on: the client has read its answers."""
        self.flow.resume_writing()
        self.pipeline.go_on()

    def pause_writing(self) -> None:
        """Pause: the client does not read its answers."""
        self.flow.pause_writing()

    # -- the end

    def eof_received(self) -> bool:
        """Note that the client sends nothing more; return whether it still gets an answer."""
        return self.pipeline.end()

    def ended(self) -> None:
        """Close: all requests are answered, and no more come."""
        if not self.pipeline.end():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the client has gone; ops in the line go on."""
        self.server_state.connections.discard(self)  # as it was added
        self._timer.stop()
        self.responses.lost()
        self.pipeline.lost()
        self.flow.resume_writing()

    def leave(self) -> None:
        """Close; where the client may still be sending or reading, when it leaves, or after a while."""
        self.pipeline.state = LEFT
        sending = self.pipeline.has_more()
        if self._closing or not (sending or self.transport.get_write_buffer_size()):
            self.transport.close()
            return
        if sending:
            self.flow.resume_reading()
        self.connection_lost(None)
        Closing(self.transport, self.server_state.connections, self._unread, self.loop)

    def shutdown(self) -> None:
        """Answer the request under way, and close, as the server goes down."""
        exchange = self.pipeline.exchange
        if self.pipeline.state in (BETWEEN, HEAD, ANSWERED, LEFT):
            self.transport.close()
            return
        self._closing = True
        if exchange is None:
            self.responses.end()
        elif exchange.response_complete:
            self.transport.close()
        else:
            exchange.keep_alive = False

    # -- time

    def be_patient(self, seconds: float) -> None:
        """Set the patience: from now on, for so many seconds."""
        self.pipeline.since = self.loop.time()
        self._timer.by(self.pipeline.since + seconds)

    def _look(self, now: float) -> float:
        """End a connection that takes too long; return when to look again."""
        requests, limits = self.pipeline, self._lane.limits
        due = self._due(now)
        if due > now:
            return due
        if requests.state == HEAD:
            most = limits.head_patience
            late = f"the head took over {most:g} seconds"
            requests.refuse(RequestRefused("head-timeout", late, field="head", limit=most))
        elif requests.state == BODY:
            requests.refuse(bodies.too_slow(limits.body_patience))
        elif requests.coming:
            requests.fail(bodies.too_slow(limits.body_patience))
        elif requests.state == BETWEEN:
            self.leave()
        else:
            self.transport.abort()
        return now + limits.body_patience

    def _due(self, now: float) -> float:
        requests, limits = self.pipeline, self._lane.limits
        if requests.state == BETWEEN:
            kept: float = self._config.timeout_keep_alive if requests.served else limits.head_patience
            return requests.since + kept
        if requests.state == HEAD:
            return requests.since + limits.head_patience
        if requests.state == BODY or requests.coming:
            return requests.since + limits.body_patience
        return self._unread.due(now)
