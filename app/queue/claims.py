"""Waiting items: when a claim is worth trying, and which requests are woken when an item comes to wait.

``due`` is a lower bound in ledger time: no item inside can be claimed before it. None means that only dead
items are inside; for an ended queue this leads to a final 410, so ``due`` is None only after the ledger was
read. The committer's thread writes ``due``, in the order of the commits: a claim that found less than it
asked for makes it exact, and an item that comes to wait lowers it. Any thread may read it.
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
"""Waiters that are woken when a claim left items; doubled while claims go on finding items."""


class Claims:
    """The waiting items of one queue, as its requests see them.

    ``route`` tells a queue that it got items: an ack may push into another queue than this one. ``ended``
    tells whether the source has ended, or the queue is closed; ``barred`` tells whether nothing at all is
    handed out now (paused, or an op on the queue is on its way to the disk). Then no request is woken for due
    items, and the op that lifts the bar wakes all.
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
        """Whether a claim may find an item."""
        due = self.due  # read once: the committer may change it at any moment
        return due is not None and due <= self._engine.now()

    def worth_knowing(self) -> bool:
        """Whether to claim: an item is due, or the queue has ended and emptiness must be proved for 410."""
        return self.worth_trying() or (self.due is not None and self._ended())

    async def claim(self, pending: Pending[Claimed]) -> Claimed:
        """Wait for a claim, and wake waiters for the items that it left.

        A push wakes as many waiters as it has items. If items came to wait otherwise (a lease of many
        expired), one waiter is woken, and its success wakes more. But only if no other request is looking or
        about to be woken: a waiter that looks in vain could miss its turn meanwhile.
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
        """Note a claim that is on disk: its report of the items that are left is exact."""
        assert isinstance(outcome, Claimed)  # noqa: S101  # the outcome of a claim
        with self._learning:
            self.due = outcome.next_due

    def leased(self, outcome: Outcome) -> None:
        """Note that fresh items were leased, perhaps by an op that settled others, too."""
        if isinstance(outcome, Exchanged):
            self.exchanged(outcome)
            return
        if isinstance(outcome, Settlement):
            self.settled(outcome)
            outcome = outcome.claimed
        if isinstance(outcome, Claimed) and outcome.due is not None:
            self.lower(outcome.due, 0)

    def settled(self, outcome: Outcome) -> None:
        """Note that items were settled; if none came back, the last item of an ended queue may be done."""
        assert isinstance(outcome, Settlement)  # noqa: S101  # the outcome of a settle
        for woken in outcome.woken:
            self._route(woken)
        if self._ended():
            self._wake(1)

    def settled_and_claimed(self, outcome: Outcome) -> None:
        """Note that one op settled items and then claimed waiting ones."""
        assert isinstance(outcome, Settlement)  # noqa: S101  # the outcome of a settle
        self.settled(outcome)
        if outcome.claimed is not None:
            self.claimed(outcome.claimed)

    def exchanged(self, outcome: Outcome) -> None:
        """Note that one op acked leases and gave others: of fresh items, of claimed ones, or none."""
        assert isinstance(outcome, Exchanged)  # noqa: S101  # the outcome of an exchange
        if outcome.leases:
            with self._learning:
                self.due = outcome.next_due
        elif outcome.next_due is not None:
            self.lower(outcome.next_due, 0)
        if self._ended():
            self._wake(1)

    def lower(self, due: int, items: int) -> None:
        """Note that so many items can be claimed from ``due`` on."""
        waited = self._expected()  # before ``due`` shows them: who sees them there leaves the waking to this
        with self._learning:
            self.due = _earlier(self.due, due)
            self._came = _earlier(self._came, due)
        if waited or self._expected():  # or came just now, perhaps too early to see them
            self._wake_expected(items if due <= self._engine.now() else 0)

    def look(self) -> None:
        """Read ``due`` from the ledger if it is not known; until then the old value stands.

        Items that come to wait during the read are kept beside its result.
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
        """After a purge, let a claim find out whether an item is left; at once if the queue has ended."""
        self.doubt()
        if self._ended():
            self._wake(1)

    def doubt(self) -> None:
        """Forget ``due``: the next claim finds out what is inside."""
        self.due = 0

    def _wake(self, most: int) -> None:
        if self._expected():
            self._wake_expected(most)

    def _expected(self) -> bool:
        """Whether a request waits; if so, a waking is counted as on its way."""
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
        """Wait until an item can be claimed, or the queue has changed, at most ``seconds``.

        Items that came to wait while this request looked are for the first in line, or for those that look
        now.
        """
        if self.worth_trying() and not self._busy and not self._barred():
            self._loop.call_soon(self._waiters.wake, 1)
        await self._waiters.park(seconds, place, self.arm)

    @property
    def _busy(self) -> bool:
        """Whether a request looks for items, or is about to, and will wake others for the rest."""
        return self._looking > 0 or self._waiters.woken > 0 or self._heard != self._told

    @property
    def contended(self) -> bool:
        """Whether a request waits, or was woken and is about to look."""
        return len(self._waiters) > 0 or self._waiters.woken > 0

    async def yield_to_waiters(self) -> None:
        """Let the requests that waited look first: a newcomer must not overtake them."""
        if self.contended:
            self._waiters.wake(1)
            await asyncio.sleep(0)

    def arm(self) -> None:
        """Set one timer for the next item that comes due, while requests wait and none looks."""
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
        """Cancel the timer, as the queue is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two instants; None is never."""
    return other if one is None else one if other is None else min(one, other)
