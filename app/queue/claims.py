"""Waiting items: when a claim is worth trying, and who is told when something comes to wait.

``due`` is a lower bound in ledger time: nothing inside can be claimed before it, and None says that nothing
is inside but what is dead: with an ending, that is the last word, so it is said only of what was read. The
committer's thread writes ``due``, in the order of the commits: a claim that found less than it asked for
makes it exact, whatever comes to wait lowers it. Anybody may read it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from ..errors import LedgerError
from ..ledger.ops import Engine, Outcome
from ..ledger.pending import Pending
from ..ledger.together import Exchanged
from ..ledger.work import Claimed, Settlement, Woken
from .wait import Waiters

FIRST_BURST = 2
"""Waiters that are woken when a claim left something; doubled while claims go on finding something."""


class Claims:
    """The waiting items of one queue, as its requests see them.

    ``route`` tells the queue that got items of them: an ack may push into another queue than this. ``ended``
    tells whether the source has ended, or the queue is closed; ``barred``, whether nothing at all is handed
    out now (paused, or an op on the queue is on its way to the disk): then nobody is woken for what is due,
    and whoever lifts the bar wakes all.
    """

    def __init__(
        self,
        queue: int,
        engine: Engine,
        waiters: Waiters,
        *,
        route: Callable[[Woken], None],
        ended: Callable[[], bool],
        barred: Callable[[], bool],
    ) -> None:
        self._route = route
        self._ended = ended
        self._barred = barred
        self._engine = engine
        self._waiters = waiters
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._looking = 0
        self._told = 0  # times that the loop was told to wake some; the committer's thread alone counts them
        self._heard = 0  # and those that it has done; the loop alone counts them
        self._burst = FIRST_BURST
        self._queue = queue
        self.due: int | None = 0  # until the ledger has been read: a claim would tell
        self._learning = threading.Lock()  # so that nothing read before stands over what came since
        self._came: int | None = None  # the earliest due of what came to wait since the last look began

    def worth_trying(self) -> bool:
        """Whether a claim may find something."""
        due = self.due  # read once: the committer may change it at any moment
        return due is not None and due <= self._engine.now()

    def worth_knowing(self) -> bool:
        """Whether a claim tells more than is known: of an ended queue, what is left has to be certain."""
        return self.worth_trying() or (self.due is not None and self._ended())

    async def claim(self, pending: Pending[Claimed]) -> Claimed:
        """Wait for a claim; what it left is for those who wait.

        A push wakes as many as it brings. Where items came to wait otherwise (a lease of many expired) one is
        woken, and its success wakes more. But only when nobody else is looking, nor is about to be woken: a
        waiter that looks in vain could miss its turn meanwhile.
        """
        self._looking += 1
        try:
            claimed = await pending
        finally:
            self._looking -= 1
            self.arm()
        if not claimed.spans:
            self._burst = FIRST_BURST
        elif self.worth_trying() and not self._busy:
            self._waiters.wake(self._burst)
            self._burst *= 2
        return claimed

    # -- on the committer's thread

    def claimed(self, outcome: Outcome) -> None:
        """A claim is on disk: what it says about what is left is exact."""
        assert isinstance(outcome, Claimed)  # noqa: S101  # the outcome of a claim
        with self._learning:
            self.due = outcome.next_due

    def leased(self, outcome: Outcome) -> None:
        """Fresh items were leased, perhaps by an op that settled others too."""
        if isinstance(outcome, Exchanged):
            self.exchanged(outcome)
            return
        if isinstance(outcome, Settlement):
            self.settled(outcome)
            outcome = outcome.claimed
        if isinstance(outcome, Claimed) and outcome.due is not None:
            self.lower(outcome.due, 0)

    def settled(self, outcome: Outcome) -> None:
        """Items were settled; where none came back, it may have been the last of an ended queue."""
        assert isinstance(outcome, Settlement)  # noqa: S101  # the outcome of a settle
        for woken in outcome.woken:
            self._route(woken)
        if self._ended():
            self._wake(1)

    def settled_and_claimed(self, outcome: Outcome) -> None:
        """Items were settled, and then waiting ones claimed."""
        assert isinstance(outcome, Settlement)  # noqa: S101  # the outcome of a settle
        self.settled(outcome)
        if outcome.claimed is not None:
            self.claimed(outcome.claimed)

    def exchanged(self, outcome: Outcome) -> None:
        """Leases were acked, and others given: fresh ones, or claimed, or none."""
        assert isinstance(outcome, Exchanged)  # noqa: S101  # the outcome of an exchange
        if outcome.leases:
            with self._learning:
                self.due = outcome.next_due
        elif outcome.next_due is not None:
            self.lower(outcome.next_due, 0)
        if self._ended():
            self._wake(1)

    def lower(self, due: int, items: int) -> None:
        """So many items can be claimed from ``due`` on."""
        waited = self._expected()  # before ``due`` shows them: who sees them there leaves the waking to this
        with self._learning:
            self.due = _earlier(self.due, due)
            self._came = _earlier(self._came, due)
        if waited or self._expected():  # or came just now, perhaps too early to see them
            self._wake_expected(items if due <= self._engine.now() else 0)

    def look(self) -> None:
        """Read from the ledger what is not known, or no more; until that is done, what was known stands.

        What comes to wait while this reads is kept beside what it reads.
        """
        with self._learning:
            self._came = None
        try:
            due = self._engine.next_due(self._queue)
        except LedgerError:
            due = 0  # a claim will tell
        with self._learning:
            self.due = _earlier(due, self._came)

    def purged(self) -> None:
        """Whether anything is left is for a claim to find out; where the queue has ended, at once."""
        self.doubt()
        if self._ended():
            self._wake(1)

    def doubt(self) -> None:
        """What is inside is not known: a claim will tell."""
        self.due = 0

    def _wake(self, most: int) -> None:
        if self._expected():
            self._wake_expected(most)

    def _expected(self) -> bool:
        """Whether anybody waits; if so, a waking is to come now."""
        if not len(self._waiters):
            return False
        self._told += 1
        return True

    def _wake_expected(self, most: int) -> None:
        try:
            self._loop.call_soon_threadsafe(self._wake_on_loop, most)
        except RuntimeError:
            return  # the loop is closed: nobody waits there

    # -- on the event loop

    def _wake_on_loop(self, most: int) -> None:
        self._heard += 1
        if not self._barred():
            self._waiters.wake(most)
        self.arm()

    async def park(self, seconds: float, place: int) -> None:
        """Wait until something can be claimed, or the queue has changed, at most ``seconds``.

        What came to wait while this one looked is for the first in line; if others look already, for them.
        """
        if self.worth_trying() and not self._busy and not self._barred():
            self._loop.call_soon(self._waiters.wake, 1)
        await self._waiters.park(seconds, place, self.arm)

    @property
    def _busy(self) -> bool:
        """Whether somebody looks for items, or is about to, and will pass on what is left."""
        return self._looking > 0 or self._waiters.woken > 0 or self._heard != self._told

    @property
    def contended(self) -> bool:
        """Whether somebody waits, or was woken and is about to ask."""
        return len(self._waiters) > 0 or self._waiters.woken > 0

    async def yield_to_waiters(self) -> None:
        """Let those who waited ask first: a newcomer must not overtake them."""
        if self.contended:
            self._waiters.wake(1)
            await asyncio.sleep(0)

    def arm(self) -> None:
        """While somebody waits and nobody looks, one timer stands for the next item that comes due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.due
        if due is None or not len(self._waiters) or self._busy or self._barred():
            return  # who looks now arms it again, and so does whoever is woken when the bar is lifted
        seconds = max(due - self._engine.now(), 0) / 1000
        self._timer = self._loop.call_later(seconds, self._came_due)

    def _came_due(self) -> None:
        self._timer = None
        if not self._busy and not self._barred():
            self._waiters.wake(1)

    def close(self) -> None:
        """The queue is no more: no timer is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two instants; None is never."""
    return other if one is None else one if other is None else min(one, other)
