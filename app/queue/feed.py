"""Opening a queue's source at the start, after a failure, after a jump.

Sources that may wait (a file, a user's function) are opened on threads of the queue's own pool, other sources
on the event loop, so that ten thousand queues that count need no thread to start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeGuard

from ..errors import (
    DibsError,
    LedgerError,
    PullTimeout,
    QueueConflict,
    SourceBusy,
    SourceChanged,
    SourceClosed,
)
from ..ledger.committer import Committer
from ..ledger.ops import Engine, QueueRow, Remember, Take
from ..ledger.pending import Pending
from ..sources import Registry, Source, SourceSpec
from .draw import Draw
from .info import same_definition, spec_of
from .limits import Limits
from .pool import Pool
from .pull import failed

log = logging.getLogger("dibs.queue")

TRY_EVERY = 1.0
"""Seconds between attempts to read or write a ledger whose disk fails."""


class Feed:
    """Keeps the source of one queue open at the place where the ledger's cursor stands.

    ``opened`` is called, on any thread, when the source is there or has failed. ``later`` calls a function on
    the event loop after so many seconds. ``open``, ``stop`` and ``release`` are for the event loop.
    """

    def __init__(
        self,
        spec: SourceSpec,
        draw: Draw,
        pool: Pool,
        *,
        engine: Engine,
        sources: Registry,
        committer: Committer,
        limits: Limits,
        opened: Callable[[], None],
        later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        self._spec = spec
        self._draw = draw
        self._pool = pool
        self._engine = engine
        self._sources = sources
        self._committer = committer
        self._limits = limits
        self._opened = opened
        self._later = later
        self._prompt = sources.is_prompt(spec)
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._wanted = False
        self._opening = False

    def open(self) -> None:
        """Open the source after the ledger's cursor, unless it has ended; ``starting`` meanwhile."""
        with self._guard:
            self._draw.begin_start()
            self._wanted = True
            if self._opening:
                return  # and who is opening it now does so once more, from where the ledger is then
            self._opening = True
        if not (self._prompt and self._open_here()):
            self._open_on_thread()

    def _open_here(self) -> bool:
        """Open a source that never waits, at once; False if a thread is needed, to wait for the disk."""
        try:
            while self._wanted_again():
                row = self._engine.row(self._draw.queue)
                if _is_open(row, self._spec):
                    self._draw.use(self._source_after(row), row)
        except Exception as error:
            log.info("the source of %s is opened on a thread: %a", self._draw.name, str(error))
            with self._guard:
                self._wanted = True
            return False
        self._opened()
        return True

    def _open_on_thread(self) -> None:
        """Open the source on a thread. Without a free one, try again: the queue is ``starting`` meanwhile."""
        if self._stop.is_set():
            return
        try:
            self._pool.submit(self._open)
        except SourceBusy:
            log.warning(
                "the source of %s can't be opened yet, as the system has no thread to give", self._draw.name
            )
            self._later(TRY_EVERY, self._open_on_thread)

    def stop(self, closed: Callable[[], None] = lambda: None) -> None:
        """End a running replay and close the source; then call ``closed``, on any thread."""
        self._stop.set()

        def job() -> None:
            self._draw.stop()
            closed()

        if self._prompt:
            job()
            return
        try:
            self._pool.submit(job)
        except SourceBusy:  # the process ends soon, or the source is let go with its queue
            log.warning(
                "the source of %s was not closed, as the system has no thread to give", self._draw.name
            )
            closed()

    def _open(self) -> None:
        while self._wanted_again():
            row = self._row()
            if _is_open(row, self._spec):
                self._open_after(row)
        self._opened()

    def _wanted_again(self) -> bool:
        with self._guard:
            wanted, self._wanted = self._wanted, False
            if not wanted:
                self._opening = False
                self._draw.end_start()
            return wanted

    def _row(self) -> QueueRow | None:
        """The queue's row on disk; if the disk can't be read, this waits until it can."""
        while not self._stop.is_set():
            try:
                return self._engine.row(self._draw.queue)
            except LedgerError:
                self._stop.wait(TRY_EVERY)
        return None

    def _open_after(self, row: QueueRow) -> None:
        try:
            source = self._source_after(row)
        except SourceClosed:
            log.info("the replay of %s was stopped", row.name)
        except Exception as error:  # a user's function may raise anything; it is the queue's failure
            log.warning("the source of %s can't be opened: %a", row.name, str(error))
            self._fail(row, error)
        else:
            self._draw.use(source, row)

    def _source_after(self, row: QueueRow) -> Source:
        return self._sources.open(self._spec, cursor=row.cursor, mark=row.mark, stop=self._stop)

    def _fail(self, row: QueueRow, error: Exception) -> None:
        """Record the failure; if the ledger can't be written now, try again until it can.

        If the queue has another source meanwhile, or none, there is nothing left to record.
        """
        kind = "source-changed" if isinstance(error, SourceChanged) else None
        op = Take(row.id, row.cursor + 1, 0, end=failed(error, kind))
        while not self._stop.is_set() and _draws_on(self._row(), row):
            pending: Pending[None] = Pending()
            try:
                if self._draw.enter_end(op, pending):
                    pending.result(self._limits.commit_patience)
                    return
            except (LedgerError, TimeoutError):
                pass
            self._stop.wait(TRY_EVERY)

    def advance(self, to_seq: int, remember: Remember | None) -> Pending[QueueRow]:
        """Jump to ``to_seq``, on a thread; the outcome comes within ``operate_patience`` plus a commit."""
        pending: Pending[QueueRow] = Pending()
        stop = threading.Event()
        patience = threading.Timer(self._limits.operate_patience, stop.set)
        patience.daemon = True
        patience.start()

        def job() -> None:
            try:
                self._advance(to_seq, remember, pending, stop)
            except DibsError as error:
                pending.fail(error)
            except Exception as error:  # raised by a user's function
                pending.fail(_beyond(self._draw.name, to_seq, error))
            finally:
                patience.cancel()

        self._pool.submit(job)
        return pending

    def _advance(
        self, to_seq: int, remember: Remember | None, pending: Pending[QueueRow], stop: threading.Event
    ) -> None:
        """Open the source again at ``to_seq``, beside the one that goes on giving; then exchange the two."""
        self._draw.check_advance(to_seq)
        before = self._draw.opened()
        # A source whose values belong to no seq stays as it is and is just counted on.
        source = self._open_at(to_seq, stop) if before.counted else before
        old = source
        try:
            with before.iterator.hold(self._limits.pull_patience):
                self._draw.jump(source, before, to_seq, remember, pending)
            old = before
        except (PullTimeout, SourceClosed):
            raise SourceBusy(f"the source of {self._draw.name} is busy; ask again", retry_after=1.0) from None
        finally:
            if source is not before:
                self._draw.let_go(old)

    def _open_at(self, to_seq: int, stop: threading.Event) -> Source:
        try:
            source = self._sources.open(self._spec, cursor=to_seq, mark=None, stop=stop)
        except SourceChanged as error:
            raise _beyond(self._draw.name, to_seq, error) from error
        except SourceClosed:
            raise SourceBusy(
                f"the source of {self._draw.name} did not come to item {to_seq} in time; nothing was changed"
            ) from None
        if source.length is not None and to_seq > source.length:
            source.close()
            raise QueueConflict(
                f"{self._draw.name} has {source.length} items; it can't be advanced to {to_seq}",
                reason="beyond-end",
                field="to_seq",
            )
        return source


def _is_open(row: QueueRow | None, spec: SourceSpec) -> TypeGuard[QueueRow]:
    """Whether the queue still draws from this source, and was not defined anew or ended."""
    return row is not None and row.ending is None and row.deleted_at is None and spec_of(row) == spec


def _draws_on(now: QueueRow | None, before: QueueRow) -> bool:
    """Whether a queue draws from the same source at the same place; it may have been paused meanwhile."""
    same = now is not None and same_definition(now, before)
    return same and now is not None and (now.cursor, now.ending) == (before.cursor, before.ending)


def _beyond(name: str, to_seq: int, error: Exception) -> QueueConflict:
    why = str(error).split(", but ")[0]  # the rest is about what was handed out
    return QueueConflict(f"{name} can't be advanced to {to_seq}: {why}", reason="beyond-end", field="to_seq")
