"""A queue: hand-outs, settling, pushing, what is inside (a file each); here operating and statistics."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ..errors import LedgerError, QueueConflict, Stopping
from ..ledger.committer import Committer
from ..ledger.ops import Close, Delete, Engine, Op, Pause, QueueRow, Recalled, Remember, Retry
from ..ledger.pending import Pending
from ..ledger.work import Woken
from ..sources import Registry
from .answers import QueueInfo, QueueStats
from .desk import Track, outcome
from .feed import Feed
from .info import info_of
from .inside import Holds
from .limits import Limits
from .meters import percentiles
from .rounds import Rounds


class Look(NamedTuple):
    """A queue as the ledger has it: its row, and how many items wait, are leased and are dead."""

    row: QueueRow
    inside: tuple[int, int, int]


class Queue(Holds):
    """A named stream of items with one source, or none. Its methods are called on the event loop.

    ``row`` is the queue as the ledger had it when that was last told; its counters may be behind. ``changed``
    is called on the event loop with each row that the ledger tells, before its caller wakes: the row
    decides whether this object is still the queue. ``route`` tells a queue, on any thread, that it got items.
    ``in_file``: whether the configuration has the queue.
    """

    def __init__(
        self,
        row: QueueRow,
        engine: Engine,
        committer: Committer,
        sources: Registry,
        limits: Limits,
        *,
        rounds: Rounds,
        changed: Callable[[QueueRow], None],
        route: Callable[[Woken], None] = lambda woken: None,
        in_file: bool = False,
    ) -> None:
        super().__init__(
            row, engine, committer, sources, limits, rounds=rounds, reopen=self._reopen, route=route
        )
        self._changed = changed
        self._known, self._glanced = row, (0, 0, 0)
        self._in_file = in_file
        self._feed: Feed | None = None
        if self.spec is None:
            self._draw.end_start()
            return
        self._feed = Feed(
            self.spec,
            self._draw,
            self._pool,
            engine=engine,
            sources=sources,
            committer=committer,
            limits=limits,
            opened=partial(self._call_on_loop, self._waiters.wake),
            later=self._loop.call_later,
        )

    def begin(self) -> None:
        """Open the source and count the waiting items, once the queue is registered and hears of both."""
        self.claims.look()
        if self._feed is not None:
            self._feed.open()

    # -- operating

    async def pause(self, *, key: str | None = None) -> QueueInfo:
        """Hand out nothing until `resume`; values that are not in the line yet are put back."""
        return await self._operate("pause", key, lambda remember: Pause(self.row.id, True, remember))

    async def resume(self, *, key: str | None = None) -> QueueInfo:
        """Hand out again."""
        return await self._operate("resume", key, lambda remember: Pause(self.row.id, False, remember))

    async def close(self, *, key: str | None = None) -> QueueInfo:
        """End draws and pushes for good. Items inside are still handed out; then the queue is exhausted."""
        return await self._operate("close", key, lambda remember: Close(self.row.id, remember))

    async def delete(self, *, confirmed: bool = True, key: str | None = None) -> QueueInfo:
        """Delete the queue: its items are purged, its source is let go; name, cursor and generation stay.

        Raises:
            QueueConflict: the request is not ``confirmed``, and items are inside; nothing was changed.
        """

        def begin(remember: Remember | None) -> Pending[QueueRow]:
            if not confirmed and (row := self.on_disk()).inside:
                raise _NotEmpty(row)
            return self.submit(Delete(self.row.id, remember, confirmed))

        try:
            return await self._operate_by("delete", key, begin, _check_deleted)
        except _NotEmpty as refused:
            row = refused.row
        raise await self.not_empty(row, "DELETE")

    async def not_empty(self, row: QueueRow, how: str) -> QueueConflict:
        """The refusal of a request (``how``) that would drop the items inside and does not confirm that."""
        waiting, leased, dead = await asyncio.to_thread(self._glance, row)
        return QueueConflict(
            f"{self.name} holds {waiting} waiting, {leased} leased and {dead} dead items, which would be"
            f" dropped: {how} /queues/{self.name}?confirm={self.name} says that this is meant",
            reason="not-empty",
            field="confirm",
        )

    async def retry(self, *, key: str | None = None) -> QueueInfo:
        """Open a failed source again, after the cursor.

        Raises:
            QueueConflict: the source has not failed.
        """
        return await self._operate("retry", key, self._retry)

    def _retry(self, remember: Remember | None) -> Op:
        self._committer.check_read()
        if self._draw.gate.ending != "failed":
            raise QueueConflict(f"{self.name} is {self._draw.gate.state}, not failed", reason="not-failed")
        return Retry(self.row.id, remember)

    async def advance(self, to_seq: int, *, key: str | None = None) -> QueueInfo:
        """Jump forward: the next item is ``to_seq + 1``, and the items in between count as jumped.

        Raises:
            QueueConflict: not forward, beyond the source's end, or the queue has ended.
            SourceBusy: the source did not come to ``to_seq`` in time; nothing was changed.
        """
        feed = self._feed
        if feed is None:
            raise QueueConflict(f"{self.name} has no source to advance", reason="conflict", field="to_seq")
        return await self._operate_by(
            f"advance {to_seq}", key, lambda remember: feed.advance(to_seq, remember)
        )

    async def _operate(self, request: str, key: str | None, op: Callable[[Remember | None], Op]) -> QueueInfo:
        return await self._operate_by(request, key, lambda remember: self.submit(op(remember)))

    async def _operate_by(
        self,
        request: str,
        key: str | None,
        begin: Callable[[Remember | None], Pending[QueueRow]],
        check: Callable[[QueueRow], None] = lambda row: None,
    ) -> QueueInfo:
        if key is None:
            return await self._operated(begin(None), check)

        def run(remember: Remember, track: Track) -> Awaitable[QueueInfo]:
            pending = begin(remember)
            track(pending)
            return self._operated(pending, check)

        return await self.once_for(key, request, run, self._recalled_info)

    async def _operated(self, pending: Pending[QueueRow], check: Callable[[QueueRow], None]) -> QueueInfo:
        row = await outcome(pending, self._limits)
        check(row)
        return await self.seen(row)

    def _recalled_info(self, recalled: Recalled) -> QueueInfo:
        return info_of(QueueRow.of(recalled.outcome), self._limits, replayed=True, in_file=self._in_file)

    def submit(self, op: Op, *, same_source: bool = False) -> Pending[QueueRow]:
        """Put an op into the line; the gate is narrowed in the same step.

        ``same_source``: the definition changes the settings only, so no request is held up by it.
        """
        pending: Pending[QueueRow] = Pending()
        told = partial(self._call_on_loop, self._changed)
        self._draw.enter(op, pending, told, narrows=not same_source)
        pending.when_done(partial(self._came_of, pending))
        return pending

    def _came_of(self, pending: Pending[QueueRow]) -> None:
        """Widen the gate after an op that did not come to the disk, and let waiting requests look again."""
        if pending.value is None:
            self._call_on_loop(self._waiters.wake)

    def refresh(self, row: QueueRow) -> None:
        """Learn the queue's row after a reopening of the ledger; first of all, on the committer's thread."""
        self.claims.look()
        self._draw.learn(row)

    def learn(self, row: QueueRow) -> None:
        """Learn the queue's row as the ledger has it; on the event loop."""
        self.row = row
        self._waiters.wake()

    def retire(self) -> None:
        """Retire this object, as its queue was deleted or defined anew."""
        self._retired = True
        self.claims.close()
        if self._feed is not None:
            self._feed.stop()
        self._waiters.wake()

    def _reopen(self) -> None:
        if self._feed is not None:
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
        """Wake the waiting requests and begin nothing more, as the server goes down."""
        self._stopping = True
        self._waiters.wake()
        for ask in list(self._asks):
            self._draw.give_up(ask, Stopping("the server is going down", retry_after=1.0))

    async def release(self, seconds: float) -> None:
        """Let the source go, after the last request; waits at most ``seconds`` for its ``finally``."""
        self.claims.close()
        if self._feed is None:
            return
        gone = asyncio.Event()
        self._feed.stop(partial(self._call_on_loop, gone.set))
        with suppress(TimeoutError):
            await asyncio.wait_for(gone.wait(), seconds)

    # -- looking

    def info(self) -> QueueInfo:
        """The queue as it is on disk now; to count many leases takes long, see :meth:`read`."""
        row = self.on_disk()
        return self.shown(Look(row, self._glance(row)))

    async def read(self) -> QueueInfo:
        """The queue as it is on disk now; what is inside is counted off the loop."""
        return await self.seen(self.on_disk())

    @property
    def starting(self) -> bool:
        """Whether the source is not open yet."""
        return self._draw.gate.starting

    @property
    def parked(self) -> int:
        """Requests that wait."""
        return len(self._waiters)

    def look(self) -> Look:
        """The queue as the ledger has it, or had it when it could be read last; from any thread."""
        row = self._last_known()
        return Look(row, self._glance(row))

    async def seen(self, row: QueueRow, *, created: bool = False) -> QueueInfo:
        """The answer for a row, with the state that only the server knows."""
        inside = await asyncio.to_thread(self._glance, row) if row.inside else (0, 0, 0)
        return self.shown(Look(row, inside), created=created)

    def shown(self, look: Look, *, created: bool = False) -> QueueInfo:
        """The answer for a `Look` that was made before."""
        row, inside = look
        return info_of(
            row,
            self._limits,
            inside,
            starting=self._draw.gate.starting,
            created=created,
            in_file=self._in_file,
        )

    def _glance(self, row: QueueRow) -> tuple[int, int, int]:
        """How many items wait, are leased and are dead; an empty queue needs no look."""
        if not row.inside:
            return 0, 0, 0
        with suppress(LedgerError):  # then as it was: that nothing is inside would be a word to act on
            self._glanced = self._engine.glance(row.id)
        return self._glanced

    def _oldest_waiting(self, waiting: int) -> float | None:
        due = self.claims.due
        if not waiting or due is None or not due:
            return None
        return max(self._engine.now() - due, 0) / 1000

    def _last_known(self) -> QueueRow:
        """The row on disk, or the last known one: statistics are wanted most when the disk fails."""
        with suppress(LedgerError):
            self._known = self._engine.row(self.row.id) or self.row
        return self._known

    def stats(self, look: Look | None = None) -> QueueStats:
        """Statistics since the server started (``cursor``, ``taken``: for ever), of an earlier `Look`."""
        row, (waiting, leased, dead) = look or self.look()
        meter, draw = self.meter, self._draw
        iterator = draw.iterator_stats()
        return QueueStats(
            queue=self.name,
            state=draw.gate.state,
            cursor=row.cursor,
            taken=row.taken,
            acked=row.acked,
            waiting_items=waiting,
            leased=leased,
            dead=dead,
            oldest_waiting=self._oldest_waiting(waiting),
            pushed=meter.pushed,
            settled=meter.settled,
            nacked=meter.nacked,
            requests=meter.requests,
            handed_out=meter.handed_out,
            replays=meter.replays,
            refused=meter.refused,
            rate=meter.rate.per_second(),
            in_flight=meter.in_flight,
            waiting=self.parked,
            put_back=draw.put_back,
            threads=self._pool.threads,
            pulls=iterator.pulls if iterator else 0,
            contended=iterator.contended if iterator else 0,
            wait=percentiles(draw.waits.copy()),
            hold=percentiles(draw.holds.copy()),
            answer=percentiles(meter.answers),
            failure=draw.gate.failure,
        )


class _NotEmpty(Exception):
    """A queue with items inside is not deleted."""

    def __init__(self, row: QueueRow) -> None:
        super().__init__(row)
        self.row = row


def _check_deleted(row: QueueRow) -> None:
    """Raise if the queue was not deleted, as items came to be inside."""
    if row.deleted_at is None:
        raise _NotEmpty(row)
