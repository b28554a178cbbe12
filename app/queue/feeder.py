"""The feeder: threads that pull a queue's shared generator for those who ask.

Values are drawn before they are granted. Threads of the queue's own pool pull concurrently from the one
shared iterator and append to the buffer of its *opening* while they hold the iterator's lock, so the buffer
is in order. A source that sleeps stalls only its own queue. Threads of an older opening append into the void.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..errors import LedgerError, QueueConflict, SourceBusy, SourceChanged, SourceClosed
from ..ledger.serve import After, Drawn, End, MarkOf
from ..sources import MAX_SEQ, Registry, Source, SourceSpec
from .info import spec_of
from .pool import Pool
from .pull import failed, let_go, pull_texts

if TYPE_CHECKING:
    from ..iterators import Hold, IteratorStats
    from ..ledger.engine import Engine
    from ..ledger.ops import QueueRow
    from .supply import Times

log = logging.getLogger("dibs.queue")

TRY_EVERY: Final = 1.0
"""Seconds between attempts to read a ledger whose disk fails, or to get a thread."""
PULL_MOST: Final = 10_000
"""Values of one pull."""
PULL_BYTES: Final = 4 * 1024 * 1024
"""Bytes of values after which a pull makes do with what it has."""

_numbers = count(1)  # of openings; those of all queues, so that none comes twice for a row of the ledger

_MARKS: Final[dict[str, MarkOf]] = {"replay": "digest", "after": "text"}


class Buffer:
    """The values of one opening that were drawn and are not granted yet. Its lock guards them.

    ``number`` is that of the opening. ``first`` is the seq of the first value; of a source whose values
    belong to no seq it counts from 1 in this opening. ``pool`` has the threads that pull for it.
    """

    def __init__(
        self, number: int, pool: Pool, source: Source | None, cursor: int, end: End | None = None
    ) -> None:
        self.number = number
        self.source = source
        self.counted = source is None or source.counted
        self.first = cursor + 1 if self.counted else 1
        self.end = end
        self._mark = _MARKS.get(source.resume) if source else None
        self.pool = pool
        self.promised = 0  # values that running pulls are to bring; the loop's, as is the next
        self.pulls = 0
        self._texts: list[str] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._texts)

    def pull(self, held: Hold[Any], most: int) -> None:
        """Pull values and append them, while the iterator is held: so they are in its order."""
        assert self.source is not None  # noqa: S101  # nobody pulls what was never opened
        room = MAX_SEQ + 1 - self.first - len(self._texts)
        texts, end = pull_texts(self.source, held, min(most, room), PULL_BYTES) if room > 0 else ([], None)
        with self._lock:
            self._texts += texts
            self.end = End("exhausted") if len(texts) >= room else end or self.end

    def head(self, items: int) -> Drawn | None:
        """The first values, as a round may grant them; with the end, if it comes right after them."""
        with self._lock:
            texts = tuple(self._texts[:items])
            end = self.end if len(texts) == len(self._texts) else None
            if not texts and end is None:
                return None
            return Drawn(self.first, texts, end, self._mark, 0 if self.counted else self.number)

    def drop(self, count: int) -> None:
        """Drop the first values, which are granted on disk."""
        if count > 0:
            with self._lock:
                del self._texts[:count]
                self.first += count


class Feeder:
    """Keeps the source of one queue open where its cursor stands, and draws for those who ask.

    Lives on the event loop, which owns its state; threads only open sources and fill buffers. ``call`` runs a
    function on the loop. ``news`` is called when values, an end or the source itself has come. ``edition`` is
    that of the queue's row for which the buffer is.
    """

    drawn = True
    length = None

    def __init__(
        self,
        spec: SourceSpec,
        sources: Registry,
        engine: Engine,
        *,
        threads: int,
        call: Callable[..., None],
        later: Callable[..., asyncio.TimerHandle],
        news: Callable[[], None],
        name: str,
    ) -> None:
        self.waits: Times = deque(maxlen=1024)
        self.holds: Times = deque(maxlen=1024)
        self._pool = Pool(name, threads)  # of the newest opening: threads of older ones may sleep in a pull
        self._closer = Pool(name, 1)
        self._spec = spec
        self._sources = sources
        self._engine = engine
        self._threads = threads
        self._call = call
        self._later = later
        self._news = news
        self._name = name
        self._prompt = sources.is_prompt(spec)
        self._queue = 0
        self._edition = 0
        self._number = 0
        self._buffer: Buffer | None = None
        self._stop = threading.Event()  # of the opening under way
        self._opening = False
        self._prepared: tuple[int, Source] | None = None

    # -- what a round may grant

    @property
    def ready(self) -> bool:
        """Whether there is a value, or an end that is not recorded; a prompt source always has one."""
        buffer = self._buffer
        return buffer is not None and (len(buffer) > 0 or buffer.end is not None or self._prompt)

    @property
    def end_pending(self) -> bool:
        """Whether the source has ended, all its values are granted, and the ledger does not know it yet."""
        buffer = self._buffer
        return buffer is not None and buffer.end is not None and not len(buffer)

    @property
    def starting(self) -> bool:
        """Whether the source is being opened, perhaps with a replay."""
        return self._opening

    @property
    def keeps_mark(self) -> bool:
        """Whether the source goes on above its last value, whatever its seq."""
        return self._prompt and self._buffer is not None and not self._buffer.counted

    @property
    def pulling(self) -> bool:
        """Whether a pull runs."""
        return self._buffer is not None and self._buffer.pulls > 0

    @property
    def buffered(self) -> int:
        """Values that were drawn and are not granted yet."""
        return 0 if self._buffer is None else len(self._buffer)

    def offer(self, items: int) -> Drawn | None:
        """The head of the buffer; a source that never waits is pulled here and now."""
        buffer = self._buffer
        if buffer is None:
            return None
        missing = items - len(buffer)
        if self._prompt and missing > 0 and buffer.end is None and buffer.source is not None:
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
                self._begin_opening()
            return
        if buffer is None:
            return
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
        if buffer is None or buffer.end is not None or self._prompt:
            return
        missing = min(items, PULL_MOST) - len(buffer) - buffer.promised
        if missing <= 0 or buffer.pulls >= self._threads:
            return
        buffer.promised += missing
        buffer.pulls += 1
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
        assert buffer.source is not None  # noqa: S101  # only an open source is pulled
        before = perf_counter()
        try:
            with buffer.source.iterator.hold() as held:
                began = perf_counter()
                buffer.pull(held, count)
                self.waits.append(began - before)
                self.holds.append(perf_counter() - began)
        except SourceClosed:
            return  # by a newer opening, or at the end of the server

    def _pulled(self, buffer: Buffer, count: int) -> None:
        buffer.promised -= count
        buffer.pulls -= 1
        self._news()

    # -- opening

    def open(self, row: QueueRow) -> None:
        """Open the source at the queue's cursor, unless it has ended."""
        self._queue, self._edition = row.id, row.edition
        if row.ending is None and row.deleted_at is None:
            self._begin_opening()

    async def prepare(self, to_seq: int, patience: float) -> None:
        """Open the source at ``to_seq``, beside the one that goes on giving, for a jump there.

        Raises:
            QueueConflict: the source ends before ``to_seq``, or raises.
            SourceBusy: it did not come there within ``patience`` seconds; nothing was changed.
        """
        buffer = self._buffer
        if buffer is None or not buffer.counted:
            return  # a source whose values belong to no seq stays as it is
        future: asyncio.Future[Source] = asyncio.get_running_loop().create_future()
        stop = threading.Event()
        Pool(self._name, 1).submit(partial(self._open_at, to_seq, stop, future))
        late = self._later(patience, stop.set)
        try:
            source = await future
        finally:
            late.cancel()
            stop.set()
        if self._prepared is not None:
            self._let_go(self._prepared[1])
        self._prepared = (to_seq, source)

    def _open_at(self, to_seq: int, stop: threading.Event, future: asyncio.Future[Source]) -> None:
        try:
            source = self._sources.open(self._spec, cursor=to_seq, mark=None, stop=stop)
        except SourceClosed:
            busy = f"the source of {self._name} did not come to item {to_seq} in time; nothing was changed"
            self._call(_fail, future, SourceBusy(busy, retry_after=1.0))
        except Exception as error:  # raised by a user's function, too
            why = str(error).split(", but ")[0]  # the rest is about what was handed out
            beyond = f"{self._name} can't be advanced to {to_seq}: {why}"
            self._call(_fail, future, QueueConflict(beyond, reason="beyond-end", field="to_seq"))
        else:
            self._call(self._offered, source, future)

    def _offered(self, source: Source, future: asyncio.Future[Source]) -> None:
        if future.done():  # its caller has gone
            self._let_go(source)
        else:
            future.set_result(source)

    def _begin_opening(self) -> None:
        self._leave()
        self._number = next(_numbers)
        if self._pool.threads:
            self._pool = Pool(self._name, self._threads)
        self._opening, self._stop = True, threading.Event()
        job = partial(self._open, self._number, self._stop)
        if self._prompt and self._open_here(job):
            return
        self._open_on_thread(job)

    def _open_here(self, job: Callable[..., None]) -> bool:
        """Open a source that never waits, at once; False if the disk can't be read just now."""
        try:
            self._engine.row(self._queue)
        except LedgerError:
            return False
        job(here=True)
        return True

    def _open_on_thread(self, job: Callable[[], None]) -> None:
        try:
            self._pool.submit(job)
        except SourceBusy:
            log.warning("the source of %s can't be opened yet: the system has no thread to give", self._name)
            self._later(TRY_EVERY, partial(self._open_on_thread, job))

    def _open(self, number: int, stop: threading.Event, *, here: bool = False) -> None:
        call: Callable[..., None] = _at_once if here else self._call
        row = self._row(stop)
        if row is None or row.ending is not None or row.deleted_at is not None or spec_of(row) != self._spec:
            call(self._not_opened, number)
            return
        try:
            source = self._source(row, stop)
        except SourceClosed:
            log.info("the replay of %s was stopped", self._name)
            call(self._not_opened, number)
        except Exception as error:  # a user's function may raise anything; it is the queue's failure
            log.warning("the source of %s can't be opened: %a", self._name, str(error))
            end = failed(error, "source-changed" if isinstance(error, SourceChanged) else None)
            call(self._opened, Buffer(number, self._pool, None, row.cursor, end))
        else:
            call(self._opened, Buffer(number, self._pool, source, row.cursor))

    def _row(self, stop: threading.Event) -> QueueRow | None:
        """The queue's row on disk; if the disk can't be read, this waits until it can."""
        while not stop.is_set():
            try:
                return self._engine.row(self._queue)
            except LedgerError:
                stop.wait(TRY_EVERY)
        return None

    def _source(self, row: QueueRow, stop: threading.Event) -> Source:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            if prepared[0] == row.cursor:
                return prepared[1]
            self._let_go(prepared[1])
        return self._sources.open(self._spec, cursor=row.cursor, mark=row.mark, stop=stop)

    def _opened(self, buffer: Buffer) -> None:
        if buffer.number != self._number or self._stop.is_set():
            if buffer.source is not None:
                self._let_go(buffer.source)
            return
        self._opening = False
        self._buffer = buffer
        self._news()

    def _not_opened(self, number: int) -> None:
        if number == self._number:
            self._opening = False
            self._news()

    # -- the end

    def stop(self) -> None:
        """Let the source go; nothing is drawn any more."""
        self._stop.set()
        self._opening = False
        self._leave()
        if self._prepared is not None:
            self._let_go(self._prepared[1])
            self._prepared = None

    def _leave(self) -> None:
        """Throw the buffer away, and let its opening end without waiting for a running pull."""
        buffer, self._buffer = self._buffer, None
        self._stop.set()
        if buffer is not None and buffer.source is not None:
            self._let_go(buffer.source)

    def _let_go(self, source: Source) -> None:
        """Close a source: on a thread, since that may be slow, but for one that never waits."""
        job = partial(let_go, source, self._name)
        if self._prompt:
            job()
            return
        try:
            self._closer.submit(job)
        except SourceBusy:
            log.warning("the source of %s is not closed: the system has no thread to give", self._name)

    @property
    def threads(self) -> int:
        """Threads that open the source or pull."""
        return self._pool.threads

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        buffer = self._buffer
        return None if buffer is None or buffer.source is None else buffer.source.iterator.stats()


def _fail(future: asyncio.Future[Source], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _at_once(function: Callable[..., None], *args: Any) -> None:
    function(*args)
