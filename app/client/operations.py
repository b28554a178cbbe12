"""What can be asked of a server and of its queues: signature, documentation and flow of each, once.

The facades for threads and for asyncio have the same operations; each runs the flow with its own driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlencode

from . import calls
from .answers import (
    Audit,
    Backup,
    HistoryEntry,
    Lease,
    QueueInfo,
    QueueItem,
    Settlement,
    Uploaded,
)
from .calls import path_of
from .consumer import Consumer
from .flow import Call, Flow, Request, Terms
from .keys import own
from .options import OnError, OnLost, Options
from .persist import FULL, persist
from .push import Packer, never_fits, push
from .queue_settings import UNCHANGED, QueueSettings, Unchanged
from .records import Entry, Item, LeaseAsk, NewItem, Pushed, PushReport, Seqs
from .setup import Setup
from .text import encode

T = TypeVar("T")
ONE: Final = LeaseAsk()
_PAGE: Final = 100


Pages = Iterator[Flow[Sequence[T]]]
"""The requests for one page of a list after the other; each is made when the one before has its answer."""


def _pages(
    terms: Terms, path: Callable[[Any], str], name: str, of: Callable[[Any], T], after: Any
) -> Pages[T]:
    """The pages of a list: ``path`` gives that of the page after a place, ``name`` has its entries."""

    def page() -> Flow[Sequence[T]]:
        nonlocal after
        answer = yield from persist(calls.get(path(after), dict), terms)
        after = answer["next"]
        return [of(entry) for entry in answer[name]]

    yield page()
    while after is not None:
        yield page()


class ServerOperations:
    """What can be asked of a server."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup

    def queues(self) -> Pages[QueueInfo]:
        """All queues, by name."""

        def path(after: str | None) -> str:
            return "/queues" if after is None else f"/queues?{urlencode({'after': after})}"

        return _pages(self.setup.terms, path, "queues", QueueInfo.of, None)

    def define(
        self,
        name: str,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> Flow[QueueInfo]:
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
        body: dict[str, Any] = {} if isinstance(source, Unchanged) else {"source": source}
        if args:
            body["args"] = dict(args)
        if settings is not None:
            body["settings"] = settings.to_json() if isinstance(settings, QueueSettings) else dict(settings)
        if reset:
            body["reset"] = True
        request = Request("PUT", path_of(name, confirm=confirm), encode(body).encode())
        return persist(Call(request, QueueInfo.of, keyed=True), self.setup.terms)

    def stats(self) -> Flow[dict[str, Any]]:
        """Totals and percentiles of the server, and its first 100 queues, as ``GET /stats`` gives them."""
        return self._get("/stats", dict)

    def backup(self) -> Flow[Backup]:
        """Copy the ledger into the server's data folder, consistent and online.

        Whoever serves a copy hands out again what was taken since.
        """
        # It has no key: sent again, it makes another file, which does no harm.
        return persist(Call(Request("POST", "/backup"), Backup.of), self.setup.terms)

    def _get(self, path: str, read: Callable[[Any], T]) -> Flow[T]:
        return persist(calls.get(path, read), self.setup.terms)


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
        options = Options(
            batch=batch,
            ttl=ttl,
            prefetch=prefetch,
            in_hand=in_hand,
            wait=wait,
            on_error=on_error,
            on_lost=on_lost,
            grace=grace,
            until_empty=until_empty,
        )
        setup, bell = self.setup, self.setup.bell
        return Consumer(self.name, setup.worker, setup.terms, options, bell=bell, default=setup.default)

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
        texts = [
            (calls.KIND_OF[type(entry)], encode(entry.to_json(), self.setup.default)) for entry in entries
        ]
        return persist(calls.settle(self.name, texts, lease), self.setup.terms)

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
        request = Request("POST", path_of(self.name, "items"), stream, "application/x-ndjson")
        vain = never_fits(stream.count(b"\n"))
        call = Call(request, Uploaded.of, keyed=True)
        return persist(call, self.setup.terms, key=own(key), endless=FULL, vain=vain)

    # -- operating

    def define(
        self,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> Flow[QueueInfo]:
        """Define it, or change what is named; see ``Client.define``."""
        server = ServerOperations(self.setup)
        return server.define(self.name, source, args, settings, reset=reset, confirm=confirm)

    def info(self) -> Flow[QueueInfo]:
        """The queue as it is on disk now."""
        return self._get(QueueInfo.of)

    def audit(self) -> Flow[Audit]:
        """The independent counters of one moment."""
        return self._get(Audit.of, "audit")

    def stats(self) -> Flow[dict[str, Any]]:
        """Rates and percentiles, as ``GET /queues/{q}/stats`` gives them."""
        return self._get(dict, "stats")

    def pause(self) -> Flow[QueueInfo]:
        """Hand nothing out until resumed. Pushes and settles go on."""
        return self._post("pause", QueueInfo.of)

    def resume(self) -> Flow[QueueInfo]:
        """Hand out again."""
        return self._post("resume", QueueInfo.of)

    def close(self) -> Flow[QueueInfo]:
        """No more pushes and draws, for good; what is inside still goes out."""
        return self._post("close", QueueInfo.of)

    def retry(self) -> Flow[QueueInfo]:
        """Open a failed source again, after the cursor."""
        return self._post("retry", QueueInfo.of)

    def advance(self, to_seq: int) -> Flow[QueueInfo]:
        """Move the cursor forward to ``to_seq``: what is passed over is never handed out.

        It counts as jumped.

        Raises:
            Conflict: The cursor is there already, or beyond it.
        """
        return self._post("advance", QueueInfo.of, {"to_seq": to_seq})

    def delete(self, *, confirm: str | None = None) -> Flow[QueueInfo]:
        """Delete it; its name and cursor stay as a tombstone.

        Where something is inside, ``confirm`` is the queue's name: it is dropped, leased or not.

        Raises:
            Conflict: Something is inside, and ``confirm`` is not given.
        """
        request = Request("DELETE", path_of(self.name, confirm=confirm))
        return persist(Call(request, QueueInfo.of, keyed=True), self.setup.terms)

    # -- items inside

    def items(
        self, state: Literal["waiting", "leased", "dead"] | None = None, *, after: int = 0
    ) -> Pages[QueueItem]:
        """The items inside, by seq, those of one state or all; pages are asked for as they are needed."""

        def path(after: int) -> str:
            return path_of(self.name, "items", state=state, after=after or None, limit=_PAGE)

        return _pages(self.setup.terms, path, "items", QueueItem.of, after)

    def history(self, seq: int | None = None) -> Pages[HistoryEntry]:
        """Who took or acked what, from oldest to newest, where the queue's setting ``history`` keeps it.

        ``seq``: of this item only. Pages are asked for as they are needed. A deleted queue has one, too.
        """

        def path(after: int) -> str:
            return path_of(self.name, "history", seq=seq, after=after or None, limit=_PAGE)

        return _pages(self.setup.terms, path, "history", HistoryEntry.of, 0)

    def item(self, seq: int) -> Flow[QueueItem]:
        """One item inside, with its history of failures; or one that is done, where the queue keeps that.

        Raises:
            ItemUnknown: It is not drawn yet, or done.
        """
        return self._get(QueueItem.of, "items", str(seq))

    def redrive(
        self, seqs: Seqs | None = None, *, limit: int | None = None, rate: float | None = None
    ) -> Flow[int]:
        """Let dead items wait again, with all their attempts; how many.

        Args:
            seqs: Ranges, both ends included; None: all.
            limit: The first so many.
            rate: Items a second; None: all at once.
        """
        body = {"seqs": seqs, "limit": limit, "rate": rate}
        given = {name: value for name, value in body.items() if value is not None}
        return self._post("redrive", lambda answer: int(answer["redriven"]), given)

    def purge(self, *, confirm: str, states: Sequence[Literal["waiting", "dead"]] | None = None) -> Flow[int]:
        """Drop items for good; how many. ``confirm`` is the queue's name; ``states`` None: both."""
        body = {"confirm": confirm, **({} if states is None else {"states": list(states)})}
        return self._post("purge", lambda answer: int(answer["purged"]), body)

    # -- inside

    def _get(self, read: Callable[[Any], T], *parts: str, **query: Any) -> Flow[T]:
        return persist(calls.get(path_of(self.name, *parts, **query), read), self.setup.terms)

    def _post(self, verb: str, read: Callable[[Any], T], body: Any = None) -> Flow[T]:
        return persist(calls.post(path_of(self.name, verb), read, body), self.setup.terms)
