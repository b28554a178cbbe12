"""The client for asyncio. Each operation of ``operations.py`` is run in the caller's task."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import httpx

from . import managing
from .aio import AsyncLine, AsyncPollLine, LoopBell, run
from .aleases import AsyncCrew, AsyncLeases
from .amapping import amapped
from .consumer import Consumer
from .errors import ClientClosed
from .facade import declared
from .flow import Flow, OnWait, Tempo
from .managing import Pages, ServerOperations
from .mapping import check_workers
from .operations import QueueOperations
from .options import LeaseOptions
from .push import Packer
from .records import PushReport, Result
from .setup import Setup
from .text import Default
from .values import AsyncValues
from .verbs import Counts

P = ParamSpec("P")
T = TypeVar("T")
Ops = TypeVar("Ops")


def _call(
    operation: Callable[Concatenate[Ops, P], Flow[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """The method that runs an operation."""

    async def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await run(operation(self._operations, *args, **kwargs), self._line)

    return declared(operation, call)


def _list(
    operation: Callable[Concatenate[Ops, P], Pages[T]],
) -> Callable[Concatenate[Any, P], AsyncIterator[T]]:
    """The method that asks for one page after the other, as they are needed."""

    async def listed(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        for page in operation(self._operations, *args, **kwargs):
            for entry in await run(page, self._line):
                yield entry

    return declared(operation, listed, "AsyncIterator")


def _lease(
    operation: Callable[Concatenate[QueueOperations, P], Consumer],
) -> Callable[Concatenate[AsyncRemoteQueue, P], AsyncLeases]:
    """The method that makes a lease iterator of what an operation prepares."""

    def lease(self: AsyncRemoteQueue, /, *args: P.args, **kwargs: P.kwargs) -> AsyncLeases:
        return self._client.open(operation(self._operations, *args, **kwargs))

    return declared(operation, lease, "AsyncLeases")


class AsyncClient:
    """A server, over HTTP, for asyncio; ``async with`` closes it. Else as ``Client``.

    It may be used in several event loops, one after the other or at once: each has connections of its own. A
    lease iterator stays in its loop: used in another one it raises ``OtherLoop``.

    Args:
        url: Where the server is. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        token: Who this is to the server, if that asks for tokens. None: ``DIBS_TOKEN``, else none.
        worker: Who leases, as dead letters show it; at most 255 bytes. None: ``host:pid``.
        patience: For how many seconds a request is sent again while its answer is lost or says "later",
            counted from the first time that it is.
        timeout: Seconds for connecting, and for each step of an answer.
        transport: Instead of the network. It is closed with the client.
        on_wait: Told before a request is sent again: after how many seconds, and why; from any thread.
        default: Makes a JSON value of a value that JSON can't carry.
        tempo: Time and chance, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        worker: str | None = None,
        patience: float = 60.0,
        timeout: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
        on_wait: OnWait | None = None,
        default: Default | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        self.setup = Setup(url, worker, patience, timeout, on_wait, default, tempo, LoopBell, token)
        self._operations = ServerOperations(self.setup)
        self._line = AsyncLine(self.setup.wire, transport)
        self._given = transport
        self._crews: set[AsyncCrew] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            for crew in list(self._crews):
                crew.consumer.jobs.broken = True
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
        await asyncio.gather(*(crew.close() for crew in list(self._crews)))
        await self._line.close()

    def queue(self, name: str = "default") -> AsyncRemoteQueue:
        """The queue of this name. Nothing is asked yet."""
        return AsyncRemoteQueue(self, name)

    queues = _list(ServerOperations.queues)
    define = _call(ServerOperations.define)
    stats = _call(ServerOperations.stats)
    backup = _call(ServerOperations.backup)

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

        def lease(name: str) -> AsyncLeases:
            return self.queue(name).lease(**options) if name == queue else self.queue(name).lease()

        return amapped(lease, function, queue, workers, self.setup, line=self._line)

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

    def open(self, consumer: Consumer) -> AsyncLeases:
        """A lease iterator that is closed with the client."""
        if self._line.closed:
            raise ClientClosed("the client is closed")
        return AsyncLeases(AsyncCrew(consumer, self._line, AsyncPollLine(self._line), self._crews))


class AsyncRemoteQueue:
    """A queue of a server. ``async for value in queue`` takes one value after the other, for good.

    What is taken belongs to the caller: a loop that is left early has lost nothing but its current value.
    Who must not lose work leases it. Every method raises ``ServerRefused`` (its kinds), ``Unreachable`` or
    ``UnexpectedAnswer``.
    """

    def __init__(self, client: AsyncClient, name: str) -> None:
        self._operations = QueueOperations(client.setup, name)
        self._client = client
        self._line = client._line
        self.name = name

    def __repr__(self) -> str:
        return f"<AsyncRemoteQueue {self.name} of {self._client.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._client, self.name)

    def __aiter__(self) -> AsyncIterator[Any]:
        """As ``RemoteQueue.__iter__``."""
        return AsyncValues(self._operations, self._line)

    async def push(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        delay: float = 0.0,
        priority: int = 0,
        chunk: int = 1_000,
    ) -> PushReport:
        """As ``RemoteQueue.push``; the values may come from an asynchronous iterable, too."""
        packer = Packer(key, delay, priority, chunk, default=self._client.setup.default)
        return await run(self._operations.push_any(values, packer), self._line)

    next = _call(QueueOperations.next)
    take = _call(QueueOperations.take)
    lease = _lease(QueueOperations.lease)
    put = _call(QueueOperations.put)
    claim = _call(QueueOperations.claim)
    settle = _call(QueueOperations.settle)
    push_items = _call(QueueOperations.push_items)
    upload = _call(QueueOperations.upload)
    define = _call(managing.define)
    info = _call(managing.info)
    audit = _call(managing.audit)
    stats = _call(managing.stats)
    pause = _call(managing.pause)
    resume = _call(managing.resume)
    close = _call(managing.close)
    retry = _call(managing.retry)
    advance = _call(managing.advance)
    delete = _call(managing.delete)
    items = _list(managing.items)
    history = _list(managing.history)
    item = _call(managing.item)
    redrive = _call(managing.redrive)
    purge = _call(managing.purge)
