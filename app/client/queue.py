"""A queue at the other end of the wire, for threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import calls, work
from .answers import UNCHANGED, Audit, HistoryEntry, QueueInfo, QueueItem, QueueSettings, Unchanged
from .consume import consumer
from .flow import FULL, persist
from .leases import Crew, Leases
from .push import Packer, never_fits, push, several
from .records import (
    Entry,
    Item,
    Lease,
    LeaseAsk,
    NewItem,
    Pushed,
    PushReport,
    Seqs,
    Settlement,
    Uploaded,
)
from .setup import OnError, OnLost
from .threads import ThreadBell
from .values import Values

if TYPE_CHECKING:
    from .client import Client

ONE = LeaseAsk()


class RemoteQueue:
    """A queue of a server. ``for value in queue`` takes one value after the other, for good.

    What is taken belongs to the caller: a loop that is left early has lost nothing but its current value.
    Who must not lose work leases it. Every method raises ``ServerRefused`` (its kinds), ``Unreachable`` or
    ``UnexpectedAnswer``.
    """

    def __init__(self, client: Client, name: str) -> None:
        self.name = calls.named(name)
        self._client = client

    def __repr__(self) -> str:
        return f"<RemoteQueue {self.name} of {self._client.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._client, self.name)

    # -- taking

    def __iter__(self) -> Iterator[Any]:
        """Take one value after the other until the queue is exhausted; a request each. Waits while empty."""
        return Values(self._client, self.name)

    def next(self, *, wait: float = 0.0, key: str | None = None) -> Item | None:
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
        items = self.take(1, wait=wait, key=key)
        return items[0] if items else None

    def take(self, count: int, *, wait: float = 0.0, key: str | None = None) -> list[Item]:
        """Take up to ``count`` items for good, in one request; a short answer is legal. Else as ``next``."""
        flow = persist(calls.take(self.name, count, wait), self._client.setup.terms, key=key)
        return self._client.do(flow)

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
    ) -> Leases:
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
        client = self._client
        bells = (ThreadBell(), ThreadBell())
        made = consumer(
            self.name,
            client.setup.worker,
            client.setup.terms,
            bells,
            batch=batch,
            ttl=ttl,
            prefetch=prefetch,
            in_hand=in_hand,
            wait=wait,
            on_error=on_error,
            on_lost=on_lost,
            until_empty=until_empty,
            default=client.setup.default,
        )
        leases = Leases(Crew(made, *client.lines(), grace), client)
        client.watch(leases)
        return leases

    # -- pushing

    def push(
        self,
        values: Iterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        delay: float = 0.0,
        priority: int = 0,
        chunk: int = 1_000,
    ) -> PushReport:
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
        setup = self._client.setup
        packer = Packer(key, delay, priority, chunk, default=setup.default)
        flow = push(self.name, packer, setup.terms)
        return self._client.do(flow, several(values))

    def put(self, value: Any, *, key: str | None = None, delay: float = 0.0, priority: int = 0) -> int:
        """Push one value; its seq, or that of the first push with this key. Else as ``push``."""
        return self.push_items([NewItem(value, key, delay, priority)])[0].seq

    # -- the layer of single requests, for who schedules by himself

    def claim(self, ask: LeaseAsk = ONE) -> Lease | None:
        """``POST /lease``: items under a lease, which nobody keeps alive for you; None: none now."""
        return self._client.ask(work.lease(self.name, ask))

    def settle(self, entries: Sequence[Entry], *, lease: LeaseAsk | None = None) -> Settlement:
        """``POST /settle``: all entries, and the next lease, in one transaction and one round trip."""
        return self._client.ask(work.settle(self.name, entries, lease, self._client.setup.default))

    def push_items(self, items: Sequence[NewItem], *, idempotency_key: str | None = None) -> list[Pushed]:
        """``POST /items``: all of them or none; waits while the queue is full.

        Raises:
            QueueFull: These are more items than the queue may ever hold.
            ValueError: The key can't be one, as for ``next``.
        """
        call, vain = (
            work.push(self.name, work.item_texts(items, self._client.setup.default)),
            never_fits(len(items)),
        )
        flow = persist(call, self._client.setup.terms, key=idempotency_key, endless=FULL, vain=vain)
        return self._client.do(flow)

    def upload(self, stream: bytes, *, key: str) -> Uploaded:
        """Push items as NDJSON, one a line, in chunks of which each goes in whole.

        The same stream under the same ``key`` can be sent again: chunks that are in are not pushed twice.
        While the queue is full it waits, and goes on where it was.

        Raises:
            ValueError: The key can't be one, as for ``next``.
            QueueFull: The stream has more lines than the queue may ever hold; send smaller ones.
            ServerRefused: A line is refused, or the queue takes none. ``error.problem.members`` has ``line``
                (from 1), and ``accepted``, ``duplicates``, ``bytes``, ``lines`` of what is in.
        """
        call, vain = work.upload(self.name, stream), never_fits(stream.count(b"\n"))
        flow = persist(call, self._client.setup.terms, key=key, endless=FULL, vain=vain)
        return self._client.do(flow)

    # -- operating

    def define(
        self,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> QueueInfo:
        """Define it, or change what is named; see ``Client.define``."""
        return self._client.define(self.name, source, args, settings, reset=reset, confirm=confirm)

    def info(self) -> QueueInfo:
        """The queue as it is on disk now."""
        return self._client.ask(calls.info(self.name))

    def audit(self) -> Audit:
        """The independent counters of one moment."""
        return self._client.ask(calls.audit(self.name))

    def stats(self) -> dict[str, Any]:
        """Rates and percentiles, as ``GET /queues/{q}/stats`` gives them."""
        return self._client.ask(calls.stats(self.name))

    def pause(self) -> QueueInfo:
        """Hand nothing out until resumed. Pushes and settles go on."""
        return self._client.ask(calls.operate(self.name, "pause"))

    def resume(self) -> QueueInfo:
        """Hand out again."""
        return self._client.ask(calls.operate(self.name, "resume"))

    def close(self) -> QueueInfo:
        """No more pushes and draws, for good; what is inside still goes out."""
        return self._client.ask(calls.operate(self.name, "close"))

    def retry(self) -> QueueInfo:
        """Open a failed source again, after the cursor."""
        return self._client.ask(calls.operate(self.name, "retry"))

    def advance(self, to_seq: int) -> QueueInfo:
        """Move the cursor forward to ``to_seq``: what is passed over is never handed out.

        It counts as jumped.

        Raises:
            Conflict: The cursor is there already, or beyond it.
        """
        return self._client.ask(calls.advance(self.name, to_seq))

    def delete(self, *, confirm: str | None = None) -> QueueInfo:
        """Delete it; its name and cursor stay as a tombstone.

        Where something is inside, ``confirm`` is the queue's name: it is dropped, leased or not.

        Raises:
            Conflict: Something is inside, and ``confirm`` is not given.
        """
        return self._client.ask(calls.delete(self.name, confirm))

    # -- items inside

    def items(
        self, state: Literal["waiting", "leased", "dead"] | None = None, *, after: int = 0
    ) -> Iterator[QueueItem]:
        """The items inside, by seq, those of one state or all; pages are asked for as they are needed."""
        following: int | None = after
        while following is not None:
            page = self._client.ask(calls.page(self.name, state, following))
            yield from page.items
            following = page.next

    def history(self, seq: int | None = None) -> Iterator[HistoryEntry]:
        """Who took or acked what, from oldest to newest, where the queue's setting ``history`` keeps it.

        ``seq``: of this item only. Pages are asked for as they are needed. A deleted queue has one, too.
        """
        following: int | None = 0
        while following is not None:
            found, following = self._client.ask(calls.history(self.name, seq, following))
            yield from found

    def item(self, seq: int) -> QueueItem:
        """One item inside, with its history of failures; or one that is done, where the queue keeps that.

        Raises:
            ItemUnknown: It is not drawn yet, or done.
        """
        return self._client.ask(calls.item(self.name, seq))

    def redrive(
        self, seqs: Seqs | None = None, *, limit: int | None = None, rate: float | None = None
    ) -> int:
        """Let dead items wait again, with all their attempts; how many.

        Args:
            seqs: Ranges, both ends included; None: all.
            limit: The first so many.
            rate: Items a second; None: all at once.
        """
        return self._client.ask(calls.redrive(self.name, seqs, limit, rate))

    def purge(self, *, confirm: str, states: Sequence[Literal["waiting", "dead"]] | None = None) -> int:
        """Drop items for good; how many. ``confirm`` is the queue's name; ``states`` None: both."""
        return self._client.ask(calls.purge(self.name, confirm, states))
