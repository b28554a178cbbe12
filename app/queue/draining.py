"""Draining: what programs pushed by SQL, in their own transactions, is taken into the queues."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from ..errors import DibsError, LedgerError, LedgerFault, LedgerUnavailable
from ..ledger.inbox import (
    BoundInbox,
    Inbox,
    InboxUnreadable,
    Look,
    Measure,
    RefusedRow,
    TakeIn,
    TakenIn,
    Unfit,
)
from ..sources.encode import encoder
from .limits import Limits
from .pace import Pace
from .rounds import again

log = logging.getLogger("dibs.queue")

T = TypeVar("T")

ROWS_MOST: Final = 1_000
"""Rows of one look."""
MEASURE_EVERY: Final = 5.0
MEASURE_BUSY: Final = 1.0
"""Seconds between two measurings, while all is taken in and while it is not."""
AGAIN: Final = 0.5
"""Seconds until the next try where the database or the ledger fails."""
GOES_ON: Final = 0.9
"""The part of ``inbox_max`` below which stopped queues take more again."""


class Targets(Protocol):
    """The queues, as draining knows them."""

    def names(self) -> Collection[str]:
        """All queues that items are pushed to."""

    def has_room(self, queue: str) -> bool:
        """Whether a queue that was full takes a good many items again, or is gone; for any thread."""

    def arrived(self, queue: str, count: int) -> None:
        """So many items have come into a queue."""


class Commits(Protocol):
    """The way of all ops to the ledger (see ``rounds.py``)."""

    @property
    def shut(self) -> LedgerError | None:
        """Why nothing may be taken in now."""

    def commit(self, op: Any) -> asyncio.Future[Any]:
        """Put an op into the next batch."""


class InboxState(NamedTuple):
    """What is told of the inbox. ``length`` is counted up to ``inbox_max``.

    ``oldest``: for how many seconds the first row has waited; None where none waits.
    """

    length: int = 0
    oldest: float | None = None
    refused: int = 0
    full: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


class Draining:
    """Takes rows of the inbox into the queues, while it is started. Lives on the event loop.

    It owns the inbox, and a thread that looks at it, and at its own pace while there is nothing: a look that
    comes to the loop costs twice as much. What one has found goes into the next batch, with the ops of all
    others; the next look begins when that is decided. ``state``: as it was last measured.
    ``notify``: the database is to tell of pushes.
    """

    def __init__(
        self,
        inbox: Inbox,
        commits: Commits,
        targets: Targets,
        limits: Limits,
        now: Callable[[], int],
        *,
        notify: bool = False,
    ) -> None:
        self._notify = notify
        self._pace = Pace(inbox, notify=notify)
        self.state = InboxState()
        self._inbox = inbox
        self._commits = commits
        self._targets = targets
        self._limits = limits
        self._now = now
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._most = ROWS_MOST
        self._more = False  # the last look has not found all
        self._told: BoundInbox | None = None
        self._stopped: tuple[str, ...] | None = None  # None: as the owner before has left it
        self._measured_at = -inf
        self._trouble: str | None = None

    # -- its life

    def start(self) -> None:
        """Begin to drain."""
        self._ending.clear()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dibs-inbox")
        self._task = asyncio.get_running_loop().create_task(self._run(), name="dibs-inbox")

    async def stop(self, patience: float) -> None:
        """Stop, once the look or the commit that is under way is over; what is left stays in the inbox.

        After ``patience`` seconds nobody waits for these any more: the server goes down, and the row of a
        commit that comes through yet is gone from the inbox with it.
        """
        self._ending.set()
        self._pace.end()
        task, self._task = self._task, None
        if task is None or self._thread is None:
            return
        await asyncio.wait({task}, timeout=patience)
        task.cancel()
        self._thread.shutdown(wait=False)
        await asyncio.to_thread(self._inbox.close)

    async def _run(self) -> None:
        try:
            await self._drain()
        finally:  # a thread that went on would hold up the end of the process
            self._ending.set()
            self._pace.end()

    async def _drain(self) -> None:
        self._pace.begin()
        while not self._ending.is_set():
            try:
                await self._turn()
                if self._to_measure():
                    await self._measure()
            except (DibsError, InboxUnreadable) as error:
                self._told_trouble(str(error))
                await self._pause(AGAIN)
                continue
            except Exception:  # nothing of the inbox is lost: it is looked at again
                log.exception("draining the inbox")
                await self._pause(AGAIN)
                continue
            self._told_trouble(None)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _told_trouble(self, why: str | None) -> None:
        """Log what fails, and that it works again, once."""
        if why != self._trouble:
            if why is None:
                log.warning("the inbox is drained again")
            else:
                log.warning("the inbox can't be drained now: %s", why)
            self._trouble = why

    # -- one turn

    async def _turn(self) -> None:
        """Look until something is found, or something else is to be done; take in what was found."""
        if (shut := self._commits.shut) is not None:
            raise again(shut)
        look = await asyncio.get_running_loop().run_in_executor(self._thread, self._next)
        if look is None:
            return
        taken = await self._take(look)
        self._decided_on(look, taken)
        for queue, count in taken.pushed.items():
            self._targets.arrived(queue, count)

    def _next(self) -> Look | None:
        """The next look that finds something; None: the loop has something else to do. On the thread."""
        while True:
            self._pace.pause()
            if self._ending.is_set() or self._commits.shut is not None:
                return None
            for queue in list(self._inbox.full):
                if self._targets.has_room(queue):
                    self._inbox.roomy(queue)
            self._pace.looks()
            look = self._inbox.look(text_by(self._limits.value_bytes), self._now, self._most)
            if look.arrivals or look.unfit:
                return look
            self._decided_on(look, TakenIn())
            if self._trouble is not None or self._to_measure():
                return None

    def _decided_on(self, look: Look, taken: TakenIn) -> None:
        """What a look has found is taken in, as far as that can be; on the loop, or on the thread."""
        self._inbox.committed(taken)
        self._most = min(2 * self._most, ROWS_MOST)
        self._more = not look.whole
        found = bool(taken.taken or taken.refused)
        self._pace.looked(found=found, more=self._more, behind=self._behind)

    @property
    def _behind(self) -> bool:
        """Whether rows are in the inbox that nobody will tell of."""
        return self._more or bool(self._inbox.full)

    def _to_measure(self) -> bool:
        return monotonic() - self._measured_at >= (MEASURE_BUSY if self._behind else MEASURE_EVERY)

    async def _take(self, look: Look) -> TakenIn:
        """Commit what a look has found.

        Where that fails the next look has to wait until it is decided: an op that is committed behind it
        tells. One row that the ledger can't take must not hold up the others, so looks become smaller until
        it is alone; then it is refused.
        """
        ttl = int(self._limits.key_ttl * 1000)
        try:
            taken: TakenIn = await self._commits.commit(TakeIn(look.arrivals, look.unfit, ttl))
        except LedgerFault as fault:
            if len(look.arrivals) == 1 and not look.unfit:
                alone = Unfit(look.arrivals[0].place, f"the ledger could not take it: {fault}")
                return await self._refuse(alone)
            self._most = max(1, min(self._most, len(look.arrivals) + len(look.unfit)) // 2)
            self._inbox.failed()
            raise
        except DibsError:
            await self._decided()
            self._inbox.failed()
            raise
        return taken

    async def _refuse(self, unfit: Unfit) -> TakenIn:
        try:
            refused: TakenIn = await self._commits.commit(TakeIn((), (unfit,)))
        except DibsError:
            await self._decided()
            self._inbox.failed()
            raise
        return refused

    async def _decided(self) -> None:
        """Wait until whatever was committed before this is on disk, or certainly is not."""
        while not self._ending.is_set():
            try:
                await self._commits.commit(TakeIn())
            except DibsError as error:
                self._told_trouble(str(error))
                await self._pause(AGAIN)
            else:
                return

    # -- what was refused

    async def refused(self, queue: str | None, after: int, limit: int) -> list[RefusedRow]:
        """Rows that could not be taken, of one queue or of all.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return await self._asked(self._inbox.refused, queue, after, limit)

    async def retry(self, queue: str | None) -> int:
        """Try again what was refused, of one queue or of all; how many rows that are.

        Raises:
            LedgerUnavailable: the database does not answer.
        """
        return await self._asked(self._inbox.retry, queue)

    async def _asked(self, ask: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.to_thread(ask, *arguments)
        except InboxUnreadable as error:
            raise LedgerUnavailable(f"the inbox can't be read now: {error}") from error

    # -- how much there is

    async def _measure(self) -> None:
        """Measure the inbox; stop the queues whose items fill it, or let them go on; tell the limits."""
        most = self._limits.inbox_max
        measure = await asyncio.to_thread(self._inbox.measure, most)
        self._measured_at = monotonic()
        self._stopped = self._to_stop(measure, most)
        limits = self._limits
        told = BoundInbox(
            limits.value_bytes, limits.key_bytes, int(limits.delay * 1000), self._stopped, self._notify
        )
        if told != self._told:
            await self._commits.commit(told)
            if told.stopped and (self._told is None or self._told.stopped != told.stopped):
                names = ", ".join(told.stopped)
                log.warning("the inbox has %d rows: no more is taken in for %s", measure.length, names)
            self._told = told
        self.state = InboxState(*measure, tuple(sorted(self._inbox.full)), self._stopped or ())

    def _to_stop(self, measure: Measure, most: int) -> tuple[str, ...] | None:
        """The queues that are full, since the inbox is their overflow; where none is, all."""
        if measure.length >= most:
            return tuple(sorted(self._inbox.full or self._targets.names()))
        return () if measure.length < GOES_ON * most else self._stopped


def text_by(value_bytes: int) -> Callable[[str], str]:
    """The function from a value of the inbox to the ledger's text of it; ValueError says why it can't be."""
    encode = encoder(value_bytes)

    def text(value: str) -> str:
        try:
            return encode(json.loads(value))
        except ValueError as error:
            why = str(error).removeprefix("the source yielded ")
            for advice in (": declare", ": yield"):
                why = why.partition(advice)[0]
            raise ValueError(why) from None

    return text
