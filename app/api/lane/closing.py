"""The end of a connection whose client may still be sending, or reading its answer."""

from __future__ import annotations

import asyncio
from collections.abc import MutableSet
from typing import Any, Final

from ...queue.limits import Limits
from .timer import Timer, Timers

SECONDS: Final = 2.0
MOST_BYTES: Final = 8 * 1024 * 1024


class Unread:
    """Measures how long a client has read nothing of its answer."""

    __slots__ = ("_limits", "_since", "_size", "_transport")

    def __init__(self, transport: asyncio.WriteTransport, limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._size = 0
        self._since = 0.0

    def due(self, now: float) -> float:
        """When its time is over; later than ``now`` where it reads, or has read all."""
        size = self._transport.get_write_buffer_size()
        if not size or size != self._size:
            self._size, self._since = size, now
        return self._since + self._limits.body_patience


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
