"""Hand-outs: admission, keys and waiting on the event loop; the draw on a thread of the queue's own pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from app.errors import (
    DibsError,
    LedgerUnavailable,
    NotArithmetic,
    OutcomeUnknown,
    QueueStarting,
    Refused,
    SourceBusy,
    Stopping,
)
from app.ledger.committer import Committer
from app.ledger.ops import Engine, QueueRow, Recalled, Remember
from app.ledger.pending import Pending
from app.queue.answers import Block, Taken, answer
from app.queue.draw import Ask, Draw
from app.queue.info import spec_of
from app.queue.keys import KeysInFlight, check_same
from app.queue.limits import Limits
from app.queue.meters import Meter
from app.queue.pool import Pool
from app.queue.wait import Waiters

T = TypeVar("T")
Track = Callable[[Pending[Any]], None]


class HandOuts:
    """The part of a queue that hands out.

    Idempotency: with a ``key`` a request can be sent again after any failure and gets the same answer,
    ``replayed``; nothing more is handed out.
    """

    def __init__(
        self,
        row: QueueRow,
        engine: Engine,
        committer: Committer,
        limits: Limits,
        *,
        reopen: Callable[[], None],
    ) -> None:
        self.name = row.name
        self.spec = spec_of(row)
        self.meter = Meter()
        self.row = row
        self._engine = engine
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._keys = KeysInFlight()
        self._waiters = Waiters()
        self._asks: set[Ask] = set()
        self._stopping = False
        self._retired = False
        self._pool = Pool(row.name, limits.threads)
        self._draw = Draw(row, committer, limits, reopen=reopen)

    async def take(self, count: int, *, wait: float = 0.0, key: str | None = None) -> Taken:
        """Take up to ``count`` items for good. They are on disk when this returns.

        ``wait`` (seconds) is how long to wait for a queue that is paused or starting, or for a slow source.

        Raises:
            Refused: one of its kinds; nothing was handed out.
            LedgerFull, LedgerUnavailable: the disk is at fault; nothing was handed out.
            OutcomeUnknown: perhaps something was; ask again with the same key.
        """
        self._limits.check_count("count", count, self._limits.count)
        handed: Taken = await self._hand_out(f"take {count}", Ask(count), wait, key)
        return handed

    async def block(self, size: int, *, key: str | None = None) -> Block:
        """Take up to ``size`` consecutive numbers of an arithmetic source, as their bounds.

        Raises:
            NotArithmetic: the source does not count.
            And whatever :meth:`take` raises.
        """
        self._limits.check_count("size", size, self._limits.block)
        handed: Block = await self._hand_out(f"block {size}", Ask(size, block=True), 0.0, key)
        return handed

    async def _hand_out(self, request: str, ask: Ask, wait: float, key: str | None) -> Any:
        meter, began = self.meter, perf_counter()
        meter.requests += 1
        meter.in_flight += 1
        try:
            self._limits.check_wait(wait)
            if key is None:
                handed = await self._ask(ask, wait)
            else:
                handed = await self._once(
                    key,
                    request,
                    partial(self._ask_with_key, ask, wait),
                    partial(self._replay, block=ask.block),
                )
        except DibsError:
            meter.refused += 1
            raise
        finally:
            meter.in_flight -= 1
        meter.handed(handed.count, replayed=handed.replayed, seconds=perf_counter() - began)
        return handed

    def _ask_with_key(self, ask: Ask, wait: float, remember: Remember, track: Track) -> Awaitable[Any]:
        ask.remember = remember
        return self._ask(ask, wait, track)

    async def _ask(self, ask: Ask, wait: float, track: Track | None = None) -> Any:
        until = self._loop.time() + wait
        await self._admitted(until)
        if ask.block and not self._draw.arithmetic:
            raise NotArithmetic(f"{self.name} is fed by {self.spec.name}, which does not count: no blocks")
        if self._pool.backlog >= self._limits.waiting:
            raise SourceBusy(f"{self._limits.waiting} requests wait for {self.name} already", retry_after=1.0)
        ask.patience = max(until - self._loop.time(), self._limits.pull_patience)
        self._pool.submit(partial(self._draw.draw, ask))
        if track is not None:
            track(ask.pending)
        handed = await self._outcome(ask)
        if handed is None:  # this draw met the source's end, which is on disk now
            raise self._draw.gate.refusal() or SourceBusy(f"{self.name} is being retried", retry_after=1.0)
        return handed

    async def _outcome(self, ask: Ask) -> Any:
        """Wait for the draw, then for the disk; each for a bounded time."""
        pending = ask.pending
        if not pending.done:
            turn: asyncio.Future[None] = self._loop.create_future()
            pending.when_done(partial(_wake, turn), self._loop)
            late = self._loop.call_later(ask.patience, self._late, ask, turn)
            self._asks.add(ask)
            try:
                await turn
            except asyncio.CancelledError:
                self._draw.give_up(ask)
                raise
            finally:
                late.cancel()
                self._asks.discard(ask)
        return pending.result(0)

    def _late(self, ask: Ask, turn: asyncio.Future[None]) -> None:
        """The caller's patience is over. What is in the line already is waited for a while longer."""
        if not self._draw.give_up(ask):
            self._loop.call_later(self._limits.commit_patience, _fail, turn, unsure())

    async def _admitted(self, until: float) -> None:
        """Return when the queue hands out; raise its refusal if it still says so at ``until``."""
        while (refusal := self._refusal()) is not None:
            left = until - self._loop.time()
            if refusal.retry_after is None or left <= 0 or self._stopping or self._retired:
                raise refusal
            await self._waiters.park(left)

    def _refusal(self) -> Refused | None:
        if self._stopping:
            return Stopping("the server is going down", retry_after=1.0)
        if self._retired and not self._draw.gate.deleted:
            return QueueStarting(f"{self.name} was defined anew; ask again", retry_after=1.0)
        return self._draw.gate.refusal()

    # -- idempotency

    async def _once(
        self,
        key: str,
        request: str,
        run: Callable[[Remember, Track], Awaitable[T]],
        replay: Callable[[Recalled], T],
    ) -> T:
        """Run a request once for its key: look among those in flight, then in the ledger, then run it."""
        self._limits.check_key(key)
        async with self._keys.hold(key, request, self._limits.commit_patience) as held:
            recalled = recall(self._engine, self.row, key)
            if recalled is not None:
                check_same(recalled.request, request)
                return replay(recalled)
            remember = Remember(key, request, int(self._limits.key_ttl * 1000))
            return await run(remember, held.track)

    def _replay(self, recalled: Recalled, *, block: bool) -> Taken | Block:
        first, state = recalled.outcome["first"], recalled.outcome["ending"] or "open"
        return answer(
            self.name, state, first, recalled.values, wide=recalled.wide, block=block, replayed=True
        )


def recall(engine: Engine, row: QueueRow, key: str) -> Recalled | None:
    """What is filed under a key of this queue.

    Raises:
        OutcomeUnknown: that can't be read now, so whether the key has its answer already can't be told.
    """
    try:
        return engine.recall(row.id, row.generation, "", key)
    except LedgerUnavailable as error:
        raise OutcomeUnknown(
            f"what this Idempotency-Key stands for can't be looked up now: {error}"
        ) from error


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _fail(turn: asyncio.Future[None], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)


async def outcome(pending: Pending[T], limits: Limits) -> T:
    """Wait for an op without items, for a bounded time: a hung disk must not hang its callers.

    Raises:
        OutcomeUnknown: it has not come to an end yet, and goes on.
    """
    try:
        async with asyncio.timeout(limits.operate_patience + limits.commit_patience):
            return await pending
    except TimeoutError:
        raise unsure() from None


def unsure() -> OutcomeUnknown:
    """The disk is silent; the op may still reach it."""
    return OutcomeUnknown(
        "the disk did not answer in time; ask again with the same key to learn what came of it"
    )
