"""Workers that settle a lease and take the next one, gathered in one step of the event loop into one op.

As in ``gather``: what can be done at once for all is done together, and whatever is not that simple goes its
own way (``Settles.settle``, ``HandOuts.lease``).
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from app.errors import DibsError
from app.ledger.pending import Pending
from app.ledger.together import Exchange, Exchanged, Trade
from app.ledger.work import Span
from app.queue.answers import LeaseAsk, Taken, Values
from app.queue.desk import unsure
from app.queue.draw import Ask
from app.queue.gather import first_of
from app.queue.watch import Watch

if TYPE_CHECKING:
    from app.queue.settle import Settles

Ranges = tuple[tuple[int, int], ...]


class Leasing(NamedTuple):
    """A lease that was given: on disk. ``values`` go with ``spans``, in order."""

    state: str
    token: str
    due: int
    spans: tuple[Span, ...]
    values: Values


class Trader(Protocol):
    """Who acks all of a lease (``token``), asks for the next one (``ask``), or both; without a key.

    Exactly one of the methods is called, once, on the event loop.
    """

    token: str | None
    ask: LeaseAsk | None

    def traded(self, acked: Ranges, lease: Leasing | None, state: str, now: int) -> None:
        """It is on disk. No ranges: the token was stale. No lease: none was asked for."""

    def unleased(self, acked: Ranges, state: str, now: int) -> None:
        """The acks are on disk, and there was nothing to lease just then: ask the queue for that alone."""

    def refused(self, error: DibsError) -> None:
        """Nothing was done, or nobody knows."""

    def alone(self) -> None:
        """Nothing was done: ask the queue by itself."""


class Exchanging:
    """The trades of one queue, on its event loop."""

    def __init__(self, queue: Settles, loop: asyncio.AbstractEventLoop) -> None:
        self._queue = queue
        self._loop = loop
        self._asked: list[Trader] = []
        limits = queue.limits
        self.watch = Watch(loop, limits.operate_patience + limits.commit_patience)
        self._under_way = False

    def trade(self, trader: Trader) -> None:
        """Settle and lease for this one, with all who ask in this step of the loop."""
        if not self._asked and not self._under_way:
            self._loop.call_soon(self._begin)
        self._asked.append(trader)

    def began(self) -> None:
        """An op goes to the disk. Who asks now could not get there before it has: they gather until then."""
        self._under_way = True

    def ended(self) -> None:
        """It is there, or failed, or is given up; the next one begins as in ``Gathering.ended``."""
        self._loop.call_soon(self._begin_next)

    def _begin_next(self) -> None:
        self._under_way = False
        self._begin()

    def _begin(self) -> None:
        """Deal with who asks, until an op is under way."""
        while self._asked and not self._under_way:
            counts = (trader.ask.most if trader.ask else 0 for trader in self._asked)
            traders, self._asked = first_of(self._asked, counts)
            self._deal(traders)

    def _deal(self, traders: list[Trader]) -> None:
        queue = self._queue
        if not queue.trades_at_once:
            _alone(traders)
            return
        claims = queue.claims.worth_knowing()
        if queue.spec is None and not claims:  # nothing waits: there is no sense in an op for that
            _alone([trader for trader in traders if trader.token is None])
            traders = [trader for trader in traders if trader.token is not None]
        if not traders:
            return
        if queue.spec is None or claims or not any(trader.ask for trader in traders):
            _Deal(queue, self._loop, traders).commit()
        elif queue.draws_at_once:
            _Deal(queue, self._loop, traders).draw()
        else:
            _alone(traders)


def _alone(traders: list[Trader]) -> None:
    for trader in traders:
        trader.alone()


class _Deal:
    """One op for many traders."""

    __slots__ = (
        "_ask",
        "_began",
        "_loop",
        "_pending",
        "_queue",
        "_traders",
        "_trades",
        "over",
        "until",
    )

    def __init__(self, queue: Settles, loop: asyncio.AbstractEventLoop, traders: list[Trader]) -> None:
        self._queue = queue
        self._loop = loop
        self._traders = traders
        self._began = perf_counter()
        tokens = queue.tokens.several(len(traders))
        self._trades = tuple([_trade(trader, token) for trader, token in zip(traders, tokens, strict=True)])
        self._ask: Ask | None = None
        self._pending: Pending[Any]
        self.over = False
        self.until = 0.0
        queue.meter.in_flight += len(traders)
        queue.exchanging.began()

    def commit(self) -> None:
        """Ack, and claim what waits."""
        queue = self._queue
        op = Exchange(queue.row.id, self._trades, None, queue.limits.handout_bytes)
        try:
            self._await(queue.commit(op, queue.claims.exchanged))
        except DibsError as error:
            self._refuse(error)

    def draw(self) -> None:
        """Ack, and draw fresh items, in the op that records the draw."""
        ask = self._ask = Ask(sum([trade.count for trade in self._trades]))
        ask.trades = self._trades
        self._queue.begin_gathered(ask)
        self._await(ask.pending)

    def _await(self, pending: Pending[Any]) -> None:
        self._pending = pending
        self._queue.exchanging.watch.add(self)
        pending.when_done(self._done, self._loop)

    def _done(self) -> None:
        if not self._traders:
            return  # they were told that nobody knows
        self._queue.claims.arm()
        try:
            found = self._pending.result(0)
        except DibsError as error:
            if self._ask is None or self._ask.enqueued:
                self._refuse(error)
            else:  # refused before it came to the line
                _alone(self._end())
            return
        if found is None:  # the draw met the source's end
            _alone(self._end())
        elif isinstance(found, Exchanged):
            self._tell(found, None)
        else:
            self._tell(found[1], found[0])

    def _end(self) -> list[Trader]:
        self.over = True
        traders, self._traders = self._traders, []
        self._queue.meter.in_flight -= len(traders)
        if self._ask is not None:
            self._queue.forget(self._ask)
        self._queue.exchanging.ended()
        return traders

    def late(self) -> None:
        """The disk is silent."""
        self._refuse(unsure())

    def _refuse(self, error: DibsError) -> None:
        traders = self._end()
        self._queue.meter.refused += len(traders)
        for trader in traders:
            trader.refused(error)

    def _tell(self, outcome: Exchanged, taken: Taken | None) -> None:
        newcomers = acked_items = handed = 0
        state, now = self._queue.state, self._queue.now()
        leases = self._leases(outcome, taken, state)
        for trader, acked, lease in zip(self._end(), outcome.acked, leases, strict=True):
            for first, last in acked:
                acked_items += last - first + 1
            if lease is not None:
                newcomers += trader.token is None
                handed += len(lease.values)
                trader.traded(acked, lease, state, now)
            elif trader.ask is None:
                trader.traded(acked, None, state, now)
            else:
                trader.unleased(acked, state, now)
        self._queue.meter.traded(newcomers, acked_items, handed, perf_counter() - self._began)

    def _leases(self, outcome: Exchanged, taken: Taken | None, state: str) -> list[Leasing | None]:
        if taken is not None:
            return self._fresh(outcome, taken)
        queue = self._queue
        if not outcome.leases:
            return [None] * len(self._trades)
        return [
            Leasing(
                state,
                trade.lease,
                claimed.due or 0,
                claimed.spans,
                queue.values_of(claimed) if claimed.values is None else claimed.values,
            )
            if claimed.spans
            else None
            for trade, claimed in zip(self._trades, outcome.leases, strict=True)
        ]

    def _fresh(self, outcome: Exchanged, taken: Taken) -> list[Leasing | None]:
        """To each the next of what was drawn."""
        leases: list[Leasing | None] = []
        values, at, total = taken.values, 0, taken.count
        for _, count, token, ttl, _ in self._trades:
            if not count or at == total:
                leases.append(None)
                continue
            end = min(at + count, total)
            spans = (Span(taken.first + at, taken.first + end - 1),)
            state = "open" if end - at == count else taken.state
            leases.append(Leasing(state, token, outcome.now + ttl, spans, values[at:end]))
            at = end
        return leases


def _trade(trader: Trader, token: str) -> Trade:
    ask = trader.ask
    if ask is None:
        return Trade(trader.token)
    return Trade(trader.token, ask.most, token, round(ask.ttl * 1000), ask.worker)
