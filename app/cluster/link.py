"""A link: one connection from a front to the owner, for one request after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

import httptools

MUCH: Final = 262_144
"""Bytes of an answer that are kept while its client is slow; then nothing more is read."""
FIRST_FINAL: Final = 200
"""From this status on an answer is one; what is below only says that one will come."""


class Lost(Exception):
    """The link broke before the answer was whole. ``begun``: its head had come."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("the connection to the owner was lost")
        self.begun = begun


class Begun(NamedTuple):
    """The head of an answer."""

    status: int
    headers: list[tuple[bytes, bytes]]


class GoOn:
    """The owner wants the body (100 Continue)."""


class Ended:
    """The answer is whole."""


Event = Begun | GoOn | Ended | bytes
"""What comes of an answer, in this order, but that a part of the body is just its bytes."""
GO_ON: Final = GoOn()
ENDED: Final = Ended()


class Link(asyncio.Protocol):
    """One connection. It owns what has come of the answer under way; one task writes, one reads.

    ``idle_since`` (of the loop's time) says when the last answer was whole.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.closed = False
        self.idle_since = 0.0
        self._loop = loop
        self._events: deque[Event] = deque()
        self._size = 0
        self._news: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()
        self._parser: httptools.HttpResponseParser | None = None
        self._bodiless = self._begun = self._whole = self._paused = False
        self._reusable = False
        self._headers: list[tuple[bytes, bytes]] = []

    # -- the request

    def begin(self, method: str, head: bytes) -> None:
        """Send the head of a request; nothing of the answer before must be missing."""
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._begun = self._whole = False
        self._reusable = True
        self._transport.write(head)

    async def write(self, data: bytes) -> None:
        """Send a part of the body, once there is room for it; nothing where the link is lost."""
        await self._room.wait()
        if self.alive:
            self._transport.write(data)

    def end_wait(self) -> None:
        """Say that the client sends nothing more, so that it is answered without waiting."""
        self._reusable = False
        if self.alive and self._transport.can_write_eof():
            self._transport.write_eof()

    def abort(self) -> None:
        """Break the link: nobody wants the answer any more."""
        self._reusable = False
        self._transport.abort()

    @property
    def alive(self) -> bool:
        """Whether something can be sent."""
        return not self.closed and not self._transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether another request may follow: the answer is whole, and both sides go on."""
        return self._reusable and self._whole and self.alive and not self._events

    @property
    def begun(self) -> bool:
        """Whether the head of the answer has come."""
        return self._begun

    # -- the answer

    async def next(self) -> Event:
        """What comes next of the answer.

        Raises:
            Lost: Nothing comes any more.
        """
        while not self._events:
            if self.closed:
                raise Lost(begun=self._begun)
            self._news = self._loop.create_future()
            await self._news
        event = self._events.popleft()
        if isinstance(event, bytes):
            self._size -= len(event)
            if self._paused and self._size < MUCH // 2 and self.alive:
                self._paused = False
                self._transport.resume_reading()
        return event

    def ends_here(self) -> bool:
        """Whether only the end of the answer is left, and has come."""
        if len(self._events) == 1 and self._events[0] is ENDED:
            self._events.clear()
            return True
        return False

    def _add(self, event: Event) -> None:
        self._events.append(event)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    # -- as the transport calls it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read what comes of the answer; what comes where none is due breaks the link."""
        if self._parser is None or self._whole:
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end; who waits is told."""
        self.closed = True
        self._room.set()
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def pause_writing(self) -> None:
        """Let the body wait."""
        self._room.clear()

    def resume_writing(self) -> None:
        """Let the body go on."""
        self._room.set()

    # -- as the parser calls it

    def on_message_begin(self) -> None:
        """Begin the headers anew: those before were of an answer that only announced this one."""
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Tell of the head."""
        assert self._parser is not None  # noqa: S101  # it calls
        status = self._parser.get_status_code()
        if status < FIRST_FINAL:
            self._add(GO_ON)
            return
        self._begun = True
        self._reusable = self._reusable and self._parser.should_keep_alive()
        self._add(Begun(status, self._headers))
        if self._bodiless:
            self._end()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._add(body)
        self._size += len(body)
        if self._size > MUCH and not self._paused and self.alive:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Tell of the end, unless it is that of an announcement."""
        if self._begun and not self._whole:
            self._end()

    def _end(self) -> None:
        self._whole = True
        self.idle_since = self._loop.time()
        self._add(ENDED)
