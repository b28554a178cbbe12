"""The line of a queue: its asks, and which of them join the next round."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..errors import DibsError, LedgerError, LedgerUnavailable
from ..ledger.serve import Ask, Serve
from ..ledger.work import Release
from .callers import Caller, Nobody
from .condition import Condition
from .feeder import Feeder
from .gate import stopping
from .parking import Parking
from .replies import Replies
from .round import Round, guarded
from .rounds import Rounds, again
from .upcoming import Upcoming, in_order
from .waiting import Waiting

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow
    from ..ledger.serve import After
    from ..sources import SourceSpec
    from .batch import Batch
    from .limits import Limits
    from .supply import Supply
    from .tokens import Tokens
    from .values import Computing

_ask = attrgetter("ask")

# As its own constructor does, in a third of the time.
_serve: Callable[[Any], Serve] = partial(tuple.__new__, Serve)


class Line:
    """The asks of one queue. Lives on the event loop, which alone touches it.

    It has the parts of its queue: the asks that are ``upcoming`` in the next round, the ``parking`` of those
    that wait, the ``condition`` with its ``supply``, the ``replies``. ``row`` is the queue as the last
    op on it told; its counters may be behind. ``find`` gives the line of the queue that has this name now.
    """

    def __init__(
        self,
        row: QueueRow,
        *,
        spec: SourceSpec | None,
        supply: Callable[[Callable[[], None]], Supply],
        computing: Computing,
        rounds: Rounds,
        limits: Limits,
        now: Callable[[], int],
        tokens: Tokens,
        find: Callable[[str], Line | None],
    ) -> None:
        self.name = row.name
        self.row = row
        self.spec = spec
        self.computing = computing
        self.limits = limits
        self.tokens = tokens
        self.retired = False
        self.supply = supply(self.news)
        self.feeder = self.supply if isinstance(self.supply, Feeder) else None
        self.condition = Condition(row, self.supply, now)
        self._rounds = rounds
        self._loop = rounds.loop
        self._find = find
        self.replies = Replies(self.condition, self.release_lease, self._loop.time)
        self.meter = self.replies.meter
        self.parking = Parking(
            self.condition,
            self.replies,
            rounds,
            limits=limits,
            feeder=self.feeder,
            join=lambda: rounds.join(self),
            ask=self.add,
        )
        self.park, self.tried = self.parking.park, self.parking.tried
        self.upcoming = Upcoming(drawn=self.feeder is not None)
        self._looking = False  # whether a look is called for in the next turn of the loop

    # -- asking

    def ask(self, ask: Ask, wait: float, caller: Caller) -> Waiting:
        """Ask for a caller, who is told once, perhaps before this returns."""
        waiting = Waiting(self, ask, caller, self._loop.time(), wait)
        self.meter.in_flight += 1
        if waiting.alone:
            self.meter.requests += 1
        self.add(waiting)
        return waiting

    def add(self, waiting: Waiting) -> None:
        """Add an ask to the line: to the next round, or to those that wait."""
        ask, shut = waiting.ask, self._rounds.shut
        if self.retired and (ask.key is None or self._find(self.name) is not None):
            self._forward(waiting)  # a key of a deleted queue is looked up: it may have its answer
        elif self.condition.stopping:
            self.replies.without_items(waiting, stopping())
        elif shut is not None:
            self._unwritable(waiting, shut)
        elif ask.key is not None and not self.parking.admit(waiting):
            return  # it has its refusal
        elif (
            ask.key is not None
            or ask.entries
            or waiting.over
            or self.condition.has_something()
            or not self._rounds.engine.sure  # a former owner shall not say that there is nothing
        ):
            self.upcoming.add(waiting)
            if self.feeder is not None:
                self._look_soon()  # before the round begins, so that values may be there in it
            self._rounds.join(self)
        elif self.parking.park(waiting, why := self.condition.why_not()):
            self._look_soon()
        else:
            self.replies.nothing(waiting, why)

    def _forward(self, waiting: Waiting) -> None:
        """Put an ask to the queue that has this name now; there may be none."""
        other = self._find(self.name)
        if other is None or other is self:
            self.replies.nothing(waiting, "deleted")
            return
        self.meter.in_flight -= 1
        other.meter.in_flight += 1
        waiting.line, waiting.noted = other, 0.0  # the list of that line does not have it
        other.add(waiting)

    def again(self, waiting: Waiting) -> None:
        """Ask once more: the queue as it is now. Who has left without a key is not asked for items."""
        if waiting.caller.gone and waiting.ask.key is None:
            waiting.ask = waiting.ask._replace(handout=None)
            if not waiting.ask.entries:
                self._forget(waiting)
                return
        if self._find(self.name) is self:
            self.add(waiting)
        else:
            self._forward(waiting)

    def gone(self) -> DibsError:
        """The refusal of a request that found no row: final only where no queue has this name now."""
        other = self._find(self.name)
        error = self.condition.refusal("deleted" if other is None or other is self else "moved")
        assert error is not None  # noqa: S101  # both are refusals
        return error

    # -- an ask whose caller leaves

    def end(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.end`."""
        waiting.over = True
        if waiting.parked:
            self.parking.parked.remove(waiting)
            self.add(waiting)

    def drop(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.drop`."""
        waiting.over = True
        if waiting.parked:
            self.parking.parked.remove(waiting)
            self._forget(waiting)
        elif waiting.ask.key is None and waiting.asked:
            if waiting.ask.entries:
                waiting.ask = waiting.ask._replace(handout=None)
            else:
                self.upcoming.drop()
                self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        waiting.done = True
        self.meter.in_flight -= 1

    def release_lease(self, token: str) -> None:
        """Let the items of a lease wait again that no caller has received."""
        if self._rounds.down is None and not self.condition.stopping:  # else the lease ends by itself
            self.ask(Ask(entries=(Release(token),)), 0.0, Nobody())

    # -- a round

    def begin(self, batch: Batch) -> Round | None:
        """Begin a round: parked asks that may be served now, then those that have come since."""
        tried = self.parking.begin(batch.asks) if self.parking.tries else []
        taken = self.upcoming.take()
        if tried:
            taken = in_order(tried, taken)
        count, items = batch.fit(taken)
        if count < len(taken):
            for waiting in taken[count:]:
                self.upcoming.add(waiting)
            del taken[count:]
            self._rounds.join(self)
            self._look_soon()
        drawn = None
        if self.feeder is not None:
            try:
                drawn = self.feeder.offer(items)
            except Exception:
                for waiting in taken:  # nobody else would tell them
                    unfed = LedgerUnavailable(f"{self.name} can't be asked now; nothing was handed out")
                    guarded(self.replies.without_items, waiting, unfed)
                raise
        if drawn is not None:
            batch.bytes -= sum(map(len, drawn.texts))
        elif not taken:
            return None
        asks, ttl = tuple(map(_ask, taken)), int(self.limits.key_ttl * 1000)
        op = _serve((self.row.id, self.condition.state.edition, asks, drawn, self.supply.length, ttl, ttl))
        return Round(self, op, taken, len(tried))

    def expect(self, items: int) -> None:
        """Try as many parked asks as items are pushed in the next batch: it serves them, too."""
        if self.parking.expect(items):
            self._rounds.join(self)

    def learn(self, after: After) -> None:
        """Follow what a batch made of the queue; then see who may be served."""
        self.condition.state = after
        if self.feeder is not None:
            self.feeder.learn(after)
        if self.feeder is not None or self.parking.parked.size:
            self._look()

    def news(self) -> None:
        """Look again, as the supply has values, or an end, or has come to be open."""
        if not self.retired:
            self._look()

    def _look_soon(self) -> None:
        """Look once for all asks that come in this turn of the loop: one pull is for all of them."""
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """See to what has to be recorded, though nobody asks, and whether parked asks may be served now."""
        self._looking = False
        if self.feeder is not None:
            if self.feeder.end_pending:
                self._rounds.join(self)
            if self.upcoming.wanted:
                self.feeder.want(self.parking.parked.wanted + self.upcoming.wanted)
        self.parking.look()

    # -- a disk that fails

    def resume(self) -> None:
        """Ask what has waited for the disk, which is back: anew, as it may never have been asked.

        And record an end that the disk did not take.
        """
        for waiting in self.parking.parked.all():
            self.add(waiting)
        self._look()

    def refuse_waiting(self, error: LedgerError) -> None:
        """Refuse the asks that have not begun; those that may wait are parked until the disk is back."""
        for waiting in self.upcoming.take():
            guarded(self._unwritable, waiting, error)

    def _unwritable(self, waiting: Waiting, error: LedgerError) -> None:
        if not self.outlast(waiting):
            self.replies.without_items(waiting, again(error))

    def outlast(self, waiting: Waiting) -> bool:
        """Let an ask of which nothing is on disk wait until the disk is back; False if it may not."""
        here = self._find(self.name) is self  # else nobody would wake it
        over = waiting.over or self.condition.stopping or waiting.until <= self._loop.time()
        if self._rounds.shut is None or over or not here:
            return False
        waiting.deadline = waiting.until
        self.parking.put(waiting, "empty")
        return True

    # -- the end

    def stop(self) -> None:
        """Answer the asks that wait, and begin nothing more, as the server goes down."""
        self.condition.stopping = True
        self.parking.answer("empty")
        self.parking.close()

    def retire(self) -> None:
        """Retire this line, as its row is not the queue any more: its asks are put to the new one."""
        self.retired = True
        self.supply.stop()
        self.parking.close()
        asked = self.upcoming.take()
        for waiting in self.parking.parked.all():
            self._forward(waiting)
        for waiting in asked:
            self.add(waiting)

    @property
    def parked(self) -> int:
        """Asks that wait."""
        return self.parking.parked.size
