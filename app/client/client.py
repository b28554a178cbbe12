"""The client for threads. Each operation of ``operations.py`` is run on the caller's thread."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

import httpx

from . import managing
from .consumer import Consumer
from .errors import ClientClosed
from .facade import declared
from .flow import Flow, OnWait, Tempo
from .leases import Crew, Leases
from .managing import Pages, ServerOperations
from .mapping import check_workers, mapped
from .operations import QueueOperations
from .options import LeaseOptions
from .records import Result
from .setup import Setup
from .text import Default
from .threads import Line, PollLine, ThreadBell, run
from .values import Values
from .verbs import Counts

P = ParamSpec("P")
T = TypeVar("T")
Ops = TypeVar("Ops")


def _call(operation: Callable[Concatenate[Ops, P], Flow[T]]) -> Callable[Concatenate[Any, P], T]:
    """The method that runs an operation."""

    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return run(operation(self._operations, *args, **kwargs), self._line)

    return declared(operation, call)


def _list(operation: Callable[Concatenate[Ops, P], Pages[T]]) -> Callable[Concatenate[Any, P], Iterator[T]]:
    """The method that asks for one page after the other, as they are needed."""

    def listed(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        for page in operation(self._operations, *args, **kwargs):
            yield from run(page, self._line)

    return declared(operation, listed, "Iterator")


def _lease(
    operation: Callable[Concatenate[QueueOperations, P], Consumer],
) -> Callable[Concatenate[RemoteQueue, P], Leases]:
    """The method that makes a lease iterator of what an operation prepares."""

    def lease(self: RemoteQueue, /, *args: P.args, **kwargs: P.kwargs) -> Leases:
        return self._client.open(operation(self._operations, *args, **kwargs))

    return declared(operation, lease, "Leases")


class Client:
    """A server, over HTTP. Threads may share it; leaving the ``with`` closes it.

    So may processes: a forked child gets connections and keys of its own, and so does one that it is pickled
    for (by its URL). What is leased stays in its process: in a child the lease iterators and jobs of the
    parent raise ``ForkedClient``, and closing them there does nothing.

    Every request that changes something carries an Idempotency-Key and is sent again with it, so that a lost
    reply, a full disk or a restart of the server neither loses nor doubles anything. The keys are UUIDs, of
    sessions whose requests are counted where the server does that (``Idempotency-Sequence``).

    Args:
        url: Where the server is. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        token: Who this is to the server, if that asks for tokens. None: ``DIBS_TOKEN``, else none.
        worker: Who leases, as dead letters show it; at most 255 bytes. None: ``host:pid``.
        patience: For how many seconds a request is sent again while its answer is lost or says "later",
            counted from the first time that it is. Then ``Unreachable`` or ``Unavailable`` is raised. 0: one
            try. A server that this client never reached is looked for at most 5 seconds.
        timeout: Seconds for connecting, and for each step of an answer.
        transport: Instead of the network: tests, proxies. It is closed with the client.
        on_wait: Told before a request is sent again: after how many seconds, and why; from any thread. None:
            the logger ``dibs.client`` warns, once for each request.
        default: Called with a value that JSON can't carry, as ``json.dumps`` does; returns one that it can
            (``default=str``), or raises TypeError. For everything that is pushed, results too.
        tempo: Time and chance, for tests.

    Raises:
        ValueError: The URL is none.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        worker: str | None = None,
        patience: float = 60.0,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
        on_wait: OnWait | None = None,
        default: Default | None = None,
        tempo: Tempo | None = None,
    ) -> None:
        self.setup = Setup(url, worker, patience, timeout, on_wait, default, tempo, ThreadBell, token)
        self._operations = ServerOperations(self.setup)
        self._line = Line(self.setup.wire, transport)
        self._given = transport
        self._leases: weakref.WeakSet[Leases] = weakref.WeakSet()
        self._hang_up = weakref.finalize(self, self._line.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            for leases in list(self._leases):
                leases.broke()
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return self.setup.again(type(self), self._given)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self.setup.wire.url

    def close(self) -> None:
        """Close its lease iterators (each gives back what it holds), then its connections."""
        open_ones = list(self._leases)
        for leases in open_ones:
            leases.end()
        for leases in open_ones:
            leases.close()
        self._hang_up()

    def reached(self) -> None:
        """Count the server as reached already, so that it is waited for with all of ``patience``."""
        self.setup.terms.contact.made = True

    def queue(self, name: str = "default") -> RemoteQueue:
        """The queue of this name. Nothing is asked yet."""
        return RemoteQueue(self, name)

    queues = _list(ServerOperations.queues)
    define = _call(ServerOperations.define)
    stats = _call(ServerOperations.stats)
    backup = _call(ServerOperations.backup)

    def map(
        self,
        function: Callable[[Any], Any],
        queue: str,
        *,
        workers: int = 8,
        processes: bool = False,
        **options: Unpack[LeaseOptions],
    ) -> Iterator[tuple[Any, Any]]:
        """Call a function with every value of a queue, several at a time; yield ``(input, result)``.

        It ends when the queue is exhausted, or with ``until_empty=True`` when nothing is left in it. The
        results are kept in a queue made for them, each in the transaction of its ack: none is lost, or
        there twice, when a worker is killed. That queue is deleted at the end. A loop that is left early
        gives back the jobs that were not begun; results that were not read stay in their queue, which the
        log names.

        Args:
            function: Called with each value. An exception nacks the item; it is tried again until it is dead.
            queue: Whose values.
            workers: How many at a time.
            processes: Work in processes, for what needs more than one core, and not on threads. The function
                has to be one that can be pickled (of a module, no lambda), and the script's own main part has
                to stand under ``if __name__ == "__main__":``.
            options: Those of ``RemoteQueue.lease``.

        Raises (from ``next``):
            WorkersDied: Every process was killed.
            And what ``Leases`` raises.
        """
        check_workers(workers)
        return mapped(
            function,
            queue,
            workers,
            processes=processes,
            lease=partial(self.queue(queue).lease, **options),
            read=lambda results: self.queue(results).lease(),
            setup=self.setup,
            line=self._line,
        )

    def work(
        self,
        function: Callable[[Any], Any],
        queue: str,
        results: str | None = None,
        **options: Unpack[LeaseOptions],
    ) -> Counts:
        """Call a function with every value of a queue, one at a time; with ``results`` keep what it returns.

        An exception nacks the item. It ends when the queue is exhausted. The queue of the results stays open:
        close it (``client.queue(results).close()``) so that who reads it comes to an end.

        Args:
            function: Called with each value, on this thread.
            queue: Whose values.
            results: The queue, which must be there, that gets what the function returns, in the transaction
                of the ack. None: none does.
            options: Those of ``RemoteQueue.lease``: ``batch``, ``ttl``, ``prefetch``, ``in_hand``, ``wait``,
                ``on_error``, ``on_lost``, ``grace``, ``until_empty``.

        Returns:
            What became of the jobs: ``begun``, ``acked``, ``nacked``, ``dead``, ``released``, ``lost``, each
            a number; an item that was tried three times counts three times.

        Raises:
            QueueUnknown: There is no queue of the name of ``results``; nothing was leased.
            And what ``Leases`` raises.
        """
        if results is not None:
            self.queue(results).info()
        with self.queue(queue).lease(**options) as leases:
            for job in leases:
                with job:
                    value = function(job.value)
                    job.ack(() if results is None else Result(results, value))
        return leases.counts

    def open(self, consumer: Consumer) -> Leases:
        """A lease iterator that is closed with the client."""
        if self._line.closed:
            raise ClientClosed("the client is closed")
        made = Leases(Crew(consumer, self._line, PollLine(self.setup.wire, self._given)), self)
        self._leases.add(made)
        return made


class RemoteQueue:
    """A queue of a server. ``for value in queue`` takes one value after the other, for good.

    What is taken belongs to the caller: a loop that is left early has lost nothing but its current value.
    Who must not lose work leases it. Every method raises ``ServerRefused`` (its kinds), ``Unreachable`` or
    ``UnexpectedAnswer``.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._operations = QueueOperations(client.setup, name)
        self.name = name
        self._client = client
        self._line = client._line

    def __repr__(self) -> str:
        return f"<RemoteQueue {self.name} of {self._client.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._client, self.name)

    def __iter__(self) -> Iterator[Any]:
        """Take one value after the other until the queue is exhausted; it waits while the queue is empty.

        Each is a request, but where more than eight callers want a value at once, they share requests.
        """
        return Values(self._operations, self._line, self._client)

    next = _call(QueueOperations.next)
    take = _call(QueueOperations.take)
    lease = _lease(QueueOperations.lease)
    push = _call(QueueOperations.push)
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
