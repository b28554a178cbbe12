"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

The files and connections are in ``files.py``; what each op does is in ``ledger/state``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from ..clock import LedgerClock
from ..ops import CommitFailed, EngineFailed, OpFailed
from ..serve import Applied
from ..sights import Sights
from ..state.batch import Batch
from ..state.cache import Cache
from ..state.transaction import Transaction
from . import copied, runs
from .blocks import BlockPageDamaged
from .faults import raise_at_start
from .files import Files
from .looks import Looks
from .scrub import BLOCKS
from .sights import SqliteSights
from .store import CLOCK, NUMBER_OF_LAST, Store

PRUNE_EVERY = 1_000  # milliseconds of ledger time
PRUNE_MOST = 200  # rows a transaction, or twice as many as it has learned
CLOCK_EVERY = 1_000  # milliseconds: how much ledger time a crash may lose, if the wall clock steps back too

# As its own constructor does, in a third of the time.
_applied: Callable[[Any], Applied] = partial(tuple.__new__, Applied)


class SqliteEngine:
    """A ledger in ``data/dibs.db``, or in memory where ``data`` is None.

    Raises:
        LedgerLocked: another server owns the folder.
        LedgerForeign: the file is not a ledger, or it is damaged.
        LedgerTooNew: a newer dibs wrote it.
        LedgerFull, LedgerUnavailable: the folder or the file can't be opened or written.
    """

    kind = "sqlite"

    def __init__(
        self,
        data: Path | None,
        *,
        vfs: str | None = None,
        clock: Callable[[int], LedgerClock] = LedgerClock,
    ) -> None:
        self.files = files = Files(data, vfs=vfs)
        self.folder, self.path, self.durable = files.folder, files.path, data is not None
        self.trouble, self.rescue, self.reserve = files.guard.trouble, files.rescue, files.reserve
        self.size, self.backup = files.size, files.backup
        self.now = clock(files.persisted).now
        self._persisted = self._pruned = files.persisted
        looks = Looks(files.readers, self.now)
        self.rows, self.row, self.unswept = looks.rows, looks.row, looks.unswept
        self.item_keys = looks.item_keys
        self.glance, self.counts = looks.glance, looks.counts
        self.items, self.failures, self.history = looks.items, looks.failures, looks.history
        self.kept_at, self.traceparent = looks.kept_at, looks.traceparent
        self.actions, self.access_tokens = looks.actions, looks.access_tokens
        self.sights: Sights = SqliteSights(files.readers, self.now)
        self._cache = Cache()
        self._undecided: tuple[int, dict[int, tuple[int, int]]] = 0, {}  # of a commit that failed
        self._store: Store | None = None
        try:
            with self.files.transaction:
                self.files.execute(runs.REVIVE, (self.now(), files.persisted))
                self._leased_until: int = self.files.execute(runs.LEASED_UNTIL).get
                self.copied = copied.read(self.files.execute)
                self._number: int = self.files.execute(NUMBER_OF_LAST).get
        except BaseException as error:
            self.files.close()
            if isinstance(error, Exception):
                raise_at_start(self.path, error)
            raise

    def close(self) -> None:
        """Close for good. Ledger time is persisted, so that the next start can't be behind this one."""
        try:
            if self.trouble() is None:
                with self.files.transaction:
                    self.files.execute(CLOCK, (self.now(),))
        except (EngineFailed, OpFailed, apsw.Error):
            pass  # the disk fails: what was applied stands as it is
        self.files.close()

    def reopen(self) -> None:
        """Reopen the files; the rows of queues are read anew."""
        self._forget()
        self.files.reopen()
        self._number = self.files.execute(NUMBER_OF_LAST).get
        number, granted = self._undecided
        if number and number == self._number:
            self._cache.granted.update(granted)
        self._undecided = 0, {}

    # -- one transaction

    def apply(self, ops: Sequence[Any]) -> Applied:
        """Apply all ops, in order, in one transaction, which is synced when this returns.

        Raises:
            CommitFailed: with what was computed, which stands if the number of the transaction is on disk.
            EngineFailed: the disk failed before.
            OpFailed: an op is at fault.
        """
        tx: Transaction | None = None
        applied: Applied | None = None
        try:
            with self.files.transaction as writer:
                store = self._store = self._store or Store(writer, careful=self.files.guard.careful)
                tx = Transaction(store, self.now(), self._number + 1, self._cache)
                applied = self._apply(writer, store, tx, ops)
        except BlockPageDamaged:
            self._forget()
            self.files.guard.found(BLOCKS, "the checksum of a page is wrong")
            return self.apply(ops)
        except BaseException as error:
            self._forget()  # nobody knows what the file has
            if isinstance(error, CommitFailed) and tx is not None and applied is not None:
                error.applied = applied
                self._undecided = applied.number, tx.granted
            raise
        self._number = applied.number or self._number
        self._cache.granted.update(tx.granted)
        return applied

    def _apply(self, writer: apsw.Connection, store: Store, tx: Transaction, ops: Sequence[Any]) -> Applied:
        """Apply all ops, keep house now and then, and write the transaction's number if anything has changed.

        A transaction prunes faster than it learns: else keys would pile up.
        """
        now, before = tx.now, writer.total_changes()
        batch = Batch(tx, ops)
        batch.apply()
        self._leased_until = max(self._leased_until, tx.leased_until)
        if now - self._persisted >= CLOCK_EVERY:
            store.keep_time(now)
            self._persisted = now
        if now - self._pruned >= PRUNE_EVERY:
            most = max(PRUNE_MOST, 2 * tx.learned)
            if store.prune(now, most) < most:
                self._pruned = now
        number = tx.number if writer.total_changes() != before else 0
        if number and not tx.numbered:
            store.number(number)
        return _applied((tuple(batch.outcomes), batch.after, now, number))

    def number(self) -> int:
        """The number of the last transaction that changed something, as it is on disk."""
        return self._number

    def _forget(self) -> None:
        """Forget what the file is believed to have, and what was collected for it."""
        self._cache.forget()
        self._store = None
        self._persisted = self._pruned = 0

    def unheard(self) -> float | None:
        """Seconds until ledger time has to be persisted; None where it has outlived all leases."""
        if self._persisted >= self._leased_until:
            return None
        return max(self._persisted + CLOCK_EVERY - self.now(), 0) / 1000

    def keep_time(self) -> None:
        """Persist ledger time, if a lease has not ended by what is on disk.

        Raises:
            EngineFailed: as :meth:`apply`.
        """
        now = self.now()
        with self.files.transaction:
            if self.files.execute(runs.OUTLIVES, (self._persisted,)).get:
                self.files.execute(CLOCK, (now,))
            else:
                self._leased_until = 0  # all were settled
        self._persisted = max(self._persisted, now if self._leased_until else 0)
