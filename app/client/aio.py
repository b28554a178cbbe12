"""The driver for asyncio: does what flows ask for, and awaits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import httpx

from .errors import ClientClosed
from .flow import Effect, Flow, Gather, Listen, Lost, Reply, Request, Send, Sleep
from .wire import Wire

T = TypeVar("T")
_CLOSING = "the lease iterator is being closed"


class LoopBell:
    """A bell that tasks of one event loop listen to; any thread may ring it."""

    def __init__(self) -> None:
        self.rings = 0
        self._loop = asyncio.get_running_loop()
        self._listeners: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake everyone who listens."""
        self.rings += 1
        with suppress(RuntimeError):  # the loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(self._wake)

    async def wait(self, seen: int, seconds: float | None) -> None:
        """Wait until it has rung since ``seen``."""
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
    """Sends requests over a transport. Tasks may share it."""

    def __init__(self, wire: Wire, transport: httpx.AsyncBaseTransport) -> None:
        self.wire = wire
        self.transport = transport
        self.closed = False

    async def send(self, request: Request) -> Reply | Lost:
        """One request, one try."""
        if self.closed:
            raise ClientClosed("the client is closed")
        try:
            response = await self.transport.handle_async_request(self.wire.write(request, {}))
            try:
                body = await response.aread()
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            return self.wire.lost(error)
        return self.wire.read(response, body)

    async def close(self) -> None:
        """Close its connections; what is asked afterwards raises ``ClientClosed``."""
        self.closed = True
        await self.transport.aclose()


class AsyncPollLine(AsyncLine):
    """A line for long polls, whose wait can be ended."""

    def __init__(self, wire: Wire, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(wire, transport)
        self._aborted = False
        self._poll: asyncio.Task[Reply | Lost] | None = None

    async def send(self, request: Request) -> Reply | Lost:
        """One request, unless the line was aborted; aborted, it is as good as lost."""
        if self._aborted:
            return Lost(ClientClosed(_CLOSING), reached=False, aborted=True)
        self._poll = asyncio.create_task(super().send(request))
        try:
            await asyncio.wait((self._poll,))
        finally:
            self._poll.cancel()
        if self._poll.cancelled():
            return Lost(ClientClosed(_CLOSING), aborted=True)
        return self._poll.result()

    def abort(self) -> None:
        """End the poll that waits, and every later one. On the event loop."""
        self._aborted = True
        if self._poll is not None:
            self._poll.cancel()


async def run(
    flow: Flow[T],
    line: AsyncLine,
    *,
    poll: AsyncLine | None = None,
    values: AsyncIterable[Any] | Iterable[Any] = (),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Do what a flow asks for until it returns."""
    source = aiter(values) if isinstance(values, AsyncIterable) else iter(values)
    step: Callable[[], Effect] = partial(next, flow)
    while True:
        try:
            effect = step()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            step = partial(flow.send, await _do(effect, line, poll or line, source, sleep))
        except BaseException as error:  # an interrupt too: the flow leaves things as they should be
            step = partial(flow.throw, error)


async def _do(
    effect: Effect,
    line: AsyncLine,
    poll: AsyncLine,
    source: AsyncIterator[Any] | Iterator[Any],
    sleep: Callable[[float], Awaitable[None]],
) -> Any:
    if isinstance(effect, Send):
        return await (poll if effect.abortable else line).send(effect.request)
    if isinstance(effect, Sleep):
        return await sleep(effect.seconds)
    if isinstance(effect, Gather):
        return await _gather(effect, source)
    assert isinstance(effect, Listen)  # noqa: S101
    assert isinstance(effect.bell, LoopBell)  # noqa: S101
    return await effect.bell.wait(effect.seen, effect.seconds)


async def _gather(effect: Gather, source: AsyncIterator[Any] | Iterator[Any]) -> bool:
    if isinstance(source, AsyncIterator):
        async for value in source:
            if effect.into(value):
                return True
        return False
    return any(effect.into(value) for value in source)
