"""How long a connection waits for its client: to send what is waited for, and to read its answer."""

from __future__ import annotations

import asyncio

from ...queue.limits import Limits
from .intake import Intake
from .timer import Look, Timer, Timers


class Unread:
    """Measures how long a client has read nothing of its answer."""

    __slots__ = ("_since", "_size", "_transport", "limits")

    def __init__(self, transport: asyncio.WriteTransport, limits: Limits) -> None:
        self._transport = transport
        self.limits = limits
        self._size = 0
        self._since = 0.0

    def due(self, now: float) -> float:
        """When its time is over; later than ``now`` where it reads, or has read all."""
        size = self._transport.get_write_buffer_size()
        if not size or size != self._size:
            self._size, self._since = size, now
        return self._since + self.limits.body_patience


class Patience:
    """Nothing has to come for ``seconds`` while something is waited for, counted from ``intake.since``.

    ``look`` is called when that may be over; it gives the time at which to call it again.
    """

    __slots__ = ("_intake", "_loop", "_timer", "_unread", "seconds")

    def __init__(
        self, intake: Intake, unread: Unread, timers: Timers, look: Look, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._intake = intake
        self._unread = unread
        self._loop = loop
        self.seconds: float = unread.limits.head_patience
        self._timer = Timer(timers, look, intake.since + self.seconds)

    def begin(self, seconds: float) -> None:
        """Wait from now on, for so many seconds."""
        self._intake.since, self.seconds = self._loop.time(), seconds
        self._timer.by(self._intake.since + seconds)

    def due(self, now: float, *, waiting: bool) -> float:
        """When it is over, of a connection that waits for something, or whose client has to read."""
        return self._intake.since + self.seconds if waiting else self._unread.due(now)

    def end(self) -> None:
        """Look no more."""
        self._timer.stop()
