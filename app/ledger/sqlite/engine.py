"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

The files and connections are in ``files.py``; what each op does is in ``ledger/state``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from ...errors import QueueConflict
from ..clock import LedgerClock
from ..inbox import Inbox
from ..ops import CommitFailed, EngineFailed, OpFailed
from ..recovered import Recovered
from ..serve import Applied
from ..sights import Sights
from ..state.batch import Batch
from ..state.cache import Cache
from ..state.transaction import Transaction
from ..work import FOREVER
from . import copied, runs
from .blocks import BlockPageDamaged
from .elsewhere import Elsewhere, forget
from .faults import raise_at_start
from .files import Files
from .looks import Looks
from .recording import Touched
from .scratch import Scratch
from .scrub import BLOCKS
from .sights import SqliteSights
from .store import CLOCK, NUMBER_OF_LAST, Store

SHORT = 60_000  # milliseconds between two owners of a ledger, after which all leases begin anew
SOON = 10_000  # milliseconds that a lease has left at least when another owner has come
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
    sure = True
    returns = False
    inbox: Inbox | None = None

    def __init__(
        self,
        data: Path | None,
        *,
        vfs: str | None = None,
        clock: Callable[[int], LedgerClock] = LedgerClock,
        files: Files | Scratch | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.files = files = files or Files(data, vfs=vfs)
        self._elsewhere = elsewhere
        self.folder, self.path, self.durable = files.folder, files.path, data is not None
        self.trouble, self.rescue, self.reserve = files.guard.trouble, files.rescue, files.reserve
        self.size, self.backup = files.size, files.backup
        self.now = clock(files.persisted).now
        self._persisted = self._pruned = files.persisted
        looks = Looks(files.readers, self.now)
        self.rows, self.row, self.unswept = looks.rows, looks.row, looks.unswept
        self.item_keys, self.item_key = looks.item_keys, looks.item_key
        self.glance, self.counts = looks.glance, looks.counts
        self.items, self.failures, self.history = looks.items, looks.failures, looks.history
        self.kept, self.traceparent = looks.kept, looks.traceparent
        self.actions, self.access_tokens = looks.actions, looks.access_tokens
        self.sights: Sights = SqliteSights(files.readers, self.now)
        self.cache = Cache()
        self._undecided: tuple[int, dict[int, tuple[int, int]]] = 0, {}  # of a commit that failed
        self._store: Store | None = None
        try:
            with self.files.transaction:
                self._begin(files.persisted)
                self._leased_until: int = self.files.execute(runs.LEASED_UNTIL).get
                self.copied = copied.read(self.files.execute)
                self._number: int = self.files.execute(NUMBER_OF_LAST).get
        except BaseException as error:
            self.files.close()
            if isinstance(error, Exception):
                raise_at_start(self.path, error)
            raise

    def _begin(self, heard: int) -> None:
        """Prolong what was leased when the ledger was last ``heard`` of."""
        now = self.now()
        most, until = FOREVER, FOREVER
        if self._elsewhere is not None:
            self._elsewhere.begin()
            if now - heard <= SHORT:
                most, until = now - heard + SOON, now + SOON
        asked = {"now": now, "heard": heard, "most": most, "until": until}
        self.files.execute(runs.REVIVE, asked)
        if self._elsewhere is not None:
            self._elsewhere.ship(_applied(((), {}, now, 0)))

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
        self.stands_at(self.files.execute(NUMBER_OF_LAST).get)

    def stands_at(self, number: int) -> None:
        """Go on from a transaction: of one whose commit failed, that tells whether it is kept."""
        self._forget()
        self._number = number
        undecided, granted = self._undecided
        if undecided and undecided == number:
            self.cache.granted.update(granted)
        self._undecided = 0, {}

    def redo(self, touched: Sequence[Touched], tables: Collection[str]) -> None:
        """Do again, here alone, what a transaction did that is kept elsewhere, and was undone here.

        Copies of what it changed in other tables are older than what is there: they are forgotten.
        """
        if self._elsewhere is not None:
            with self.files.transaction:
                self._elsewhere.recording.redo(touched, tables)
                forget(self._elsewhere.recording)

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
                store = self._store = self._store or Store(
                    writer, careful=self.files.guard.careful, elsewhere=self._elsewhere
                )
                if self._elsewhere is not None and self._elsewhere.many:
                    forget(self._elsewhere.recording)
                before = self._number if self._elsewhere is None else self._elsewhere.number()
                tx = Transaction(store, self.now(), before + 1, self.cache)
                applied = self._apply(writer, store, tx, ops)
                if self._elsewhere is not None:
                    self._elsewhere.ship(applied)
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
        self.cache.granted.update(tx.granted)
        return applied

    def _apply(self, writer: apsw.Connection, store: Store, tx: Transaction, ops: Sequence[Any]) -> Applied:
        """Apply all ops, keep house now and then, and write the transaction's number if anything has changed.

        A transaction prunes faster than it learns: else keys would pile up.
        """
        now, before, elsewhere = tx.now, writer.total_changes(), self._elsewhere
        if elsewhere is not None:
            elsewhere.begin()
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
        changed = writer.total_changes() != before if elsewhere is None else elsewhere.changed()
        number = tx.number if changed else 0
        if number and not tx.numbered:
            store.number(number)
        return _applied((tuple(batch.outcomes), batch.after, now, number))

    def recover(self, *, accept_loss: bool, who: str = "") -> Recovered:
        """Refuse: nothing of a file is elsewhere."""
        raise QueueConflict("the ledger is in a data folder, and has lost nothing that could be written back")

    def number(self) -> int:
        """The number of the last transaction that changed something, as it is on disk."""
        return self._number

    def _forget(self) -> None:
        """Forget what the file is believed to have, and what was collected for it."""
        self.cache.forget()
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
