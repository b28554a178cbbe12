"""The embedded engine: SQLite through apsw, WAL, synchronous=FULL.

Its limits: one server a data folder (a lock file keeps a second one out); a transaction lasts as long as
its sync; ``:memory:`` is the same engine in memory, where durable means nothing.

The files and connections are in ``files.py``; what each op does is in ``ledger/state``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import apsw

from ..clock import LedgerClock
from ..ops import CommitFailed, EngineFailed, Op, OpFailed, Outcome, QueueRow, Recalled
from ..serve import Applied
from ..state import filing, looking
from ..state.accounts import Account
from ..state.batch import Batch
from ..state.fresh import Openings
from ..state.rows import Name
from ..state.runs import EXPIRED
from ..state.sequences import Sequences
from ..state.transaction import Transaction
from ..work import Counts, FailureRow, HistoryRow, ItemRow, ItemState
from . import answers, queues, records, runs
from .blocks import BlockPageDamaged
from .faults import raise_at_start
from .files import SqliteFiles
from .scrub import BLOCKS
from .store import CLOCK, NUMBER_OF_LAST, UNSWEPT, Store

PRUNE_EVERY = 1_000  # milliseconds of ledger time
PRUNE_MOST = 200  # rows a transaction, or twice as many as it has learned
CLOCK_EVERY = 1_000  # milliseconds: how much ledger time a crash may lose, if the wall clock steps back too
NONE = Counts(0, 0, 0, 0, 0, 0, 0, 0, 0, None, 0)


class SqliteEngine(SqliteFiles):
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
        super().__init__(data, vfs=vfs)
        self._clock = clock(self.persisted)
        self._persisted = self._pruned = self.persisted
        self._accounts: dict[int, Account] = {}
        self._sequences = Sequences()
        self._granted: dict[int, tuple[int, int]] = {}  # see Openings
        self._undecided: tuple[int, dict[int, tuple[int, int]]] = 0, {}  # of a commit that failed
        self._store: Store | None = None
        try:
            with self._transaction():
                self._write(runs.REVIVE, (self.now(), self.persisted))
                self._leased_until: int = self._write(runs.LEASED_UNTIL).get
                self._number: int = self._write(NUMBER_OF_LAST).get
        except BaseException as error:
            self._give_up()
            if isinstance(error, Exception):
                raise_at_start(self.path, error)
            raise

    def close(self) -> None:
        """Close for good. Ledger time is persisted, so that the next start can't be behind this one."""
        try:
            if self.trouble() is None:
                with self._transaction():
                    self._write(CLOCK, (self.now(),))
        except (EngineFailed, OpFailed, apsw.Error):
            pass  # the disk fails: what was applied stands as it is
        self._give_up()

    def reopen(self) -> None:
        """Reopen the files; the rows of queues are read anew."""
        self._forget()
        super().reopen()
        self._number = self._write(NUMBER_OF_LAST).get
        number, granted = self._undecided
        if number and number == self._number:
            self._granted.update(granted)
        self._undecided = 0, {}

    # -- one transaction

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        """As :meth:`apply_batch`, for those who ask for the outcomes alone."""
        return cast("list[Outcome]", list(self.apply_batch(ops).outcomes))

    def apply_batch(self, ops: Sequence[Any]) -> Applied:
        """Apply all ops, in order, in one transaction, which is synced when this returns.

        Raises:
            CommitFailed: with what was computed, which stands if the number of the transaction is on disk.
            EngineFailed: the disk failed before.
            OpFailed: an op is at fault.
        """
        now = self.now()
        applied: Applied | None = None
        openings = Openings(self._granted)
        try:
            with self._transaction() as writer:
                before = writer.total_changes()
                store = self._store or Store(writer, careful=self.guard.careful)
                tx = Transaction(store, now, self._accounts)
                batch = Batch(tx, ops, self._sequences, openings)
                batch.apply()
                persisted, pruned = self._keep_house(store, now, tx)
                number = 0
                if writer.total_changes() != before:
                    number = self._number + 1
                    store.number(number)
                applied = Applied(tuple(batch.outcomes), batch.after(), now, number)
        except BlockPageDamaged:
            self._forget()
            self.guard.found(BLOCKS, "the checksum of a page is wrong")
            return self.apply_batch(ops)
        except BaseException as error:
            self._forget()  # nobody knows what the file has
            if isinstance(error, CommitFailed):
                error.applied = applied
                self._undecided = 0 if applied is None else applied.number, openings.ours
            raise
        self._store = store
        self._number = number or self._number
        self._granted.update(openings.ours)
        self._persisted, self._pruned = persisted, pruned
        self._leased_until = max(self._leased_until, tx.leased_until)
        return applied

    def number(self) -> int:
        """The number of the last transaction that changed something, as it is on disk."""
        return self._number

    def _forget(self) -> None:
        """Forget what the file is believed to have, and what was collected for it."""
        self._accounts.clear()
        self._sequences.forget()
        self._store = None

    def _keep_house(self, store: Store, now: int, tx: Transaction) -> tuple[int, int]:
        """Persist ledger time and prune answers and keys, now and then; when that was last done.

        Where somebody is told that a lease is over, its end has to be on disk with that: a crash would begin
        its time again. A transaction that prunes does so faster than it has learned: else keys would pile up.
        """
        persisted, pruned = self._persisted, self._pruned
        if tx.told_stale or now - persisted >= CLOCK_EVERY:
            store.keep_time(now)
            persisted = now
        if now - pruned >= PRUNE_EVERY:
            most = max(PRUNE_MOST, 2 * tx.learned)
            if store.prune(now, most) < most:
                pruned = now
        return persisted, pruned

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
        with self._transaction():
            if self._write(runs.OUTLIVES, (self._persisted,)).get:
                self._write(CLOCK, (now,))
            else:
                self._leased_until = 0  # all were settled
        self._persisted = max(self._persisted, now if self._leased_until else 0)

    # -- looking

    def rows(self) -> list[QueueRow]:
        """The rows of all queues, deleted ones too."""
        return [queues.read(found)[0] for found in self._look(queues.ALL)]

    def unswept(self) -> list[int]:
        """The deleted queues that have left items."""
        return [queue for (queue,) in self._look(UNSWEPT)]

    def row(self, queue: int) -> QueueRow | None:
        """One queue as it is on disk now, all its counters from one moment."""
        found = self._look(queues.BY_ID, (queue,))
        return queues.read(found[0])[0] if found else None

    def recall(self, queue: int, generation: int, caller: str, key: str) -> Recalled | None:
        """The answer filed under a key, if it has not expired."""
        found = self._look(answers.FIND, Name(queue, generation, caller, key))
        return filing.recalled(*answers.read(found[0]), self.now()) if found else None

    def known_keys(self, queue: int, generation: int, caller: str, keys: Sequence[str]) -> set[str]:
        """Those of the keys that have an answer which has not expired."""
        asked = {"queue": queue, "generation": generation, "caller": caller, "now": self.now()}
        return {key for (key,) in self._look(answers.KNOWN, {**asked, "keys": json.dumps(keys)})}

    def item_keys(
        self, queue: int, generation: int, prefix: str, *, after: str, most: int
    ) -> list[tuple[str, int]]:
        """The keys of items that are known, with their seqs: those that begin so and come after ``after``."""
        place = {"queue": queue, "generation": generation, "now": self.now(), "most": most}
        asked = {"prefix": prefix, "beyond": prefix + chr(sys.maxunicode), "after": after}
        return [(key, seq) for key, seq in self._scan(records.KNOWN_KEYS, place | asked)]

    def next_due(self, queue: int) -> int | None:
        """The earliest due of the items that are not dead; None if there are none."""
        [(due,)] = self._look(runs.NEXT_DUE, {"queue": queue})
        return cast("int | None", due)

    def glance(self, queue: int) -> tuple[int, int, int]:
        """How many items wait (delayed ones too), are leased and are dead."""
        found = self._scan(queues.GLANCE, {"queue": queue, "now": self.now()})
        within, leased, dead = found[0] if found else (0, 0, 0)
        return within - leased - dead, leased, dead

    def counts(self, queue: int) -> Counts:
        """The items inside, counted run by run, and the row's counters, from one moment. May take seconds."""
        asked = {"queue": queue, "now": self.now()}
        found = self._browse(lambda browser: browser.execute(queues.COUNTS, asked).fetchone())
        return Counts(*found) if found else NONE

    def items(
        self, queue: int, state: ItemState | None, after: int, most: int, most_bytes: int
    ) -> tuple[list[ItemRow], bool]:
        """Items inside with a seq above ``after``, in order, with their kept values; whether more follow."""
        return self._browse(
            lambda browser: looking.items(
                Store(browser, careful=True),
                queue,
                state,
                after=after,
                most=most,
                most_bytes=most_bytes,
                now=self.now(),
            )
        )

    def failures(self, queue: int, seq: int) -> list[FailureRow]:
        """The last failed attempts of an item, oldest first."""
        asked = {"queue": queue, "seq": seq, "now": self.now(), "expired": EXPIRED}
        return [FailureRow(*found) for found in self._look(records.FAILURES, asked)]

    def history(self, name: str, seq: int | None, after: int, most: int) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name, from oldest to newest."""
        statement = records.HISTORY if seq is None else records.HISTORY_OF_ITEM
        values = {"name": name, "after": after, "most": most, "now": self.now()}
        if seq is not None:
            values["seq"] = seq
        return [HistoryRow(*found) for found in self._scan(statement, values)]

    def now(self) -> int:
        """Ledger time, in milliseconds."""
        return self._clock.now()
