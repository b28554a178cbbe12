"""One queue: admission, keys and waiting on the event loop; the draw on a thread of its own pool."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from app.errors import (
    DibsError,
    LedgerError,
    LedgerUnavailable,
    NotArithmetic,
    OutcomeUnknown,
    QueueConflict,
    QueueStarting,
    QueueUnknown,
    Refused,
    SourceBusy,
    Stopping,
)
from app.ledger.committer import Committer
from app.ledger.ops import (
    Close,
    Delete,
    Engine,
    Op,
    Pause,
    QueueRow,
    Recalled,
    Remember,
    Retry,
)
from app.ledger.pending import Pending
from app.queue.answers import Audit, Block, QueueInfo, QueueStats, Taken, answer
from app.queue.draw import Ask, Draw
from app.queue.feed import Feed
from app.queue.info import info_of, spec_of
from app.queue.keys import KeysInFlight, check_same
from app.queue.limits import Limits
from app.queue.meters import Meter, percentiles
from app.queue.pool import Pool
from app.queue.wait import Waiters
from app.sources import Registry

T = TypeVar("T")
Track = Callable[[Pending[Any]], None]


class Queue:
    """A named stream of items with one source. Its methods are called on the event loop.

    ``row`` is the queue as the ledger had it when that was last told; its counters may be behind. ``changed``
    is called on the event loop with each row that the ledger tells, before who asked for it wakes: the row
    decides whether this object is still the queue.

    Idempotency: with a ``key`` a request can be sent again after any failure and gets the same answer,
    ``replayed``; nothing more is handed out.
    """

    def __init__(
        self,
        row: QueueRow,
        engine: Engine,
        committer: Committer,
        sources: Registry,
        limits: Limits,
        *,
        changed: Callable[[QueueRow], None],
    ) -> None:
        self.name = row.name
        self.spec = spec_of(row)
        self.meter = Meter()
        self.row = row
        self._engine = engine
        self._committer = committer
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._keys = KeysInFlight()
        self._waiters = Waiters()
        self._changed = changed
        self._stopping = False
        self._retired = False
        self._pool = Pool(row.name, limits.threads)
        self._draw = Draw(row, committer, limits, reopen=self._reopen)
        self._feed = Feed(
            self.spec,
            self._draw,
            self._pool,
            engine=engine,
            sources=sources,
            committer=committer,
            limits=limits,
            opened=partial(self._call_on_loop, self._waiters.wake),
        )
        self._feed.open()

    # -- hand-outs

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
        if track is not None:
            track(ask.pending)
        ask.patience = max(until - self._loop.time(), self._limits.pull_patience)
        self._pool.submit(partial(self._draw.draw, ask))
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
            try:
                await turn
            except asyncio.CancelledError:
                self._draw.give_up(ask)
                raise
            finally:
                late.cancel()
        return pending.result(0)

    def _late(self, ask: Ask, turn: asyncio.Future[None]) -> None:
        """The caller's patience is over. What is in the line already is waited for a while longer."""
        if not self._draw.give_up(ask):
            self._loop.call_later(self._limits.commit_patience, _fail, turn, _unsure())

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
        if self._retired:
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
        async with self._keys.hold(key, request) as held:
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

    # -- operating

    async def pause(self, *, key: str | None = None) -> QueueInfo:
        """Hand nothing out until resumed; what is not in the line yet is put back."""
        return await self._operate("pause", key, lambda remember: Pause(self.row.id, True, remember))

    async def resume(self, *, key: str | None = None) -> QueueInfo:
        """Hand out again."""
        return await self._operate("resume", key, lambda remember: Pause(self.row.id, False, remember))

    async def close(self, *, key: str | None = None) -> QueueInfo:
        """No more draws, for good; later callers are told that the queue is exhausted."""
        return await self._operate("close", key, lambda remember: Close(self.row.id, remember))

    async def delete(self, *, key: str | None = None) -> QueueInfo:
        """Leave a tombstone: name, cursor and generation; the source is let go."""
        return await self._operate("delete", key, lambda remember: Delete(self.row.id, remember))

    async def retry(self, *, key: str | None = None) -> QueueInfo:
        """Open a failed source again, after the cursor.

        Raises:
            QueueConflict: the source has not failed.
        """
        return await self._operate("retry", key, self._retry)

    def _retry(self, remember: Remember | None) -> Op:
        if self._draw.gate.ending != "failed":
            raise QueueConflict(f"{self.name} is {self._draw.gate.state}, not failed", reason="not-failed")
        return Retry(self.row.id, remember)

    async def advance(self, to_seq: int, *, key: str | None = None) -> QueueInfo:
        """Jump forward: the next item is ``to_seq + 1``, and what lies between counts as jumped.

        Raises:
            QueueConflict: not forward, beyond the source's end, or the queue has ended.
            SourceBusy: the source did not come to ``to_seq`` in time; nothing was changed.
        """
        return await self._operate_by(
            f"advance {to_seq}", key, lambda remember: self._feed.advance(to_seq, remember)
        )

    async def _operate(self, request: str, key: str | None, op: Callable[[Remember | None], Op]) -> QueueInfo:
        return await self._operate_by(request, key, lambda remember: self.submit(op(remember)))

    async def _operate_by(
        self, request: str, key: str | None, begin: Callable[[Remember | None], Pending[QueueRow]]
    ) -> QueueInfo:
        if key is None:
            return await self._operated(begin(None))

        def run(remember: Remember, track: Track) -> Awaitable[QueueInfo]:
            pending = begin(remember)
            track(pending)
            return self._operated(pending)

        return await self._once(key, request, run, self._recalled_info)

    async def _operated(self, pending: Pending[QueueRow]) -> QueueInfo:
        try:
            async with asyncio.timeout(self._limits.operate_patience + self._limits.commit_patience):
                return self.seen(await pending)
        except TimeoutError:
            raise _unsure() from None

    def _recalled_info(self, recalled: Recalled) -> QueueInfo:
        return info_of(QueueRow(**recalled.outcome), replayed=True)

    def submit(self, op: Op) -> Pending[QueueRow]:
        """Put an op into the line; the gate is narrowed in the same step."""
        pending: Pending[QueueRow] = Pending()
        self._draw.enter(op, pending)
        pending.when_done(partial(self._tell, pending))
        return pending

    def _tell(self, pending: Pending[QueueRow]) -> None:
        """On the committer's thread, before the caller wakes."""
        if pending.value is not None:
            self._call_on_loop(self._changed, pending.value)

    def refresh(self, row: QueueRow) -> None:
        """What the ledger says after a reopening, told on the committer's thread before anything goes on."""
        self._draw.learn(row)

    def learn(self, row: QueueRow) -> None:
        """The queue as the ledger has it; on the event loop."""
        self.row = row
        self._waiters.wake()

    def retire(self) -> None:
        """This object is the queue no more: it was deleted, or defined anew."""
        self._retired = True
        self._feed.stop()
        self._waiters.wake()

    def _reopen(self) -> None:
        self._call_on_loop(self._feed.open)

    def _call_on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            return  # the loop is closed: nobody is there to be told

    async def started(self, seconds: float) -> None:
        """Wait until the source is open or has failed, at most ``seconds``."""
        until = self._loop.time() + seconds
        while self._draw.gate.starting and (left := until - self._loop.time()) > 0:
            await self._waiters.park(left)

    def stop(self) -> None:
        """Wake who waits and begin nothing more: the server goes down."""
        self._stopping = True
        self._waiters.wake()

    async def release(self, seconds: float) -> None:
        """Let the source go, after the last request; waits at most ``seconds`` for its ``finally``."""
        self._feed.stop()
        gone = asyncio.Event()
        self._pool.submit(partial(self._call_on_loop, gone.set))
        with suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), seconds)

    # -- looking

    def info(self) -> QueueInfo:
        """The queue as it is on disk now."""
        return self.seen(self._on_disk())

    def seen(self, row: QueueRow, *, created: bool = False) -> QueueInfo:
        """What a row says, with the state that only the server knows."""
        return info_of(row, starting=self._draw.gate.starting, created=created)

    def audit(self) -> Audit:
        """The independent counters, from one moment."""
        row = self._on_disk()
        return Audit(row.name, row.generation, row.cursor, row.taken, row.jumped)

    def _on_disk(self) -> QueueRow:
        row = self._engine.row(self.row.id)
        if row is None or row.deleted_at is not None:
            raise QueueUnknown(f"there is no queue {self.name}", field="queue")
        return row

    def _last_known(self) -> QueueRow:
        """As it is on disk, or as it was: statistics are asked for just when the disk fails."""
        try:
            return self._engine.row(self.row.id) or self.row
        except LedgerError:
            return self.row

    def stats(self) -> QueueStats:
        """Counted since the server started, except ``cursor`` and ``taken``."""
        row, meter, draw = self._last_known(), self.meter, self._draw
        iterator = draw.iterator_stats()
        return QueueStats(
            queue=self.name,
            state=draw.gate.state,
            cursor=row.cursor,
            taken=row.taken,
            requests=meter.requests,
            handed_out=meter.handed_out,
            replays=meter.replays,
            refused=meter.refused,
            rate=meter.rate.per_second(),
            in_flight=meter.in_flight,
            waiting=len(self._waiters),
            put_back=draw.put_back,
            threads=self._pool.threads,
            pulls=iterator.pulls if iterator else 0,
            contended=iterator.contended if iterator else 0,
            wait=percentiles(list(draw.waits)),
            hold=percentiles(list(draw.holds)),
            answer=percentiles(meter.answers),
            failure=draw.gate.failure,
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


def _unsure() -> OutcomeUnknown:
    return OutcomeUnknown(
        "the disk did not answer in time; ask again with the same key to learn what came of it"
    )
