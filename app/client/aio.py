"""The driver for asyncio: it awaits the steps that a flow yields."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar

import httpx

from ..iterators import fork
from .errors import ClientClosed, ForkedClient, OtherLoop
from .flow import Effect, Flow, Gather, Listen, Lost, Reply, Request, Send, Sleep, Steps
from .wire import Wire

T = TypeVar("T")
_CLOSING = "the lease iterator is being closed"


class LoopBell:
    """A bell that tasks of one event loop listen to; any thread may ring it."""

    def __init__(self) -> None:
        self.rings = 0
        self._loop = asyncio.get_running_loop()
        self._listeners: set[asyncio.Future[None]] = set()
        self._process = fork.process()

    @property
    def here(self) -> bool:
        """Whether it rings in this process, and on the event loop that runs."""
        return fork.process() is self._process and asyncio.get_running_loop() is self._loop

    def ring(self) -> None:
        """Wake every task that listens."""
        self.rings += 1
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, seen: int, seconds: float | None) -> None:
        """Wait until the bell has rung since ``seen``."""
        if self.rings != seen:
            return
        told = self._loop.create_future()
        self._listeners.add(told)
        try:
            await asyncio.wait((told,), timeout=seconds)
        finally:
            self._listeners.discard(told)
            told.cancel()

    def _wake(self) -> None:
        for told in self._listeners:
            if not told.done():
                told.set_result(None)


class AsyncLine:
    """Sends requests over a transport. Tasks of several event loops, and of child processes, may share it.

    A connection lives in one event loop, so each loop gets connections of its own. They are closed with the
    line, or at the end of their loop (``asyncio.run`` closes the asynchronous generators that are left).

    Args:
        wire: The server's URL and the headers of requests.
        given: A transport to use instead of the line's own. It stays in the loop that uses it first.
    """

    def __init__(self, wire: Wire, given: httpx.AsyncBaseTransport | None = None) -> None:
        self.wire = wire
        self.closed = False
        self._given = given
        self._forked = False
        self._transports: dict[asyncio.AbstractEventLoop, _Dialled] = {}
        fork.watch(self)

    async def send(self, request: Request) -> Reply | Lost:
        """Send one request once; return its reply, or how it was lost."""
        if self.closed:
            raise ClientClosed("the client is closed")
        loop = asyncio.get_running_loop()
        transport, _ = self._transports.get(loop) or await self._dial(loop)
        try:
            response = await transport.handle_async_request(self.wire.write(request, {}))
            try:
                lost = self.wire.stranger(request, response)
                if lost is not None:
                    return lost  # closed with its body unread, so that nobody is given the connection again
                body = await response.aread()
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            return self.wire.lost(error)
        return Reply(response.status_code, response.headers, body)

    async def close(self) -> None:
        """Close the line's connections; requests sent afterwards raise ``ClientClosed``."""
        self.closed = True
        here = asyncio.get_running_loop()
        mine = self._transports.pop(here, None)
        for loop, dialled in self._transports.items():
            with suppress(RuntimeError):  # that loop is closed: there is nobody to close them
                loop.call_soon_threadsafe(partial(_close_there, loop, dialled))
        if mine is not None:
            await mine.open.aclose()
        elif self._given is not None and not self._transports and not self._forked:
            await self._given.aclose()  # it was never used

    async def _dial(self, loop: asyncio.AbstractEventLoop) -> _Dialled:
        if self._given is not None:
            self._refuse_given()
        for ended in [one for one in list(self._transports) if one.is_closed()]:
            self._transports.pop(ended, None)
        transport = self._given or self.wire.dial_async()
        dialled = self._transports[loop] = _Dialled(transport, _kept_open(transport))
        await anext(dialled.open)
        return dialled

    def _refuse_given(self) -> None:
        given = "the transport of this client was given to it in"
        if self._forked:
            raise ForkedClient(f"{given} the parent process (make a client in this process)")
        if self._transports:
            raise OtherLoop(f"{given} another event loop (make a client in this one)")

    def _after_fork(self) -> None:
        """Start anew in a child process. The loops and connections are the parent's; none is closed."""
        self._forked = True
        _buried.append(self._transports)
        self._transports = {}


_buried: Final[list[object]] = []
"""What the parent has open, in a child: kept, since to end it would reach into the parent's event loop."""


class _Dialled(NamedTuple):
    """The transport of one event loop, and the generator whose end closes it."""

    transport: httpx.AsyncBaseTransport
    open: AsyncGenerator[None, None]


async def _kept_open(transport: httpx.AsyncBaseTransport) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await transport.aclose()


def _close_there(loop: asyncio.AbstractEventLoop, dialled: _Dialled) -> None:
    loop.create_task(dialled.open.aclose())  # it is held by what it waits for


class AsyncPollLine:
    """Sends long polls over a line; their wait can be ended from outside."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line
        self._aborted = False
        self._poll: asyncio.Task[Reply | Lost] | None = None

    async def send(self, request: Request) -> Reply | Lost:
        """Send one request, unless the line was aborted; an aborted request counts as lost."""
        if self._aborted:
            return Lost(ClientClosed(_CLOSING), reached=False, aborted=True)
        self._poll = asyncio.create_task(self._line.send(request))
        try:
            await asyncio.wait((self._poll,))
        finally:
            self._poll.cancel()
        if self._poll.cancelled():
            return Lost(ClientClosed(_CLOSING), aborted=True)
        return self._poll.result()

    def abort(self) -> None:
        """End the poll that waits, and every later one. Call it on the event loop."""
        self._aborted = True
        if self._poll is not None:
            self._poll.cancel()


async def run(
    flow: Flow[T],
    line: AsyncLine,
    *,
    poll: AsyncPollLine | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Do the steps of a flow until it returns. In a child process, no flow of the parent goes on."""
    steps = Steps(flow)
    while (effect := steps.next()) is not None:
        try:
            steps.done(await _do(effect, line, poll or line, sleep))
        except BaseException as error:
            steps.failed(error)
    return steps.result


async def _do(
    effect: Effect,
    line: AsyncLine,
    poll: AsyncLine | AsyncPollLine,
    sleep: Callable[[float], Awaitable[None]],
) -> Any:
    if isinstance(effect, Send):
        return await (poll if effect.abortable else line).send(effect.request)
    if isinstance(effect, Sleep):
        return await sleep(effect.seconds)
    if isinstance(effect, Gather):
        return await _gather(effect)
    assert isinstance(effect, Listen)  # noqa: S101
    assert isinstance(effect.bell, LoopBell)  # noqa: S101
    return await effect.bell.wait(effect.seen, effect.seconds)


async def _gather(effect: Gather) -> bool:
    source = effect.source
    if isinstance(source, AsyncIterator):
        async for value in source:
            if effect.into(value):
                return True
        return False
    return any(effect.into(value) for value in source)
