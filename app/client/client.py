"""The client for threads: ``Client``, and the queue at the other end of the wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import httpx

from app.client.records import (
    Entry,
    Item,
    Lease,
    LeaseAsk,
    NewItem,
    Pushed,
    PushReport,
    Settlement,
    Uploaded,
)


class Client:
    """A server, over HTTP. Threads may share it; leaving the ``with`` closes it.

    Args:
        url: Where the server is. None: ``DIBS_URL``, else ``http://127.0.0.1:8000``.
        worker: Who leases, as ``dibs queues`` and dead letters show it. None: ``host:pid``.
        patience: For how many seconds a request is sent again, with one Idempotency-Key, while its answer is
            lost or says "later". Then ``Unreachable`` or ``Unavailable`` is raised. 0: one try.
        timeout: Seconds for connecting, and for each step of an answer.
        transport: Instead of the network (tests; proxies).
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        worker: str | None = None,
        patience: float = 60.0,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its lease iterators (each gives back what it holds), then its connections."""
        raise NotImplementedError

    def queue(self, name: str = "default") -> RemoteQueue:
        """The queue of this name; nothing is asked yet."""
        raise NotImplementedError


class RemoteQueue:
    """A queue of a server. ``for value in queue`` takes one value after the other for good.

    Every request that changes something goes with an Idempotency-Key of its own and is sent again with it
    for ``patience`` seconds. Each method raises ``ServerRefused`` (its kinds), ``Unreachable`` or
    ``UnexpectedAnswer``.
    """

    name: str

    # -- the one-request layer, for who schedules by himself (dibs work, dibs push)

    def claim(self, ask: LeaseAsk = LeaseAsk()) -> Lease | None:  # noqa: B008
        """``POST /lease``: items under a lease; None where none can be claimed now.

        Raises:
            Exhausted: Nothing more, ever.
            SourceFailed: The source raised.
        """
        raise NotImplementedError

    def settle(self, entries: Sequence[Entry], *, lease: LeaseAsk | None = None) -> Settlement:
        """``POST /settle``: all entries, and the next lease, in one transaction and one round trip."""
        raise NotImplementedError

    def push_items(self, items: Sequence[NewItem], *, idempotency_key: str | None = None) -> list[Pushed]:
        """``POST /items``: all of them or none, in order.

        Waits while the queue is full (429) for as long as it takes: that is back-pressure.
        """
        raise NotImplementedError

    def upload(self, part: bytes, *, key: str, offset: int = 0) -> Uploaded:
        """One part of a resumable NDJSON stream: whole lines, the bytes of the stream from ``offset`` on.

        The server keeps under ``key`` how far the stream is. A part that it has already, or has in part, is
        not pushed twice. Waits while the queue is full, and goes on there.

        Raises:
            ServerRefused: A line is refused; ``error.problem.members`` has ``line`` (1-based, in the stream),
                ``accepted``, ``duplicates``, ``bytes``, ``lines``: what is in.
        """
        raise NotImplementedError

    def uploaded(self, key: str) -> Uploaded:
        """How far the stream of this key is; all zero for one that is not known."""
        raise NotImplementedError

    # -- taking

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    def next(self, *, wait: float = 0.0) -> Item | None:
        """Take one item for good; None where there is none now."""
        raise NotImplementedError

    def take(self, count: int, *, wait: float = 0.0) -> list[Item]:
        """Take up to ``count`` items for good; empty where there are none now."""
        raise NotImplementedError

    # -- work

    def lease(
        self,
        *,
        batch: int | None = None,
        ttl: float = 30.0,
        prefetch: int | None = None,
        in_hand: int | None = None,
        wait: float = 20.0,
        on_error: Literal["nack", "raise"] = "nack",
        on_lost: Callable[[Job], None] | None = None,
        grace: float = 5.0,
    ) -> Leases:
        """Jobs, one after the other: ``for job in queue.lease(): with job: work(job.value)``.

        Args:
            batch: Items of one request. None: adapted to the pace of the work.
            ttl: Seconds after which the items of a worker that died are handed out again.
            prefetch: The next batch is fetched when fewer jobs than this are left to begin. None: a batch, where
                that pays. 0: only when somebody waits for one.
            in_hand: At most so many jobs that are not settled yet. None: no bound but the batches.
            wait: Seconds of a long poll.
            on_error: What ``with job`` does with an exception, beside the nack: log and swallow it, or raise it.
            on_lost: Called, from another thread, with a job whose lease has ended while it was in hand.
            grace: Seconds that closing may take to settle and give back.
        """
        raise NotImplementedError

    def push(
        self,
        values: Iterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        delay: float = 0.0,
        priority: int = 0,
        chunk: int = 1_000,
    ) -> PushReport:
        """Push any iterable, in atomic chunks, each exactly once, in constant memory; waits while it is full."""
        raise NotImplementedError

    def put(self, value: Any, *, key: str | None = None, delay: float = 0.0, priority: int = 0) -> int:
        """Push one value; its seq."""
        raise NotImplementedError

    # -- management

    def info(self) -> Mapping[str, Any]:
        """``GET /queues/{q}``."""
        raise NotImplementedError


class Job:
    """An item in hand. ``with job:`` acks it at the end, nacks it with the traceback on an exception.

    Any thread may settle it. A call queues the settlement; it is sent with the next batch, soon.
    """

    seq: int
    value: Any
    attempt: int
    lost: bool

    def ack(self, push: Iterable[Any] = ()) -> None:
        """Done. ``push``: ``Result`` records for other queues, in the same transaction."""
        raise NotImplementedError

    def nack(self, error: str | BaseException = "", *, delay: float | None = None) -> None:
        """Failed. ``delay`` None: the queue's back-off."""
        raise NotImplementedError

    def release(self) -> None:
        """Not begun after all: it waits again, and this hand-out does not count."""
        raise NotImplementedError


class Leases(Iterator[Job]):
    """The iterator of jobs. Threads may share it. Close it, or leave its ``with``: it gives back what it has."""

    def __next__(self) -> Job:
        raise NotImplementedError

    def close(self) -> None:
        """Settle what is done, give back what is not begun; at most ``grace`` seconds."""
        raise NotImplementedError
