"""The client for asyncio: what ``client.py`` has, awaited."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from . import calls
from .aio import AsyncLine, AsyncPollLine, run
from .aleases import AsyncCrew
from .amapping import amapped
from .answers import UNCHANGED, Backup, QueueInfo, QueueSettings, Unchanged
from .aqueue import AsyncRemoteQueue
from .errors import ClientClosed
from .flow import Call, Flow, OnWait, Tempo, persist
from .held import Counts
from .mapping import check_workers
from .records import Result
from .setup import LeaseOptions, Setup
from .text import Default

T = TypeVar("T")


class AsyncClient:
    """A server, over HTTP, for asyncio; ``async with`` closes it. Else as ``Client``.

    It may be used in several event loops, one after the other or at once: each has connections of its own. A
    lease iterator stays in its loop: used in another one it raises ``OtherLoop``.

    Args:
        url: Where the server is. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        worker: Who leases, as dead letters show it; at most 255 bytes. None: ``host:pid``.
        patience: For how many seconds a request is sent again while its answer is lost or says "later".
        timeout: Seconds for connecting, and for each step of an answer.
        transport: Instead of the network. It is closed with the client.
        on_wait: Told before a request is sent again: after how many seconds, and why; from any thread.
        tempo: Time and chance, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        worker: str | None = None,
        patience: float = 60.0,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        on_wait: OnWait | None = None,
        default: Default | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        self.setup = Setup(
            url,
            worker=worker,
            patience=patience,
            timeout=timeout,
            on_wait=on_wait,
            default=default,
            tempo=tempo,
        )
        self._given = transport
        self._line = AsyncLine(self.setup.wire, transport)
        self.crews: set[AsyncCrew] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            for crew in list(self.crews):
                crew.consumer.hand.broken = True
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncClient of {self.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return self.setup.again(type(self), self._given)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.setup.wire.url

    async def close(self) -> None:
        """Close its lease iterators (each gives back what it holds), then its connections."""
        await asyncio.gather(*(crew.close() for crew in list(self.crews)))
        await self._line.close()

    def queue(self, name: str = "default") -> AsyncRemoteQueue:
        """The queue of this name. Nothing is asked yet."""
        return AsyncRemoteQueue(self, name)

    async def queues(self) -> AsyncIterator[QueueInfo]:
        """As ``Client.queues``."""
        after: str | None = None
        while True:
            found, after = await self.ask(calls.queues(after))
            for info in found:
                yield info
            if after is None:
                return

    async def define(
        self,
        name: str,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> QueueInfo:
        """As ``Client.define``."""
        return await self.ask(calls.define(name, source, args, settings, reset=reset, confirm=confirm))

    async def stats(self) -> dict[str, Any]:
        """As ``Client.stats``."""
        return await self.ask(calls.stats(None))

    async def backup(self) -> Backup:
        """As ``Client.backup``."""
        return await self.ask(calls.backup())

    def map(
        self,
        function: Callable[[Any], Any] | Callable[[Any], Awaitable[Any]],
        queue: str,
        *,
        workers: int = 8,
        **options: Unpack[LeaseOptions],
    ) -> AsyncIterator[tuple[Any, Any]]:
        """As ``Client.map``, by so many tasks; the function may be a coroutine function."""
        check_workers(workers)
        return amapped(self, function, queue, workers=workers, options=options)

    async def work(
        self,
        function: Callable[[Any], Any] | Callable[[Any], Awaitable[Any]],
        queue: str,
        results: str | None = None,
        **options: Unpack[LeaseOptions],
    ) -> Counts:
        """As ``Client.work``; the function may be a coroutine function. One call at a time."""
        if results is not None:
            await self.queue(results).info()
        async with self.queue(queue).lease(**options) as leases:
            async for job in leases:
                with job:
                    value = function(job.value)
                    value = await value if inspect.isawaitable(value) else value
                    job.ack(() if results is None else Result(results, value))
        return leases.counts

    # -- for its queues

    async def ask(self, call: Call[T]) -> T:
        """Make one call, as often as it takes."""
        return await self.do(persist(call, self.setup.terms))

    async def do(self, flow: Flow[T], values: Iterable[Any] | AsyncIterable[Any] = ()) -> T:
        """Run a flow in this task."""
        return await run(flow, self._line, values=values)

    def lines(self) -> tuple[AsyncLine, AsyncPollLine]:
        """The line for requests, and a new one for long polls."""
        if self._line.closed:
            raise ClientClosed("the client is closed")
        return self._line, AsyncPollLine(self._line)
