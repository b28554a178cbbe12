"""The end of a connection whose client may still be sending, or reading its answer."""

from __future__ import annotations

import asyncio
from collections.abc import MutableSet
from typing import Any, Final

from .patience import Unread
from .timer import Timer, Timers

SECONDS: Final = 2.0
MOST_BYTES: Final = 8 * 1024 * 1024
GOODBYE: Final = 0.5
"""Seconds that a client has to end its side of TLS as the server goes down."""


class Departure:
    """How a connection ends: at once, or where its client may still be sending or reading, when that leaves.

    ``linger``: the client may still be sending when it has its last answer. ``stopping``: the server goes
    down. ``connections`` are those that the server ends then.
    """

    __slots__ = ("_connections", "_loop", "_timers", "_transport", "_unread", "linger", "secure", "stopping")

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: MutableSet[Any],
        unread: Unread,
        timers: Timers,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.linger = self.stopping = False
        self.secure = transport.get_extra_info("sslcontext") is not None
        self._transport = transport
        self._connections = connections
        self._unread = unread
        self._timers = timers
        self._loop = loop

    def at_once(self, *, sending: bool) -> bool:
        """Close now, unless the client is ``sending``, or has not read all; return whether that is done."""
        done = self.stopping or not (sending or self._transport.get_write_buffer_size())
        if done:
            self.close()
        return done

    def close(self) -> None:
        """Close now. As the server goes down, a client under TLS that says no goodbye is not waited for."""
        self._transport.close()
        if self.secure and self.stopping:
            self._loop.call_later(GOODBYE, self._transport.abort)

    def wait(self) -> None:
        """Close when the client leaves, or after a while."""
        Closing(self._transport, self._connections, self._unread, self._timers, self._loop.time())


class Closing(asyncio.Protocol):
    """Takes over after the last answer: what still comes is thrown away, until the client leaves.

    To close at once would reset the connection under a client that is still sending, and it would never read
    that answer. ``connections`` are those that the server ends when it goes down.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        connections: MutableSet[Any],
        unread: Unread,
        timers: Timers,
        now: float,
    ) -> None:
        self.transport = transport
        self._connections = connections
        self._unread = unread
        self._thrown = 0
        self._flushed = False
        transport.set_protocol(self)
        connections.add(self)
        if transport.can_write_eof():
            transport.write_eof()
        self._timer = Timer(timers, self._look, now + SECONDS)

    def data_received(self, data: bytes) -> None:
        """Drop the bytes."""
        self._thrown += len(data)
        if self._thrown > MOST_BYTES:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        self._timer.stop()
        self._connections.discard(self)

    def shutdown(self) -> None:
        """The server goes down."""
        self.transport.close()

    def _look(self, now: float) -> float:
        if self.transport.get_write_buffer_size():
            if self._unread.due(now) <= now:
                self.transport.abort()
        elif self._flushed:
            self.transport.close()
        else:
            self._flushed = True  # it has as long to read the rest
        return now + SECONDS
