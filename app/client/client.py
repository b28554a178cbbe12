"""The client for threads."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from . import calls
from .answers import UNCHANGED, Backup, QueueInfo, QueueSettings, Unchanged
from .errors import ClientClosed
from .flow import Call, Flow, OnWait, Tempo, persist
from .held import Counts
from .leases import Leases
from .mapping import check_workers, mapped
from .queue import RemoteQueue
from .records import Result
from .setup import LeaseOptions, Setup
from .text import Default
from .threads import Line, PollLine, run

T = TypeVar("T")


class Client:
    """A server, over HTTP. Threads may share it; leaving the ``with`` closes it.

    So may processes: a forked child gets connections and keys of its own, and so does one that it is pickled
    for (by its URL). What is leased stays in its process: in a child the lease iterators and jobs of the
    parent raise ``ForkedClient``, and closing them there does nothing.

    Every request that changes something carries an Idempotency-Key of its own (a UUID) and is sent again with
    it, so that a lost reply, a full disk or a restart of the server neither loses nor doubles anything.

    Args:
        url: Where the server is. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        worker: Who leases, as dead letters show it; at most 255 bytes. None: ``host:pid``.
        patience: For how many seconds a request is sent again while its answer is lost or says "later". Then
            ``Unreachable`` or ``Unavailable`` is raised. 0: one try. A server that this client never reached
            is looked for at most 5 seconds.
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
        worker: str | None = None,
        patience: float = 60.0,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
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
        self._line = Line(self.setup.wire, transport)
        self._leases: weakref.WeakSet[Leases] = weakref.WeakSet()
        self._hang_up = weakref.finalize(self, self._line.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    def queues(self) -> Iterator[QueueInfo]:
        """All queues, by name."""
        after: str | None = None
        while True:
            found, after = self.ask(calls.queues(after))
            yield from found
            if after is None:
                return

    def define(
        self,
        name: str,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> QueueInfo:
        """Define a queue, or change it: what is not named stays as it is.

        Args:
            name: Its name.
            source: One of the built-in sources. None: producers push. Not named: as it is; for a new queue,
                producers push.
            args: The source's arguments.
            settings: A mapping, such as ``{"max_attempts": 3, "backoff": 0.5}``, or a ``QueueSettings``. Each
                that is not named stays as it is; a new queue begins with the defaults.
            reset: Begin again at seq 1, also where a queue of this name was deleted.
            confirm: The queue's name once more, where the ``reset`` drops items that are inside.

        Raises:
            Conflict: It was defined with another source, and has handed out items; or a ``reset`` would drop
                items, and ``confirm`` is not given.
            Invalid: There is no such source, or it does not take these arguments.
        """
        return self.ask(calls.define(name, source, args, settings, reset=reset, confirm=confirm))

    def stats(self) -> dict[str, Any]:
        """Totals and percentiles of the server, and its first 100 queues, as ``GET /stats`` gives them."""
        return self.ask(calls.stats(None))

    def backup(self) -> Backup:
        """Copy the ledger into the server's data folder, consistent and online.

        Whoever serves a copy hands out again what was taken since.
        """
        return self.ask(calls.backup())

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
        return mapped(self, function, queue, workers=workers, processes=processes, options=options)

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

    # -- for its queues

    def ask(self, call: Call[T]) -> T:
        """Make one call, as often as it takes."""
        return self.do(persist(call, self.setup.terms))

    def do(self, flow: Flow[T], values: Iterable[Any] = ()) -> T:
        """Run a flow on this thread."""
        return run(flow, self._line, values=values)

    def lines(self) -> tuple[Line, PollLine]:
        """The line for requests, and a new one for long polls."""
        if self._line.closed:
            raise ClientClosed("the client is closed")
        return self._line, PollLine(self.setup.wire, self._given)

    def watch(self, leases: Leases) -> None:
        """Close this iterator with the client."""
        self._leases.add(leases)
