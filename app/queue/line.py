"""The line of a queue: its asks, those that wait, and which of them join the next round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import DibsError, LedgerError, NotArithmetic, SourceBusy, Stopping
from ..ledger.serve import Ask, Serve
from ..ledger.work import Release
from .answers import Answer
from .condition import Condition
from .gate import WAITS, key_reused, key_superseded
from .replies import Replies
from .round import AskedRound
from .rounds import Room, Rounds, again, guarded
from .wait import WAIT
from .waiting import FIRST_TRIES, Caller, Parked, Waiting, items_of

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow
    from ..ledger.serve import After
    from ..sources import SourceSpec
    from .limits import Limits
    from .supply import Supply
    from .tokens import Tokens
    from .values import Computing


class Line:
    """The asks of one queue. Lives on the event loop, which alone touches it.

    It holds those that have come since the last round, the *parked* ones, the queue's ``condition`` with its
    ``supply``, and its ``replies``. ``row`` is the queue as the ledger had it when an op on it was last told;
    its counters may be behind. ``find`` gives the line of the queue that has this name now.
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
        self.condition = Condition(row, self.supply, now)
        self._rounds = rounds
        self._loop = rounds.loop
        self._find = find
        self.replies = Replies(row.name, self.condition, self.release_lease, self._loop.time)
        self.meter = self.replies.meter
        self._asked: list[Waiting] = []
        self._parked = Parked(self._loop, self._late)
        self._wanted = (
            0  # items of a drawn source that those in the line ask for; of one key those of one ask
        )
        self._keys: set[tuple[str, str]] = set()  # of these
        self._tries = 0  # parked asks that join the next round
        self._burst = FIRST_TRIES
        self._timer: asyncio.TimerHandle | None = None
        self._key_ttl = int(limits.key_ttl * 1000)
        self._started: list[asyncio.Future[None]] = []

    # -- asking

    async def asked(self, ask: Ask, wait: float = 0.0) -> Answer:
        """Ask, and wait for the answer; a cancelled caller is as one that has gone.

        Raises:
            Refused: one of its kinds; nothing was handed out.
            LedgerFull, LedgerUnavailable: the disk is at fault; nothing was done.
            OutcomeUnknown: perhaps something was; ask again with the same key.
        """
        caller = Awaiting(self._loop)
        waiting = self.ask(ask, wait, caller)
        current = WAIT.get()
        if current is not None:
            current.begin(waiting.end)
        try:
            if caller.future.done():  # a caller that asks again at once lets others have their turn
                await asyncio.sleep(0)
            return await caller.future
        except asyncio.CancelledError:
            caller.gone = True
            waiting.drop()
            raise

    def ask(self, ask: Ask, wait: float, caller: Caller) -> Waiting:
        """Ask for a caller, who is told once, perhaps before this returns."""
        waiting = Waiting(ask, caller, self._loop.time(), wait)
        self.meter.in_flight += 1
        if waiting.alone:
            self.meter.requests += 1
        self.add(waiting)
        return waiting

    def add(self, waiting: Waiting) -> None:
        """Add an ask to the line: to the next round, or to those that wait."""
        ask, condition = waiting.ask, self.condition
        if self.retired:
            self._forward(waiting)
            return
        waiting.line = self
        if condition.stopping:
            self.replies.refuse_lease(waiting, Stopping("the server is going down", retry_after=1.0))
        elif self._rounds.down is not None:
            self._unwritable(waiting, self._rounds.down)
        elif ask.key is not None and (older := self._parked.of_key(ask.key)) is not None:
            if self._take_over(waiting, older):
                self._join(waiting)
        elif (
            ask.key is not None
            or ask.entries
            or ask.handout is None
            or ask.handout.block
            or condition.ended
            or condition.can_serve
        ):
            self._join(waiting)
        elif self.park(waiting, why := condition.why_not()):
            self._look()
        else:
            self.replies.nothing(waiting, why)

    def _join(self, waiting: Waiting) -> None:
        self._asked.append(waiting)
        self._rounds.join(self)
        if self.supply.drawn:  # so that values are there in its round
            self._want(waiting)
            self.supply.want(self._parked.wanted + self._wanted)

    def _want(self, waiting: Waiting) -> None:
        """Count the items of an ask in the line, unless an earlier one of its key asks for them already."""
        key = waiting.ask.key
        if key is not None:
            if (key.caller, key.text) in self._keys:
                return
            self._keys.add((key.caller, key.text))
        self._wanted += items_of(waiting)

    def _take_over(self, waiting: Waiting, older: Waiting) -> bool:
        """Of one key one ask is alive: the newcomer takes the place of one that waits, or is refused."""
        new, old = waiting.ask.key, older.ask.key
        assert new is not None  # noqa: S101  # the list has found one by the other
        assert old is not None  # noqa: S101
        if old.n > new.n > 0:
            self.replies.refuse(waiting, key_superseded())
        elif old.n == new.n and old.digest != new.digest:
            self.replies.refuse(waiting, key_reused())
        else:
            self._parked.remove(older)
            waiting.place = older.place
            sent_again = SourceBusy("this request was sent again, and waits there", retry_after=1.0)
            self.replies.refuse(older, sent_again if old.n == new.n else key_superseded())
            return True
        return False

    def _forward(self, waiting: Waiting) -> None:
        """Put an ask to the queue that has this name now; there may be none."""
        other = self._find(self.name)
        if other is None or other is self:
            self.replies.nothing(waiting, "deleted")
            return
        self.meter.in_flight -= 1
        other.meter.in_flight += 1
        other.add(waiting)

    def gone(self) -> DibsError:
        """The refusal of a request that found no row: final only where no queue has this name now."""
        other = self._find(self.name)
        error = self.condition.refusal("deleted" if other is None or other is self else "moved")
        assert error is not None  # noqa: S101  # both are refusals
        return error

    def check_arithmetic(self) -> None:
        """Raise unless the queue can give blocks.

        Raises:
            NotArithmetic: its source does not count.
        """
        if not self.computing.arithmetic:
            by = self.spec.name if self.spec else "producers"
            raise NotArithmetic(f"{self.name} is fed by {by}, which does not count: no blocks")

    # -- waiting

    def park(self, waiting: Waiting, why: str) -> bool:
        """Let an ask that got nothing wait on; False if it may not."""
        if why not in WAITS or waiting.over or self.condition.stopping:
            return False
        waiting.deadline = waiting.until
        if why == "dry" and not self.supply.starting:
            patience = self.limits.settle_patience if waiting.entries else self.limits.pull_patience
            waiting.deadline = max(waiting.until, waiting.began + patience)
        if waiting.deadline <= self._loop.time():
            return False
        self._park(waiting, why)
        return True

    def _park(self, waiting: Waiting, why: str) -> None:
        most = self.limits.waiting
        if len(self._parked) >= most:
            busy = SourceBusy(f"{most} requests wait for {self.name} already", retry_after=1.0)
            self.replies.refuse_lease(waiting, busy)
            return
        key = waiting.ask.key  # both may have been under way when the newer one came
        older = None if key is None else self._parked.of_key(key)
        if older is not None and not self._take_over(waiting, older):
            return
        waiting.why = why
        self._parked.add(waiting)

    def _late(self, waiting: Waiting) -> None:
        """Answer an ask whose deadline has come."""
        down = self._rounds.down
        if down is not None:
            self.replies.refuse_lease(waiting, again(down))
        else:
            self.replies.nothing(waiting, waiting.why)

    def end(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.end`."""
        waiting.over = True
        if waiting.parked:
            self._parked.remove(waiting)
            self._join(waiting)

    def drop(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.drop`."""
        waiting.over = True
        if waiting.parked:
            self._parked.remove(waiting)
            self._forget(waiting)
        elif waiting.ask.key is None and waiting in self._asked:
            if waiting.ask.entries:
                waiting.ask = waiting.ask._replace(handout=None)
            else:
                self._asked.remove(waiting)
                self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        waiting.done = True
        self.meter.in_flight -= 1

    def release_lease(self, token: str) -> None:
        """Let the items of a lease wait again that no caller has received."""
        if self._rounds.down is None and not self.condition.stopping:  # else the lease ends by itself
            self.ask(Ask(entries=(Release(token),)), 0.0, Nobody())

    # -- a round

    def begin(self, room: Room) -> AskedRound | None:
        """Begin a round: parked asks that may be served now, then those that have come since."""
        tried = self._parked.first(min(self._tries, room.asks)) if self._tries else []
        self._tries = 0
        asked = sorted([*tried, *self._asked], key=_place) if tried else self._asked
        count, items = _fitting(asked, room)
        self._asked = asked[count:]
        self._wanted = 0
        self._keys.clear()
        if self._asked:
            self._rounds.join(self)
            if self.supply.drawn:
                for waiting in self._asked:
                    self._want(waiting)
        taken = asked[:count]
        drawn, length = self.supply.offer(items)
        if not taken and (drawn is None or drawn.end is None):
            return None
        if drawn is not None:
            room.bytes -= sum(map(len, drawn.texts))
        asks = tuple([waiting.ask for waiting in taken])
        edition, ttl = self.condition.edition, self._key_ttl
        return AskedRound(self, Serve(self.row.id, edition, asks, drawn, length, ttl, ttl), taken, len(tried))

    @property
    def stopped_early(self) -> bool:
        """Whether there is more to find, which a bound on burying has kept a claim from."""
        condition = self.condition
        return condition.due is not None and condition.due <= condition.now()

    def tried(self, *, all_served: bool) -> None:
        """Try twice as many parked asks the next time, while all of them are served."""
        self._burst = self._burst * 2 if all_served else FIRST_TRIES

    def learn(self, after: After) -> None:
        """Follow what a batch made of the queue; then see who may be served."""
        self.condition.learn(after)
        self._look()

    def news(self) -> None:
        """Look again, as the supply has values, or an end, or has come to be open."""
        if not self.supply.starting:
            started, self._started = self._started, []
            for future in started:
                if not future.done():
                    future.set_result(None)
        if not self.retired:
            self._look()

    async def started(self, seconds: float) -> None:
        """Wait until the source is open or has failed, at most ``seconds``."""
        if self.supply.starting:
            future: asyncio.Future[None] = self._loop.create_future()
            self._started.append(future)
            await asyncio.wait([future], timeout=seconds)

    def _look(self) -> None:
        """See whether parked asks may be served now, or when; ask the supply for what they want."""
        if self.supply.end_pending:
            self._rounds.join(self)
        parked, condition = self._parked, self.condition
        if not len(parked):
            self._arm(None)
            return
        last_word = condition.last_word
        if last_word is not None:
            for waiting in parked.all():
                self.replies.nothing(waiting, last_word)
        elif condition.can_serve:
            self._tries = min(self._burst, len(parked))
            self._rounds.join(self)
        elif not condition.gate.paused:
            if self.supply.drawn:
                self.supply.want(parked.wanted)
            self._arm(condition.due)

    def _arm(self, due: int | None) -> None:
        """Set the one timer for the next item that comes due, while asks wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            seconds = max(due - self.condition.now(), 0) / 1000
            self._timer = self._loop.call_later(seconds, self._look)

    # -- a disk that fails

    def resume(self) -> None:
        """Try the asks that have waited for the disk, which is back; record an end that it did not take."""
        if self.supply.end_pending:
            self._rounds.join(self)
        if len(self._parked):
            self._tries = len(self._parked)
            self._rounds.join(self)

    def refuse_waiting(self, error: LedgerError) -> None:
        """Refuse the asks that have not begun; those that may wait are parked until the disk is back."""
        asked, self._asked = self._asked, []
        for waiting in asked:
            guarded(self._unwritable, waiting, error)

    def _unwritable(self, waiting: Waiting, error: LedgerError) -> None:
        if waiting.until > self._loop.time() and not waiting.over:
            waiting.deadline = waiting.until
            self._park(waiting, "empty")
        else:
            self.replies.refuse_lease(waiting, again(error))

    # -- the end

    def stop(self) -> None:
        """Answer the asks that wait, and begin nothing more, as the server goes down."""
        self.condition.stopping = True
        for waiting in self._parked.all():
            self.replies.nothing(waiting, "empty")
        self._close()

    def retire(self) -> None:
        """Retire this line, as its row is not the queue any more: its asks are put to the new one."""
        self.retired = True
        self.supply.stop()
        self._close()
        asked, self._asked = self._asked, []
        for waiting in [*self._parked.all(), *asked]:
            self._forward(waiting)

    def _close(self) -> None:
        self._parked.close()
        self._arm(None)

    @property
    def parked(self) -> int:
        """Asks that wait."""
        return len(self._parked)


class Awaiting:
    """A caller that is a coroutine."""

    __slots__ = ("future", "gone")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Answer] = loop.create_future()
        self.gone = False

    def answered(self, answer: Answer) -> None:
        """Take an answer."""
        if not self.future.done():
            self.future.set_result(answer)

    def refused(self, error: DibsError) -> None:
        """Take a refusal."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # its task may be cancelled: then nobody asks for it


class Nobody:
    """A caller that need not hear of the outcome."""

    gone = True

    def answered(self, answer: Answer) -> None:
        """Nobody is told."""

    def refused(self, error: DibsError) -> None:
        """Nobody is told."""


def _place(waiting: Waiting) -> int:
    return waiting.place


def _fitting(asked: list[Waiting], room: Room) -> tuple[int, int]:
    """How many of the asks fit into a batch, one at least; and for how many fresh items they ask."""
    count = items = 0
    for waiting in asked:
        if count and (room.asks <= 0 or room.items <= 0 or room.ranges <= 0):
            break
        ask = waiting.ask
        handout = ask.handout
        if handout is not None:
            size = 1 if handout.block else handout.most
            if count and size > room.items:
                break
            room.items -= size
            items += size
        if ask.entries:
            room.ranges -= sum([1 if entry.seqs is None else len(entry.seqs) for entry in ask.entries])
        room.asks -= 1
        count += 1
    return count, items
