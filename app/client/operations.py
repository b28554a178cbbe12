"""What can be asked of a queue: signature, documentation and flow of each operation, once.

The facades for threads and for asyncio have the same operations; each runs the flow with its own driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from . import calls, tracing
from .answers import Lease, Settlement, Uploaded, reader
from .calls import path_of
from .consumer import Consumer
from .flow import Call, Flow, Request
from .keys import own
from .options import OnError, OnLost, Options
from .persist import FULL, persist
from .push import Packer, never_fits, push
from .records import Item, LeaseAsk, NewItem, Pushed, PushReport
from .setup import Setup
from .text import encode
from .verbs import VERBS, Entry

T = TypeVar("T")
ONE: Final = LeaseAsk()


class QueueOperations:
    """What can be asked of a queue."""

    def __init__(self, setup: Setup, name: str) -> None:
        self.name = calls.named(name)
        self.setup = setup

    # -- taking

    def next(self, *, wait: float = 0.0, key: str | None = None) -> Flow[Item | None]:
        """Take one item for good; None: there is none now.

        Args:
            wait: Seconds to wait for one, at most 30.
            key: The request's idempotency key: the same key gives the same item, for the queue's ``key_ttl``
                (the invoice number of an order, whoever asks and however often). None: a key of its own, for
                its retries alone.

        Raises:
            ValueError: The key is not 1 to 255 printable ASCII characters without outer blanks.
            Exhausted: Nothing more, ever.
            SourceFailed: The source raised.
        """
        items = yield from self.take(1, wait=wait, key=key)
        return items[0] if items else None

    def take(self, count: int, *, wait: float = 0.0, key: str | None = None) -> Flow[list[Item]]:
        """Take up to ``count`` items for good, in one request; a short answer is legal. Else as ``next``."""
        return persist(calls.take(self.name, count, wait), self.setup.terms, key=own(key))

    def take_one(self) -> Flow[Item | None]:
        """Take the next item, however long that takes; None if the queue is exhausted.

        An item that was taken ahead could not be given back, so only as many are taken as callers wait.
        """
        return self.setup.takers(self.name).take()

    # -- work

    def lease(
        self,
        *,
        batch: int | None = None,
        ttl: float = 30.0,
        prefetch: int | None = None,
        in_hand: int | None = None,
        wait: float = 20.0,
        on_error: OnError = "nack",
        on_lost: OnLost | None = None,
        grace: float = 5.0,
        until_empty: bool = False,
    ) -> Consumer:
        """Jobs, one after the other: ``for job in queue.lease(): with job: work(job.value)``.

        Args:
            batch: Items of one request, exactly as said. None: adapted. It begins with 1 and doubles while
                the consumer is quick: up to 20 round trips or 0.25 s of work, whichever is less, and never
                over 10,000 items or the server's limit. It shrinks at once when the work becomes slow.
                Where a round trip takes longer than 0.125 s: two of them, at most a tenth of ``ttl``.
            ttl: Seconds after which the items of a worker that died are handed out again. Heartbeats keep
                those of one that lives, however long it takes.
            prefetch: The next batch is fetched when fewer jobs than this are left to begin. None: a batch,
                unless its work takes longer than 100 round trips. 0: only when somebody waits for a job.
                Where neither ``batch`` nor a ``prefetch`` above 0 is given, jobs that were not begun within
                a second (or the time of four batches) are given back: who is slow keeps nothing from
                others.
            in_hand: At most so many jobs that are fetched and not settled. None: no bound but the batches.
            wait: Seconds of a long poll, at most 30.
            on_error: What ``with job`` does with an exception beside the nack: swallow it, or raise it.
            on_lost: Called, from another thread, with a job whose lease has ended while it was in hand.
            grace: Seconds that closing may take.
            until_empty: End also when nothing can be leased now and nothing of its own is in hand: what is
                delayed, or leased by others, is not waited for. Else it ends when the queue is exhausted.

        Raises:
            TypeError, ValueError: An argument is no number, or out of range.
        """
        kept = Options(batch, ttl, prefetch, in_hand, wait, on_error, on_lost, grace, until_empty)
        setup, bell = self.setup, self.setup.bell
        return Consumer(self.name, setup.worker_name, setup.terms, kept, bell=bell, default=setup.default)

    # -- pushing

    def push(
        self,
        values: Iterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        delay: float = 0.0,
        priority: int = 0,
        chunk: int = 1_000,
    ) -> Flow[PushReport]:
        """Push any iterable, in atomic chunks, each exactly once, in constant memory.

        While the queue is full it waits, for as long as it takes: that is back-pressure, and the iterable is
        not asked further meanwhile.

        Args:
            values: Any JSON values. If the iterable raises, whole chunks before that are in.
            key: Gives each value a key (at most 255 bytes): what is known under its key already is not pushed
                again, so that the whole push can be run again.
            delay: Seconds until they are handed out.
            priority: 0 to 9, 0 first.
            chunk: Items of a request, at most; a chunk is also sent when it has 1 MiB.

        Raises:
            TypeError: ``values`` is one text (or bytes): its letters would be the items.
            ValueNotJson: JSON can't carry a value; names its position (from 0) and what is wrong.
            ClientError: ``error.pushed`` tells what was in before.
        """
        return self.push_any(values, Packer(key, delay, priority, chunk, default=self.setup.default))

    def push_any(self, values: Iterable[Any] | AsyncIterable[Any], packer: Packer) -> Flow[PushReport]:
        """Push what either driver can iterate."""
        return push(self.name, values, packer, self.setup.terms)

    def put(self, value: Any, *, key: str | None = None, delay: float = 0.0, priority: int = 0) -> Flow[int]:
        """Push one value; its seq, or that of the first push with this key. Else as ``push``."""
        pushed = yield from self.push_items([NewItem(value, key, delay, priority)])
        return pushed[0].seq

    # -- the layer of single requests, for who schedules by himself

    def claim(self, ask: LeaseAsk = ONE) -> Flow[Lease | None]:
        """``POST /lease``: items under a lease, which nobody keeps alive for you; None: none now."""
        return persist(calls.lease(self.name, ask), self.setup.terms)

    def settle(self, entries: Sequence[Entry], *, lease: LeaseAsk | None = None) -> Flow[Settlement]:
        """``POST /settle``: all entries, and the next lease, in one transaction and one round trip."""
        texts = [(VERBS[type(entry)].kind, encode(entry.to_json(), self.setup.default)) for entry in entries]
        return persist(calls.settle(self.name, texts, lease, tracing.current()), self.setup.terms)

    def push_items(
        self, items: Sequence[NewItem], *, idempotency_key: str | None = None
    ) -> Flow[list[Pushed]]:
        """``POST /items``: all of them or none; waits while the queue is full.

        Raises:
            QueueFull: These are more items than the queue may ever hold.
            ValueError: The key can't be one, as for ``next``.
        """
        call = calls.push(self.name, calls.item_texts(items, self.setup.default))
        key, vain = own(idempotency_key), never_fits(len(items))
        return persist(call, self.setup.terms, key=key, endless=FULL, vain=vain)

    def upload(self, stream: bytes, *, key: str) -> Flow[Uploaded]:
        """Push items as NDJSON, one a line, in chunks of which each goes in whole.

        The same stream under the same ``key`` can be sent again: chunks that are in are not pushed twice.
        While the queue is full it waits, and goes on where it was.

        Raises:
            ValueError: The key can't be one, as for ``next``.
            QueueFull: The stream has more lines than the queue may ever hold; send smaller ones.
            ServerRefused: A line is refused, or the queue takes none. ``error.problem.members`` has ``line``
                (from 1), and ``accepted``, ``duplicates``, ``bytes``, ``lines`` of what is in.
        """
        path, parent = path_of(self.name, "items"), tracing.current()
        request = Request("POST", path, stream, "application/x-ndjson", traceparent=parent)
        vain = never_fits(stream.count(b"\n"))
        call = Call(request, reader(Uploaded), keyed=True)
        return persist(call, self.setup.terms, key=own(key), endless=FULL, vain=vain)

    # -- parts of operations

    def get(self, read: Callable[[Any], T], *parts: str, **query: Any) -> Flow[T]:
        """Read something of the queue."""
        return persist(calls.get(path_of(self.name, *parts, **query), read), self.setup.terms)

    def post(self, verb: str, read: Callable[[Any], T], body: Any = None) -> Flow[T]:
        """Change something of the queue."""
        return persist(calls.post(path_of(self.name, verb), read, body), self.setup.terms)
