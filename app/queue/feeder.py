"""The feeder: threads that pull a queue's shared generator for those who ask.

Values are drawn before they are granted. Threads of the queue's own pool pull concurrently from the one
shared iterator and append to the buffer of its *opening* while they hold the iterator's lock, so the buffer
is in order. A source that sleeps stalls only its own queue. Threads of an older opening append into the void.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from ..errors import SourceBusy, SourceClosed
from ..ledger.serve import After, Drawn, End
from ..sources import Registry, SourceSpec
from .buffer import Buffer
from .meters import SAMPLES, Times
from .opening import TRY_EVERY, Opener
from .pool import Pool
from .raised import tell

if TYPE_CHECKING:
    from ..iterators import IteratorStats
    from ..ledger.engine import Engine
    from ..ledger.ops import QueueRow
    from .limits import Limits

log = logging.getLogger("dibs.queue")

PULL_MOST: Final = 10_000
"""Values of one pull."""


class Feeder:
    """Keeps the source of one queue open where its cursor stands, and draws for those who ask.

    Lives on the event loop, which owns its state: the buffer of the newest opening, the ``edition`` of the
    queue's row for which that is, and the pool of its threads; these only pull into buffers. ``call`` runs a
    function on the loop. ``news`` is called when values, an end or the source itself has come.
    """

    drawn = True
    length = None

    def __init__(
        self,
        spec: SourceSpec,
        sources: Registry,
        engine: Engine,
        *,
        limits: Limits,
        call: Callable[..., None],
        later: Callable[..., asyncio.TimerHandle],
        news: Callable[[], None],
        name: str,
    ) -> None:
        self.waits: Times = deque(maxlen=SAMPLES)
        self.holds: Times = deque(maxlen=SAMPLES)
        self._opener = Opener(spec, sources, engine, call=call, later=later, opened=self._opened, name=name)
        self._pool = Pool(
            name, limits.threads
        )  # of the newest opening: threads of older ones may sleep in a pull
        self._limits = limits
        self._call = call
        self._later = later
        self._news = news
        self._name = name
        self._queue = 0
        self._edition = 0
        self._buffer: Buffer | None = None

    # -- what a round may grant

    @property
    def ready(self) -> bool:
        """Whether there is a value, or an end that is not recorded; a prompt source always has one."""
        buffer = self._buffer
        return buffer is not None and (len(buffer) > 0 or buffer.end is not None or self._opener.prompt)

    @property
    def end_pending(self) -> bool:
        """Whether the source has ended, all its values are granted, and the ledger does not know it yet."""
        buffer = self._buffer
        return buffer is not None and buffer.end is not None and not len(buffer)

    @property
    def starting(self) -> bool:
        """Whether the source is being opened, perhaps with a replay."""
        return self._opener.under_way

    @property
    def keeps_mark(self) -> bool:
        """Whether the source goes on above its last value, whatever its seq."""
        return self._opener.prompt and self._buffer is not None and not self._buffer.counted

    @property
    def pulling(self) -> bool:
        """Whether a pull runs."""
        return self._buffer is not None and self._buffer.pulls > 0

    @property
    def buffered(self) -> int:
        """Values that were drawn and are not granted yet."""
        return 0 if self._buffer is None else len(self._buffer)

    @property
    def threads(self) -> int:
        """Threads that open the source or pull."""
        return self._pool.threads

    def offer(self, items: int) -> Drawn | None:
        """The head of the buffer; a source that never waits is pulled here and now."""
        buffer = self._buffer
        if buffer is None:
            return None
        missing = items - len(buffer)
        if self._opener.prompt and missing > 0 and buffer.end is None:
            self._fill(buffer, missing)
        return buffer.head(items)

    def granted(self, first: int, size: int) -> None:
        """Drop granted values that belong to no seq; of the others the cursor tells."""
        if self._buffer is not None and not self._buffer.counted:
            self._buffer.drop(size)

    def learn(self, after: After) -> None:
        """Drop what the cursor on disk has passed; open anew, or let go, where the edition was raised."""
        buffer = self._buffer
        if after.edition != self._edition:
            self._edition = after.edition
            if after.ending is not None or after.deleted:
                self.stop()
            elif buffer is None or buffer.counted or buffer.end is not None:
                self._open()
        elif buffer is not None:
            if buffer.counted:
                buffer.drop(after.cursor + 1 - buffer.first)
                if buffer.first > after.cursor + 1:
                    self._refuse(buffer, after.cursor)
            if after.ending is not None:
                self.stop()

    def _refuse(self, buffer: Buffer, cursor: int) -> None:
        """Let the source fail: its buffer begins beyond the next item, so nothing of it is ever granted."""
        log.error("the source of %s stands at item %d, the queue at %d", self._name, buffer.first, cursor)
        why = f"it stands at item {buffer.first}, and the queue at {cursor}: a retry opens it there"
        self._leave()
        self._buffer = Buffer(buffer.number, buffer.pool, None, cursor, End("failed", "source-changed", why))

    # -- pulling

    def want(self, items: int) -> None:
        """Pull in as many threads as may be, until no ask waits that no running pull will serve."""
        buffer = self._buffer
        if buffer is None or buffer.end is not None or self._opener.prompt:
            return
        missing = min(items, PULL_MOST) - len(buffer) - buffer.promised
        if missing <= 0 or buffer.pulls >= self._limits.threads:
            return
        buffer.promised += missing
        buffer.pulls += 1
        buffer.pool.most = self._limits.threads
        try:
            buffer.pool.submit(partial(self._pull, buffer, missing))
        except SourceBusy:
            self._later(TRY_EVERY, partial(self._pulled, buffer, missing))

    def _pull(self, buffer: Buffer, count: int) -> None:
        try:
            self._fill(buffer, count)
        finally:
            self._call(self._pulled, buffer, count)

    def _fill(self, buffer: Buffer, count: int) -> None:
        assert buffer.source is not None  # noqa: S101  # what was never opened has an end
        before = perf_counter()
        try:
            with buffer.source.iterator.hold() as held:
                began = perf_counter()
                failed = buffer.pull(held, count)
                self.waits.append(began - before)
                self.holds.append(perf_counter() - began)
        except SourceClosed:
            return  # by a newer opening, or at the end of the server
        if failed:
            at = f" at item {buffer.next}" if buffer.counted else ""
            tell(f"the source of {self._name} raised{at}", buffer.source.iterator.cause)

    def _pulled(self, buffer: Buffer, count: int) -> None:
        buffer.promised -= count
        buffer.pulls -= 1
        self._news()

    # -- opening

    def open(self, row: QueueRow) -> None:
        """Open the source at the queue's cursor, unless it has ended."""
        self._queue, self._edition = row.id, row.edition
        if row.ending is None and row.deleted_at is None:
            self._open()

    def _open(self) -> None:
        self._leave()
        if self._pool.threads:
            self._pool = Pool(self._name, self._limits.threads)
        self._opener.begin(self._queue, self._pool)

    def _opened(self, buffer: Buffer | None) -> None:
        if buffer is not None:
            self._buffer = buffer
        self._news()

    async def started(self, seconds: float) -> None:
        """Wait until the source is open or has failed, at most so many seconds."""
        await self._opener.done(seconds)

    async def prepare(self, to_seq: int, patience: float) -> None:
        """Open the source at ``to_seq``, beside the one that goes on giving; see `Opener.prepare`.

        A source whose values belong to no seq stays as it is.
        """
        if self._buffer is not None and self._buffer.counted:
            await self._opener.prepare(to_seq, patience)

    def stop(self) -> None:
        """Let the source go; nothing is drawn any more."""
        self._opener.stop()
        self._leave()

    def _leave(self) -> None:
        """Throw the buffer away, and let its opening end without waiting for a running pull."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            self._opener.let_go(buffer.source)

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        buffer = self._buffer
        return None if buffer is None or buffer.source is None else buffer.source.iterator.stats()
