"""The parking of asks that got nothing and may wait: until when, and when they are tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from ..errors import SourceBusy
from .gate import RETRY_AFTER, WAITS, key_reused, key_superseded
from .parked import Parked
from .round import guarded
from .rounds import again
from .waiting import Waiting

if TYPE_CHECKING:
    from .condition import Condition
    from .feeder import Feeder
    from .limits import Limits
    from .replies import Replies
    from .rounds import Rounds


FIRST_TRIES: Final = 64
"""Parked asks that are tried again at first; twice as many each time while all of them were served."""


class Parking:
    """The asks of one queue that wait. Lives on the event loop, which alone touches it.

    It owns their list ``parked``, the number of them that join the next round (``tries``), how many these may
    be at most, and the timer for the next item that comes due. ``join`` is called when some are to be tried,
    ``ask`` asks for one that waits no more.
    """

    def __init__(
        self,
        condition: Condition,
        replies: Replies,
        rounds: Rounds,
        *,
        limits: Limits,
        feeder: Feeder | None,
        join: Callable[[], None],
        ask: Callable[[Waiting], None],
    ) -> None:
        self.tries = 0
        self._condition = condition
        self._feeder = feeder
        self._replies = replies
        self._rounds = rounds
        self._loop = rounds.loop
        self._limits = limits
        self._join = join
        self._ask = ask
        self._burst = FIRST_TRIES
        self._timer: asyncio.TimerHandle | None = None
        self.parked = Parked(self._loop, partial(guarded, self._late))

    def park(self, waiting: Waiting, why: str) -> bool:
        """Let an ask that got nothing wait on; False if it may not. Nothing that comes is for a block."""
        handout = waiting.ask.handout
        block = handout is not None and handout.block
        if block or why not in WAITS or waiting.over or self._condition.stopping:
            return False
        patience = 0.0
        if why == "dry" and not self._condition.supply.starting:
            patience = self._limits.settle_patience if waiting.entries else self._limits.pull_patience
        waiting.deadline = max(waiting.until, waiting.began + patience)
        if waiting.deadline <= self._loop.time():
            return False
        self.put(waiting, why)
        return True

    def put(self, waiting: Waiting, why: str) -> None:
        """Put an ask on the list until its deadline; refuse it if the list is full, or its key is taken."""
        most = self._limits.waiting
        if self.parked.size >= most:
            full = f"{most} requests wait for {self._condition.name} already"
            self._replies.without_items(waiting, SourceBusy(full, retry_after=RETRY_AFTER))
        elif self.admit(waiting):  # both may have been under way when the newer one came
            waiting.why = why
            self.parked.add(waiting)

    def admit(self, waiting: Waiting) -> bool:
        """Of one key one ask is alive: a newcomer takes the place of one that waits, or is refused: False."""
        new = waiting.ask.key
        older = None if new is None else self.parked.by_key.get((new.caller, new.text))
        if new is None or older is None:
            return True
        old = older.ask.key
        assert old is not None  # noqa: S101  # the list has found it by its key
        place = new.beside(old.n, old.digest)
        if place == "key-reused":
            self._replies.refuse(waiting, key_reused())
        elif place == "key-superseded":
            self._replies.refuse(waiting, key_superseded())
        else:
            self.parked.remove(older)
            waiting.place = older.place
            sent_again = SourceBusy("this request was sent again, and waits there", retry_after=RETRY_AFTER)
            self._replies.refuse(older, sent_again if place == "same" else key_superseded())
            return True
        return False

    def _late(self, waiting: Waiting) -> None:
        """Answer an ask whose deadline has come."""
        down = self._rounds.shut
        if down is not None:
            self._replies.without_items(waiting, again(down))
        elif not self._rounds.engine.sure:  # another server may own the ledger, and have items
            waiting.over = True
            self._ask(waiting)
        else:
            self._replies.nothing(waiting, waiting.why)

    # -- when they are tried again

    def look(self) -> None:
        """See whether asks may be served now, or when; ask the supply for what they want."""
        parked, condition = self.parked, self._condition
        if not parked.size or self._rounds.shut is not None:  # then all are asked when the disk is back
            return
        last_word = condition.last_word()
        if last_word is not None:
            self.answer(last_word)
        elif condition.can_serve():
            self.tries = min(max(self._burst, self.tries), parked.size)
            self._join()
        elif not condition.state.paused:
            if self._feeder is not None:
                self._feeder.want(parked.wanted)
            self._arm(condition.state.next_due)

    def expect(self, items: int) -> bool:
        """Try so many more asks in the next round; whether any are tried."""
        if self.parked.size and self._rounds.shut is None and not self._condition.state.paused:
            self.tries = min(self.tries + items, self.parked.size)
        return self.tries > 0

    def _arm(self, due: int | None) -> None:
        self._cancel()
        if due is not None:
            seconds = max(due - self._condition.now(), 0) / 1000
            self._timer = self._loop.call_later(seconds, self.look)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def begin(self, most: int) -> list[Waiting]:
        """Take those off the list that join the round that begins now: at most so many."""
        tries, self.tries = self.tries, 0
        return self.parked.first(min(tries, most))

    def tried(self, count: int, *, all_served: bool) -> None:
        """Try twice as many the next time, while as many as may be are tried and all of them are served."""
        if not all_served:
            self._burst = FIRST_TRIES
        elif count >= self._burst:
            self._burst = 2 * count

    # -- the end

    def answer(self, why: str) -> None:
        """Tell all why they get nothing."""
        for waiting in self.parked.all():
            self._replies.nothing(waiting, why)

    def close(self) -> None:
        """Cancel the timers."""
        self.parked.deadlines.close()
        self._cancel()
