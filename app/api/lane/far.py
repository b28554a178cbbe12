"""A front's end of the frames: its clients' hot calls go to the owner by one connection."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from ...cluster.reached import NOT_TAKEN
from .frames import (
    ANSWER,
    CALL,
    DROP,
    END,
    LOSE,
    MUCH,
    OPEN,
    ORDINARY,
    SWITCHED,
    FrameReader,
    Gathered,
    Hello,
    Malformed,
)
from .framing import END as END_OF_HEAD

if TYPE_CHECKING:
    from ...cluster.office import Office as Front
    from ...ledger.terms import Owner
    from ..context import Context

PATIENCE: Final = 2.0
"""Seconds that an owner has to take the upgrade."""
AGAIN: Final = 0.5
"""Seconds until an owner that did not take it is asked again."""

log = logging.getLogger("dibs.cluster")


class Calling(Protocol):
    """A connection of a client, as the far end answers it. ``repeats``: its call may be made twice."""

    repeats: bool

    def passed(self, answer: bytes) -> None:
        """Here is the whole response."""

    def ordinary(self) -> None:
        """Nothing was done: ask the ordinary way."""

    def far_lost(self) -> None:
        """The owner was lost; nobody knows what was done."""

    def lose(self) -> None:
        """The caller is not let in any more."""


class Reaches(Protocol):
    """The lane, as it is told of frames."""

    context: Context

    def reach(self, far: Far | None) -> None:
        """Pass hot calls on by these frames; None: there are none now."""


class Far(asyncio.Protocol):
    """One connection to the owner of a term. It owns the slots: which client's connection has which number.

    ``taken`` is set once the owner has taken the upgrade, ``closed`` once the connection is lost.
    ``crowded``: the owner does not read what was passed on, so that calls go the ordinary way.
    """

    def __init__(self, hello: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.taken: asyncio.Future[bool] = loop.create_future()
        self.closed = asyncio.Event()
        self.crowded = False
        self._hello = hello
        self._loop = loop
        self._reader = FrameReader()
        self._begin = b""
        self._slots: dict[int, Calling] = {}
        self._waiting: set[int] = set()
        self._next = 0
        self._finishing = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask for the upgrade."""
        self._transport = transport
        self._gathered = Gathered(transport, self._loop)
        transport.set_write_buffer_limits(high=MUCH)
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        """Hear what the owner says."""
        if not self.taken.done():
            self._begin += data
            if END_OF_HEAD not in self._begin:
                return
            taken = self._begin.startswith(SWITCHED)
            self.taken.set_result(taken)
            if not taken:
                self.close()
                return
            data = self._begin[len(SWITCHED) :]
        try:
            for number, kind, said in self._reader.feed(data):
                self._hear(number, kind, said)
        except Malformed:
            self.close()

    def _hear(self, number: int, kind: int, said: bytes) -> None:
        calling = self._slots.get(number)
        if calling is None:
            return  # its client has gone
        if kind == LOSE:
            calling.lose()
        elif number in self._waiting:
            self._waiting.discard(number)
            if kind == ANSWER:
                calling.passed(said)
            elif kind == ORDINARY:
                calling.ordinary()
            else:
                raise Malformed(f"a frame of kind {kind}")
            if self._finishing and not self._waiting:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The owner is lost: who waits is told."""
        if not self.taken.done():
            self.taken.set_result(False)
        self.closed.set()
        waiting = [self._slots[number] for number in self._waiting if number in self._slots]
        self._waiting.clear()
        self._slots.clear()
        for calling in waiting:
            calling.far_lost()

    def pause_writing(self) -> None:
        """The owner does not read."""
        self.crowded = True

    def resume_writing(self) -> None:
        """The owner reads again."""
        self.crowded = False

    def open(self, calling: Calling, peer: Any) -> int:
        """A number for a connection of a client."""
        self._next += 1
        self._slots[self._next] = calling
        self._gathered.say(self._next, OPEN, json.dumps(peer and list(peer[:2])).encode())
        return self._next

    def call(self, number: int, data: bytes) -> None:
        """Pass a call on; the connection of the client is told what came of it."""
        self._waiting.add(number)
        self._gathered.say(number, CALL, data)

    def end(self, number: int) -> None:
        """The client sends nothing more: its call is answered without waiting."""
        if number in self._waiting:
            self._gathered.say(number, END)

    def drop(self, number: int) -> None:
        """The client has gone."""
        if self._slots.pop(number, None) is not None:
            self._waiting.discard(number)
            self._gathered.say(number, DROP)

    def finish(self) -> None:
        """Close as soon as all calls are answered, which they are without waiting: this server goes down."""
        self._finishing = True
        for number in self._waiting:
            self._gathered.say(number, END)
        self._loop.call_later(PATIENCE if self._waiting else 0.0, self.close)

    def leave(self) -> None:
        """Another server owns: a call that may be made twice is made there at once.

        The others may still be answered here, until this is closed.
        """
        for number in list(self._waiting):
            calling = self._slots[number]
            if calling.repeats:
                self.drop(number)
                calling.far_lost()
        self._loop.call_later(PATIENCE, self.close)

    def close(self) -> None:
        """Close."""
        if self._transport is not None:
            self._transport.abort()


class Reaching:
    """Keeps a connection to whoever owns, while another server does. Lives on the event loop, on a task.

    It sets and resets the ``far`` of the lane.
    """

    def __init__(self, lane: Reaches, front: Front) -> None:
        self._lane = lane
        self._front = front
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to look for the owner."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Leave it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        seat = self._front.seat
        while True:
            owner = seat.owner()
            if owner is None or not self._lane.context.elsewhere:
                await seat.news()
                continue
            try:
                await self._serve(owner)
            except (OSError, TimeoutError) as error:
                self._front.reached.failed(owner, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN):
                    await seat.news()

    async def _serve(self, owner: Owner) -> None:
        """Pass calls on to this owner, until it is lost, or another one has come."""
        loop, url, seat = asyncio.get_running_loop(), urlsplit(owner.url), self._front.seat
        hello = Hello(owner.term, seat.me, self._front.exposed)
        request = hello.request(self._front.secret(), url.netloc)
        far = Far(request, loop)
        try:
            async with asyncio.timeout(PATIENCE):
                tls = self._front.pool.tls if url.scheme == "https" else None
                await loop.create_connection(lambda: far, url.hostname or "", url.port or 0, ssl=tls)
                if not await far.taken:
                    self._front.reached.failed(owner, NOT_TAKEN)
                    return
            self._front.reached.well()
            self._lane.reach(far)
            await self._until_over(far, owner)
        except asyncio.CancelledError:
            far.finish()
            raise
        except BaseException:
            far.close()
            raise
        finally:
            self._lane.reach(None)
        far.leave()

    async def _until_over(self, far: Far, owner: Owner) -> None:
        """Wait until the owner is lost, or another one has come."""
        seat = self._front.seat
        closed = asyncio.ensure_future(far.closed.wait())
        try:
            while not closed.done() and seat.owner() == owner and not seat.owns():
                news = asyncio.ensure_future(seat.news())
                try:
                    await asyncio.wait((closed, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
        finally:
            closed.cancel()
