"""Hand-outs: admission, keys and waiting on the event loop; the draw on a thread of the queue's own pool.

Waiting items (pushed, nacked, released, expired) go first, by a claim that the ledger alone decides; fresh
ones are drawn from the source when nothing waits. An answer holds the one or the other, never both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

from ..errors import (
    DibsError,
    LedgerError,
    NotArithmetic,
    QueueExhausted,
    QueuePaused,
    QueueStarting,
    QueueUnknown,
    Refused,
    SourceBusy,
    Stopping,
)
from ..ledger.committer import Committer
from ..ledger.ops import Engine, QueueRow, Recalled, Remember
from ..ledger.pending import Pending
from ..ledger.work import Claim, Claimed, Release, Settle, Span, Terms, Woken
from ..sources import Registry
from .answers import Block, LeaseAsk, Leased, Taken, Values, answer, leased
from .claims import Claims
from .desk import Desk, Track, unsure
from .draw import Ask, Draw
from .gather import Gathering
from .info import spec_of
from .limits import Limits
from .many import Many
from .meters import Meter
from .pool import Pool
from .rounds import Rounds
from .tokens import Tokens
from .values import Computing, seqs_of
from .wait import WAIT, Waiters


class HandOuts(Desk):
    """The part of a queue that hands out items."""

    def __init__(
        self,
        row: QueueRow,
        engine: Engine,
        committer: Committer,
        sources: Registry,
        limits: Limits,
        *,
        rounds: Rounds,
        reopen: Callable[[], None],
        route: Callable[[Woken], None],
    ) -> None:
        super().__init__(row, engine, committer, limits)
        self.spec = spec_of(row)
        self.meter = Meter()
        self._waiters = Waiters()
        self._asks: set[Ask] = set()
        self._stopping = False
        self._retired = False
        self._pool = Pool(row.name, limits.threads)
        self._computing = Computing(self.spec, sources)
        self._route = route
        self.claims = Claims(
            row.id, engine, self._waiters, route=route, ended=self._ended, barred=self._is_barred
        )
        self._draw = Draw(row, committer, limits, reopen=reopen, now=engine.now, told=self.claims.leased)
        self.tokens = Tokens(engine.now)
        self.rounds = rounds
        self.gathering = Gathering(self, rounds)

    async def take(self, count: int, *, wait: float = 0.0, key: str | None = None) -> Taken | None:
        """Take up to ``count`` items for good, on disk when this returns; None: empty, but more may come.

        ``wait`` (seconds) is how long to wait for the first item: of a queue that is empty, paused or
        starting, or whose source is slow.

        Raises:
            Refused: one of its kinds; nothing was handed out.
            LedgerFull, LedgerUnavailable: the disk is at fault; nothing was handed out.
            OutcomeUnknown: perhaps something was; ask again with the same key.
        """
        self._limits.check_count("count", count, self._limits.count)
        handed: Taken | None = await self._hand_out(f"take {count}", Ask(count), wait, key)
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

    async def lease(self, ask: LeaseAsk, *, key: str | None = None) -> Leased | None:
        """Hand items out until a deadline; None: empty, but more may come.

        Raises:
            Whatever :meth:`take` raises.
        """
        self._limits.check_lease(ask)
        handed: Leased | None = await self._hand_out(request_of(ask), self._leasing(ask), ask.wait, key)
        return handed

    def _leasing(self, ask: LeaseAsk) -> Ask:
        return Ask(ask.most, terms=Terms(self.tokens.new(), round(ask.ttl * 1000), ask.worker))

    async def _hand_out(self, request: str, ask: Ask, wait: float, key: str | None) -> Any:
        meter, began = self.meter, perf_counter()
        meter.requests += 1
        meter.in_flight += 1
        try:
            self._limits.check_wait(wait)
            if key is None:
                handed = await self._ask(ask, wait)
            else:
                run = partial(self._ask_with_key, ask, wait)
                handed = await self.once_for(key, request, run, partial(self._replay, ask=ask))
        except DibsError:
            meter.refused += 1
            raise
        finally:
            meter.in_flight -= 1
        if handed is not None:
            meter.handed(handed.count, replayed=handed.replayed, seconds=perf_counter() - began)
        return handed

    def _ask_with_key(self, ask: Ask, wait: float, remember: Remember, track: Track) -> Awaitable[Any]:
        ask.remember = remember
        return self._ask(ask, wait, track)

    async def _ask(self, ask: Ask, wait: float, track: Track = lambda pending: None) -> Any:
        """Waiting items, else fresh ones, else wait; None if the queue is still empty after the wait."""
        try:
            return await self._ask_until(ask, self._loop.time() + wait, track)
        finally:
            self.claims.arm()  # whoever was woken last leaves nobody without a timer

    async def _ask_until(self, ask: Ask, until: float, track: Track) -> Any:
        place, newcomer = self._waiters.place(), True
        while True:
            refusal, ended = self._barred(), self._ended()
            if refusal is None:
                handed = None if ask.block else await self._claim(ask, track, newcomer=newcomer)
                if handed is None:
                    handed, refusal = await self._fresh(ask, until, track)
                if handed is not None:
                    return handed
                if refusal is None and self._ended() and not ended:
                    continue  # it ended since the claim: what is left inside has to be certain
            final = refusal is not None and refusal.retry_after is None
            if final:
                self._committer.check_read()
            left = 0.0 if _over_already() else until - self._loop.time()
            if left <= 0 or self._leaving or final:
                return _end(refusal)
            if newcomer:
                self._check_room()
            await self.claims.park(left, place)
            newcomer = False

    def _check_room(self) -> None:
        """Refuse a further waiting request beyond the limit: each costs memory, whatever it waits for."""
        if len(self._waiters) + self._pool.backlog >= self._limits.waiting:
            raise SourceBusy(f"{self._limits.waiting} requests wait for {self.name} already", retry_after=1.0)

    @property
    def _leaving(self) -> bool:
        """Whether waiting is in vain: the server goes down, or this object is no longer the queue."""
        return self._stopping or self._retired

    def _over(self) -> Refused | None:
        """Why this object is not the queue any more, or not for long; None if it is."""
        if self._stopping:
            return Stopping("the server is going down", retry_after=1.0)
        if self._retired and not self._draw.gate.deleted:
            return QueueStarting(f"{self.name} was defined anew; ask again", retry_after=1.0)
        return None

    def check_current(self) -> None:
        """Raise if this object is no longer the queue, since its ops would change another one.

        Raises:
            Refused: the queue was defined anew (ask again), or there is none.
        """
        over = self._over()
        if over is None and self._draw.gate.deleted:
            over = QueueUnknown(f"there is no queue {self.name}", field="queue")
        if over is not None:
            raise over

    def _barred(self) -> Refused | None:
        """Why no item at all is handed out now, waiting or fresh; None if items are."""
        over = self._over()
        if over is not None:
            return over
        bar = self._draw.gate.bar()
        if isinstance(bar, QueuePaused) and self._ended() and self.claims.due is None:
            return None  # a pause says nothing to who asks for what has ended
        return bar

    def _is_barred(self) -> bool:
        return self._draw.gate.bar() is not None

    def _ended(self) -> bool:
        return self._draw.gate.ending is not None

    # -- waiting items

    async def _claim(self, ask: Ask, track: Track, *, newcomer: bool) -> Taken | Leased | None:
        if not self.claims.worth_knowing():
            return None
        if newcomer:
            await self.claims.yield_to_waiters()
        while True:
            pending = self.commit(self._claim_op(ask, ask.remember), self.claims.claimed)
            track(pending)
            try:
                claimed = await self._certain(pending)
            except asyncio.CancelledError:
                self._give_back(pending, ask)
                raise
            if claimed.spans:
                return self._handed(ask, claimed)
            if not self.claims.worth_trying() or self._barred() is not None:
                return None  # else it came upon more that is dead than one op writes down: it goes on

    def _claim_op(self, ask: Ask, remember: Remember | None = None) -> Claim:
        return Claim(self.row.id, ask.count, self._limits.handout_bytes, ask.terms, remember)

    async def _certain(self, pending: Pending[Claimed]) -> Claimed:
        try:
            async with asyncio.timeout(self._limits.commit_patience):
                return await self.claims.claim(pending)
        except TimeoutError:
            raise unsure() from None

    def _give_back(self, pending: Pending[Any], ask: Ask) -> None:
        """Release a lease whose caller is gone: without a key nobody can ask for it again."""
        if ask.terms is not None and ask.remember is None:
            pending.when_done(partial(self.release_lease, ask.terms.token), self._loop)

    def release_lease(self, token: str) -> None:
        """Let the items of a lease wait again that no caller has received."""
        with suppress(LedgerError):  # then the lease ends by itself
            self.commit(Settle(self.row.id, (Release(token),)), self.claims.settled)

    def _handed(self, ask: Ask, claimed: Claimed) -> Taken | Leased:
        """The answer for the items of a claim."""
        spans = claimed.spans
        values = self.values_of(claimed)
        if ask.terms is None:
            return Taken(self.name, self.state, spans[0].first, values, seqs=seqs_of(spans))
        due = claimed.due or 0  # of a lease there is one
        return leased(self.name, self.state, ask.terms.token, due, spans, values, self._engine.now())

    @property
    def state(self) -> str:
        """One word for answers: whether the source, or a producer, may give more items."""
        return self._draw.gate.state

    # -- fresh items

    async def _fresh(self, ask: Ask, until: float, track: Track) -> tuple[Any, Refused | None]:
        """Fresh items, or why there are none; neither if the queue is empty for now."""
        while True:
            if ask.block and not (self.spec and self._computing.arithmetic):
                by = self.spec.name if self.spec else "producers"
                raise NotArithmetic(f"{self.name} is fed by {by}, which does not count: no blocks")
            refusal = self._draw.gate.refusal()
            if refusal is None and self.spec is None:
                return None, None
            if isinstance(refusal, QueueExhausted) and self.claims.due is not None and not ask.block:
                return None, None  # what is delayed or leased may come back
            if refusal is not None:
                if isinstance(refusal, QueueExhausted):
                    self._waiters.wake()  # it is the last word for all
                return None, refusal
            try:
                handed = await self._drawn(ask, until, track)
            except QueueExhausted:
                continue  # it ended while this waited for its turn
            if handed is not None:
                return handed, None
            if not self._draw.gate.ending:  # this draw met the source's end, and somebody retries it
                raise SourceBusy(f"{self.name} is being retried", retry_after=1.0)

    async def _drawn(self, ask: Ask, until: float, track: Track) -> Any:
        self._check_room()
        ask.begin()
        ask.patience = max(until - self._loop.time(), self._limits.pull_patience)
        self._begin(ask)
        track(ask.pending)
        try:
            return await self._outcome(ask)
        except asyncio.CancelledError:
            if ask.enqueued:
                self._give_back(ask.pending, ask)
            raise

    def _begin(self, ask: Ask) -> None:
        """Begin a draw: on the event loop if the source never waits, else on a thread."""
        if self._pool.backlog or not self._draw.draw_at_once(ask):
            self._pool.submit(partial(self._draw.draw, ask))

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
        """End a draw whose caller's patience is over; wait a while longer for an op that is in the line."""
        if not self._draw.give_up(ask):
            self._loop.call_later(self._limits.commit_patience, _fail, turn, unsure())

    # -- fresh items for many at once (see ``gather``)

    @property
    def draws_at_once(self) -> bool:
        """Whether a take needs only a draw: the queue refuses nothing, and no item waits."""
        draw = self._draw
        return (
            draw.arithmetic
            and not self._leaving
            and draw.gate.refusal() is None
            and not self.claims.worth_knowing()
            and not self._pool.backlog
        )

    def draw_for_many(self, many: Many) -> bool:
        """Draw for several callers; False if that can't be done at once: nothing was drawn."""
        return self._draw.draw_for_many(many)

    def known_keys(self, keys: list[str]) -> set[str] | None:
        """The keys that have their answer already; None if the ledger can't be read now."""
        if not keys:
            return set()
        try:
            return self._engine.known_keys(self.row.id, self.row.generation, "", keys)
        except LedgerError:
            return None

    def values_of(self, claimed: Claimed) -> Values:
        """The values of claimed items: kept ones, or computed ones."""
        return self._computing.of(claimed.spans, claimed.values)

    def now(self) -> int:
        """Ledger time."""
        return self._engine.now()

    @property
    def limits(self) -> Limits:
        """The limits of requests: counts, sizes, durations."""
        return self._limits

    # -- the same answer again

    def _replay(self, recalled: Recalled, *, ask: Ask) -> Taken | Block | Leased:
        if isinstance(recalled.work, Claimed) and recalled.work.spans:
            return self._replay_claim(recalled, recalled.work, ask)
        first, state = recalled.outcome["first"], recalled.outcome["ending"] or "open"
        due = recalled.outcome.get("due")
        if due is not None and ask.terms is not None:
            return self.replayed_lease(recalled, due, (Span(first, first + _size(recalled) - 1),))
        return answer(
            self.name, state, first, recalled.values, wide=recalled.wide, block=ask.block, replayed=True
        )

    def _replay_claim(self, recalled: Recalled, claimed: Claimed, ask: Ask) -> Taken | Leased:
        if ask.terms is not None and claimed.due is not None:
            return self.replayed_lease(recalled, claimed.due, claimed.spans)
        spans, values = claimed.spans, self._computing.recalled(recalled, claimed.spans)
        return Taken(self.name, self.state, spans[0].first, values, replayed=True, seqs=seqs_of(spans))

    def replayed_lease(self, recalled: Recalled, due: int, spans: tuple[Span, ...]) -> Leased:
        """The lease that was answered then, expired or not."""
        values = self._computing.recalled(recalled, spans)
        if recalled.wide and isinstance(values, range):
            values = [f'"{number}"' for number in values]
        again = leased(self.name, self.state, recalled.token or "", due, spans, values, self._engine.now())
        return replace(again, replayed=True)


def request_of(ask: LeaseAsk) -> str:
    """The text by which two lease requests under the same key are told apart."""
    return f"lease {ask.most} {ask.ttl:g} {ask.worker}"


def _over_already() -> bool:
    """Whether the caller has ended its wait."""
    wait = WAIT.get()
    return wait is not None and wait.over


def _size(recalled: Recalled) -> int:
    return len(recalled.values)


def _end(refusal: Refused | None) -> None:
    if refusal is not None:
        raise refusal


def _wake(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


def _fail(turn: asyncio.Future[None], error: Exception) -> None:
    if not turn.done():
        turn.set_exception(error)
