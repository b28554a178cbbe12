"""Workers that settle a lease and take the next one, gathered in one round of the event loop into one op.

As in ``gather``, trades that can be done at once are done together, and a trade that is not that simple goes
its own way (``Settles.settle``, ``HandOuts.lease``).
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import DibsError, OutcomeUnknown
from ..ledger.together import Exchange, Exchanged, Trade
from ..ledger.work import Span
from .answers import LeaseAsk, Values
from .desk import unsure
from .gather import first_of
from .many import Many
from .rounds import Rounds, tell

if TYPE_CHECKING:
    from .settle import Settles

log = logging.getLogger("dibs.queue")

Ranges = tuple[tuple[int, int], ...]


class Leasing(NamedTuple):
    """A lease that was given: on disk. ``values`` go with ``spans``, in order."""

    state: str
    token: str
    due: int
    spans: tuple[Span, ...]
    values: Values


class Trader(Protocol):
    """A worker that acks all of a lease (``token``), asks for the next one (``ask``), or both; without a key.

    Exactly one of its methods is called, once, on the event loop.
    """

    token: str | None
    ask: LeaseAsk | None

    def traded(self, acked: Ranges, lease: Leasing | None, state: str, now: int) -> None:
        """Answer with a trade that is on disk. No ranges: the token was stale. No lease: none was wanted."""

    def unleased(self, acked: Ranges, state: str, now: int) -> None:
        """Lease alone: the acks are on disk, and there was no item to lease just then."""

    def refused(self, error: DibsError) -> None:
        """Refuse: nothing was done, or nobody knows."""

    def alone(self) -> None:
        """Settle and lease alone, as nothing was done."""


class Exchanging:
    """The trades of one queue, on its event loop."""

    def __init__(self, queue: Settles, rounds: Rounds) -> None:
        self._queue = queue
        self.rounds = rounds
        self._asked: list[Trader] = []

    def trade(self, trader: Trader) -> None:
        """Settle and lease for this worker, together with all workers of the round."""
        if not self._asked:
            self.rounds.join(self)
        self._asked.append(trader)

    def begin(self) -> None:
        """Deal with the trades of the round."""
        counts = [trader.ask.most if trader.ask else 0 for trader in self._asked]
        traders, self._asked = first_of(self._asked, counts)
        if self._asked:
            self.rounds.join(self)
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
            _Deal(self, queue, traders).commit()
        elif queue.draws_at_once:
            _Deal(self, queue, traders).draw()
        else:
            _alone(traders)


def _alone(traders: list[Trader]) -> None:
    for trader in traders:
        tell(trader.alone)


class _Deal(Many):
    """One op for many traders."""

    __slots__ = ("_began", "_exchanging", "_queue", "_traders", "_trades")

    def __init__(self, exchanging: Exchanging, queue: Settles, traders: list[Trader]) -> None:
        self._exchanging = exchanging
        self._queue = queue
        self._traders = traders
        self._began = perf_counter()
        tokens = queue.tokens.several(len(traders))
        self._trades = tuple([_trade(trader, token) for trader, token in zip(traders, tokens, strict=True)])
        super().__init__(sum([trade[1] for trade in self._trades]))

    def commit(self) -> None:
        """Ack, and claim waiting items."""
        queue = self._queue
        op = Exchange(queue.row.id, self._trades, None, queue.limits.handout_bytes)
        try:
            queue.commit(op, queue.claims.exchanged, self)
        except DibsError as error:
            self.fail(error)
        self._wait()

    def draw(self) -> None:
        """Ack, and draw fresh items, in the op that records the draw."""
        self.trades = self._trades
        if self._queue.draw_for_many(self):
            self._wait()
        else:
            _alone(self._traders)

    def _wait(self) -> None:
        self._queue.meter.in_flight += len(self._traders)
        self._exchanging.rounds.began(self)
        self.when_done(self._done, self._exchanging.rounds.loop)

    def _done(self) -> None:
        if not self._traders:
            return  # they were told that nobody knows
        tell(self._queue.claims.arm)
        try:
            found = self.result(0)
        except DibsError as error:
            if self.trades is None or self.values is not None:
                self._refuse(error)
            else:  # refused before it came to the line
                _alone(self._end())
            return
        if isinstance(found, Exchanged):
            self._tell(found)
        else:  # the draw met the source's end
            _alone(self._end())

    def _end(self) -> list[Trader]:
        traders, self._traders = self._traders, []
        self._queue.meter.in_flight -= len(traders)
        self._exchanging.rounds.ended(self)
        return traders

    def late(self) -> None:
        """Tell the workers that the disk does not answer in time."""
        self._refuse(unsure())

    def _refuse(self, error: DibsError) -> None:
        self._refuse_all(self._end(), error)

    def _refuse_all(self, traders: list[Trader], error: DibsError) -> None:
        self._queue.meter.refused += len(traders)
        for trader in traders:
            tell(trader.refused, error)

    def _tell(self, outcome: Exchanged) -> None:
        newcomers = acked_items = handed = 0
        state, now = self._queue.state, self._queue.now()
        traders = self._end()
        try:
            leases = self._leases(outcome, state)
        except Exception:  # as ``answered`` has it, of an op of its own
            log.exception("the answers to %r", outcome)
            self._refuse_all(
                traders, OutcomeUnknown("the request is done and on disk, but its answer can't be made")
            )
            return
        for trader, acked, lease in zip(traders, outcome.acked, leases, strict=True):
            for first, last in acked:
                acked_items += last - first + 1
            if lease is not None:
                newcomers += trader.token is None
                handed += len(lease.values)
            if lease is None and trader.ask is not None:
                tell(trader.unleased, acked, state, now)
            else:
                tell(trader.traded, acked, lease, state, now)
        self._queue.meter.traded(newcomers, acked_items, handed, perf_counter() - self._began)

    def _leases(self, outcome: Exchanged, state: str) -> list[Leasing | None]:
        if self.values is not None:
            return self._fresh(outcome)
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

    def _fresh(self, outcome: Exchanged) -> list[Leasing | None]:
        """Give each worker the next of the drawn items."""
        leases: list[Leasing | None] = []
        values = self.answered
        at, total = 0, len(values)
        for _, count, token, ttl, _ in self._trades:
            if not count or at == total:
                leases.append(None)
                continue
            end = min(at + count, total)
            spans = (Span(self.first + at, self.first + end - 1),)
            state = "open" if end - at == count else self.state
            leases.append(Leasing(state, token, outcome.now + ttl, spans, values[at:end]))
            at = end
        return leases


def _trade(trader: Trader, token: str) -> Trade:
    ask = trader.ask
    if ask is None:
        return Trade(trader.token)
    return Trade(trader.token, ask.most, token, round(ask.ttl * 1000), ask.worker)
