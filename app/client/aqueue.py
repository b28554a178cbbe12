"""A queue at the other end of the wire, for asyncio: what ``queue.py`` has, awaited. No logic stands here."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import calls, work
from .aio import LoopBell
from .aleases import AsyncCrew, AsyncLeases
from .answers import UNCHANGED, Audit, HistoryEntry, QueueInfo, QueueItem, QueueSettings, Unchanged
from .consume import consumer
from .flow import FULL, persist
from .push import Packer, never_fits, push, several
from .queue import ONE
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
from .values import AsyncValues

if TYPE_CHECKING:
    from .aclient import AsyncClient


class AsyncRemoteQueue:
    """A queue of a server. ``for value in queue`` takes one value after the other, for good.

    What is taken belongs to the caller: a loop that is left early has lost nothing but its current value.
    Who must not lose work leases it. Every method raises ``ServerRefused`` (its kinds), ``Unreachable`` or
    ``UnexpectedAnswer``.
    """

    def __init__(self, client: AsyncClient, name: str) -> None:
        self.name = calls.named(name)
        self._client = client

    def __repr__(self) -> str:
        return f"<AsyncRemoteQueue {self.name} of {self._client.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._client, self.name)

    # -- taking

    def __aiter__(self) -> AsyncIterator[Any]:
        """As ``RemoteQueue.__iter__``."""
        return AsyncValues(self._client, self.name)

    async def next(self, *, wait: float = 0.0, key: str | None = None) -> Item | None:
        """As ``RemoteQueue.next``."""
        items = await self.take(1, wait=wait, key=key)
        return items[0] if items else None

    async def take(self, count: int, *, wait: float = 0.0, key: str | None = None) -> list[Item]:
        """As ``RemoteQueue.take``."""
        flow = persist(calls.take(self.name, count, wait), self._client.setup.terms, key=key)
        return await self._client.do(flow)

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
    ) -> AsyncLeases:
        """As ``RemoteQueue.lease``."""
        client = self._client
        bells = (LoopBell(), LoopBell())
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
        return AsyncLeases(AsyncCrew(made, *client.lines(), grace, client.crews))

    # -- pushing

    async def push(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        key: Callable[[Any], str] | None = None,
        delay: float = 0.0,
        priority: int = 0,
        chunk: int = 1_000,
    ) -> PushReport:
        """As ``RemoteQueue.push``."""
        setup = self._client.setup
        packer = Packer(key, delay, priority, chunk, default=setup.default)
        flow = push(self.name, packer, setup.terms)
        return await self._client.do(flow, several(values))

    async def put(self, value: Any, *, key: str | None = None, delay: float = 0.0, priority: int = 0) -> int:
        """As ``RemoteQueue.put``."""
        return (await self.push_items([NewItem(value, key, delay, priority)]))[0].seq

    # -- the layer of single requests, for who schedules by himself

    async def claim(self, ask: LeaseAsk = ONE) -> Lease | None:
        """As ``RemoteQueue.claim``."""
        return await self._client.ask(work.lease(self.name, ask))

    async def settle(self, entries: Sequence[Entry], *, lease: LeaseAsk | None = None) -> Settlement:
        """As ``RemoteQueue.settle``."""
        return await self._client.ask(work.settle(self.name, entries, lease, self._client.setup.default))

    async def push_items(
        self, items: Sequence[NewItem], *, idempotency_key: str | None = None
    ) -> list[Pushed]:
        """As ``RemoteQueue.push_items``."""
        call, vain = (
            work.push(self.name, work.item_texts(items, self._client.setup.default)),
            never_fits(len(items)),
        )
        flow = persist(call, self._client.setup.terms, key=idempotency_key, endless=FULL, vain=vain)
        return await self._client.do(flow)

    async def upload(self, stream: bytes, *, key: str) -> Uploaded:
        """As ``RemoteQueue.upload``."""
        call, vain = work.upload(self.name, stream), never_fits(stream.count(b"\n"))
        flow = persist(call, self._client.setup.terms, key=key, endless=FULL, vain=vain)
        return await self._client.do(flow)

    # -- operating

    async def define(
        self,
        source: str | Unchanged | None = UNCHANGED,
        args: Mapping[str, Any] | None = None,
        settings: QueueSettings | Mapping[str, Any] | None = None,
        *,
        reset: bool = False,
        confirm: str | None = None,
    ) -> QueueInfo:
        """As ``RemoteQueue.define``."""
        return await self._client.define(self.name, source, args, settings, reset=reset, confirm=confirm)

    async def info(self) -> QueueInfo:
        """As ``RemoteQueue.info``."""
        return await self._client.ask(calls.info(self.name))

    async def audit(self) -> Audit:
        """As ``RemoteQueue.audit``."""
        return await self._client.ask(calls.audit(self.name))

    async def stats(self) -> dict[str, Any]:
        """As ``RemoteQueue.stats``."""
        return await self._client.ask(calls.stats(self.name))

    async def pause(self) -> QueueInfo:
        """As ``RemoteQueue.pause``."""
        return await self._client.ask(calls.operate(self.name, "pause"))

    async def resume(self) -> QueueInfo:
        """As ``RemoteQueue.resume``."""
        return await self._client.ask(calls.operate(self.name, "resume"))

    async def close(self) -> QueueInfo:
        """As ``RemoteQueue.close``."""
        return await self._client.ask(calls.operate(self.name, "close"))

    async def retry(self) -> QueueInfo:
        """As ``RemoteQueue.retry``."""
        return await self._client.ask(calls.operate(self.name, "retry"))

    async def advance(self, to_seq: int) -> QueueInfo:
        """As ``RemoteQueue.advance``."""
        return await self._client.ask(calls.advance(self.name, to_seq))

    async def delete(self, *, confirm: str | None = None) -> QueueInfo:
        """As ``RemoteQueue.delete``."""
        return await self._client.ask(calls.delete(self.name, confirm))

    # -- items inside

    async def items(
        self, state: Literal["waiting", "leased", "dead"] | None = None, *, after: int = 0
    ) -> AsyncIterator[QueueItem]:
        """As ``RemoteQueue.items``."""
        following: int | None = after
        while following is not None:
            page = await self._client.ask(calls.page(self.name, state, following))
            for item in page.items:
                yield item
            following = page.next

    async def history(self, seq: int | None = None) -> AsyncIterator[HistoryEntry]:
        """As ``RemoteQueue.history``."""
        following: int | None = 0
        while following is not None:
            found, following = await self._client.ask(calls.history(self.name, seq, following))
            for entry in found:
                yield entry

    async def item(self, seq: int) -> QueueItem:
        """As ``RemoteQueue.item``."""
        return await self._client.ask(calls.item(self.name, seq))

    async def redrive(
        self, seqs: Seqs | None = None, *, limit: int | None = None, rate: float | None = None
    ) -> int:
        """As ``RemoteQueue.redrive``."""
        return await self._client.ask(calls.redrive(self.name, seqs, limit, rate))

    async def purge(self, *, confirm: str, states: Sequence[Literal["waiting", "dead"]] | None = None) -> int:
        """As ``RemoteQueue.purge``."""
        return await self._client.ask(calls.purge(self.name, confirm, states))
