"""The openings of a source: on a thread, where its queue's cursor stands; each has a buffer of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from ..errors import LedgerError, QueueConflict, SourceBusy, SourceChanged, SourceClosed
from ..quote import message_of
from ..sources import Registry, Source, SourceSpec
from .buffer import Buffer
from .info import spec_of
from .pool import Pool
from .pull import failed, let_go
from .raised import tell

if TYPE_CHECKING:
    from ..ledger.engine import Engine
    from ..ledger.ops import QueueRow

log = logging.getLogger("dibs.queue")

TRY_EVERY: Final = 1.0
"""Seconds between attempts to read a ledger whose disk fails, or to get a thread."""

_numbers = count(1)  # of openings; those of all queues, so that none comes twice for a row of the ledger


class Opener:
    """Opens the source of one queue where its cursor stands, and lets sources go.

    Lives on the event loop, which owns its state: the opening that is under way, and the source that was
    prepared for a jump. Threads only open and close. ``call`` runs a function on the loop. ``opened`` is
    called there with the buffer of an opening; with None if there is nothing to open, or it was stopped.
    ``prompt``: the source never waits, so it is opened and closed on the loop.
    """

    def __init__(
        self,
        spec: SourceSpec,
        sources: Registry,
        engine: Engine,
        *,
        call: Callable[..., None],
        later: Callable[..., asyncio.TimerHandle],
        opened: Callable[[Buffer | None], None],
        name: str,
    ) -> None:
        self.prompt = sources.is_prompt(spec)
        self._done = asyncio.Event()  # no opening is under way
        self._done.set()
        self._spec = spec
        self._sources = sources
        self._engine = engine
        self._call = call
        self._later = later
        self._report = opened
        self._name = name
        self._number = 0
        self._stop = threading.Event()
        self._closer = Pool(name, 1)
        self._prepared: tuple[int, Source] | None = None

    def begin(self, queue: int, pool: Pool) -> None:
        """Begin an opening, in the place of the one that may be under way."""
        self._stop.set()
        self._number, self._stop = next(_numbers), threading.Event()
        self._done.clear()
        if self.prompt:
            with suppress(LedgerError):  # else a thread waits until the disk can be read
                row = self._engine.row(queue)
                self._opened(self._number, self._buffer(row, self._number, self._stop, pool))
                return
        self._on_thread(pool, partial(self._open, queue, self._number, self._stop, pool))

    def _on_thread(self, pool: Pool, job: Callable[[], None]) -> None:
        try:
            pool.submit(job)
        except SourceBusy:
            log.warning("the source of %s can't be opened yet: the system has no thread to give", self._name)
            self._later(TRY_EVERY, partial(self._on_thread, pool, job))

    def _open(self, queue: int, number: int, stop: threading.Event, pool: Pool) -> None:
        buffer = self._buffer(self._row(queue, stop), number, stop, pool)
        self._call(self._opened, number, buffer)

    def _row(self, queue: int, stop: threading.Event) -> QueueRow | None:
        """The queue's row on disk; if the disk can't be read, this waits until it can."""
        while not stop.is_set():
            try:
                return self._engine.row(queue)
            except LedgerError:
                stop.wait(TRY_EVERY)
        return None

    def _buffer(self, row: QueueRow | None, number: int, stop: threading.Event, pool: Pool) -> Buffer | None:
        """The buffer of a source that is open now, or has failed; None where there is nothing to open."""
        if row is None or row.ending is not None or row.deleted_at is not None or spec_of(row) != self._spec:
            return None
        try:
            return Buffer(number, pool, self._source(row, stop), row.cursor)
        except SourceClosed:
            log.info("the replay of %s was stopped", self._name)
            return None
        except BaseException as error:  # a user's function may raise anything; it is the queue's failure
            tell(f"the source of {self._name} can't be opened", error)
            end = failed(error, "source-changed" if isinstance(error, SourceChanged) else None)
            return Buffer(number, pool, None, row.cursor, end)

    def _source(self, row: QueueRow, stop: threading.Event) -> Source:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            if prepared[0] == row.cursor:
                return prepared[1]
            self.let_go(prepared[1])
        return self._sources.open(self._spec, cursor=row.cursor, mark=row.mark, stop=stop)

    def _opened(self, number: int, buffer: Buffer | None) -> None:
        if buffer is not None and (number != self._number or self._stop.is_set()):
            self.let_go(buffer.source)
            buffer = None
        if number == self._number:
            self._done.set()
            self._report(buffer)

    @property
    def under_way(self) -> bool:
        """Whether the source is being opened, perhaps with a replay."""
        return not self._done.is_set()

    async def done(self, seconds: float) -> None:
        """Wait until no opening is under way, at most so many seconds."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._done.wait(), seconds)

    # -- for a jump

    async def prepare(self, to_seq: int, patience: float) -> None:
        """Open the source at ``to_seq``, for the opening that begins when the queue has come there.

        Raises:
            QueueConflict: the source ends before ``to_seq``, or raises.
            SourceBusy: it did not come there within ``patience`` seconds; nothing was changed.
        """
        future: asyncio.Future[Source] = asyncio.get_running_loop().create_future()
        stop = threading.Event()
        Pool(self._name, 1).submit(partial(self._open_at, to_seq, stop, future))
        late = self._later(patience, stop.set)
        try:
            source = await future
        finally:
            late.cancel()
            stop.set()
        self._drop_prepared()
        self._prepared = (to_seq, source)

    def _open_at(self, to_seq: int, stop: threading.Event, future: asyncio.Future[Source]) -> None:
        try:
            source = self._sources.open(self._spec, cursor=to_seq, mark=None, stop=stop)
        except SourceClosed:
            busy = f"the source of {self._name} did not come to item {to_seq} in time; nothing was changed"
            self._call(self._offered, future, SourceBusy(busy, retry_after=1.0))
        except BaseException as error:  # raised by a user's function, too
            why = message_of(error).split(", but ")[0]  # the rest is about what was handed out
            beyond = f"{self._name} can't be advanced to {to_seq}: {why}"
            self._call(self._offered, future, QueueConflict(beyond, reason="beyond-end", field="to_seq"))
        else:
            self._call(self._offered, future, source)

    def _offered(self, future: asyncio.Future[Source], found: Source | Exception) -> None:
        if isinstance(found, Exception):
            if not future.done():
                future.set_exception(found)
        elif future.done():  # its caller has gone
            self.let_go(found)
        else:
            future.set_result(found)

    # -- the end

    def stop(self) -> None:
        """Stop the opening that is under way; let go the source that was prepared."""
        self._stop.set()
        self._done.set()
        self._drop_prepared()

    def _drop_prepared(self) -> None:
        if self._prepared is not None:
            self.let_go(self._prepared[1])
            self._prepared = None

    def let_go(self, source: Source | None) -> None:
        """Close a source without waiting for a running pull: on a thread, unless it never waits."""
        if source is None:
            return
        job = partial(let_go, source, self._name)
        if self.prompt:
            job()
            return
        try:
            self._closer.submit(job)
        except SourceBusy:
            log.warning("the source of %s is not closed: the system has no thread to give", self._name)
