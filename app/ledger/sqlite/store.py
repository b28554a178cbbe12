"""The store of SQLite: the tables of a ledger by one connection (see :class:`~..state.store.Store`)."""

from __future__ import annotations

import apsw

from . import answers, copied, records
from .access import AccessTokens
from .actions import Actions
from .answers import Answers
from .blocks import Blocks
from .elsewhere import AnswersElsewhere, Elsewhere, HistoryElsewhere, ItemKeysElsewhere
from .queues import Queues
from .records import Failures, History, ItemKeys
from .runs import Runs
from .traces import Traces

CLOCK = "UPDATE ledger SET clock = ? WHERE one = 1"
"""Persist ledger time."""

# Which transaction was the last: after a commit that failed it tells whether that one is on disk. It stands
# in the counters that it moved, which are written anyway, or else in the ledger's own row.
NUMBER = "UPDATE ledger SET number = ? WHERE one = 1"
NUMBER_OF_LAST = "SELECT max(number, ifnull((SELECT max(number) FROM counter), 0)) FROM ledger"

# What is left inside a queue that was deleted: nobody sees it, and it is swept in slices. In what order does
# not matter.
SWEEP_SOME = (
    "DELETE FROM run WHERE queue = ?1 AND first IN (SELECT first FROM run WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM block WHERE id IN (SELECT id FROM block WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM failure WHERE id IN (SELECT id FROM failure WHERE queue = ?1 LIMIT ?2)",
    "DELETE FROM item_key WHERE id IN (SELECT id FROM item_key WHERE queue = ?1 ORDER BY seq LIMIT ?2)",
    "DELETE FROM trace WHERE queue = ?1 AND first IN (SELECT first FROM trace WHERE queue = ?1 LIMIT ?2)",
)
# What was replaced goes, too, but for the first row of its name.
UNSWEPT = """
SELECT id FROM queue WHERE deleted_at IS NOT NULL AND (
    id > root AND EXISTS (SELECT 1 FROM queue AS newer WHERE newer.name = queue.name AND newer.id > queue.id)
    OR EXISTS (SELECT 1 FROM run WHERE run.queue = queue.id)
    OR EXISTS (SELECT 1 FROM block WHERE block.queue = queue.id)
    OR EXISTS (SELECT 1 FROM failure WHERE failure.queue = queue.id)
    OR EXISTS (SELECT 1 FROM item_key WHERE item_key.queue = queue.id)
    OR EXISTS (SELECT 1 FROM trace WHERE trace.queue = queue.id))
"""

PRUNE = (answers.PRUNE, records.PRUNE_KEYS, records.PRUNE_HISTORY)


class Store:
    """All tables. ``careful``: pages of blocks are known to be damaged.

    ``elsewhere``: where rows are that are not here.
    What it has collected belongs to the transaction that its connection is in: after one that failed there
    has to be a new store.
    """

    def __init__(
        self, connection: apsw.Connection, *, careful: bool = False, elsewhere: Elsewhere | None = None
    ) -> None:
        self._elsewhere = elsewhere
        self._execute = connection.cursor().execute
        self._changes = connection.changes
        self.queues = Queues(connection)
        self.runs = Runs(connection)
        self.blocks = Blocks(connection, careful=careful)
        self.failures = Failures(connection)
        self.traces = Traces(connection)
        self.item_keys: ItemKeys | ItemKeysElsewhere = ItemKeys(connection)
        self.answers: Answers | AnswersElsewhere = Answers(connection)
        self.history: History | HistoryElsewhere = History(connection)
        if elsewhere is not None:
            look_ups, passing = elsewhere.look_ups, elsewhere.passing
            self.item_keys = ItemKeysElsewhere(ItemKeys(connection), look_ups, elsewhere.recording)
            self.answers, self.history = AnswersElsewhere(look_ups, passing), HistoryElsewhere(passing)
        self.access = AccessTokens(connection)
        self.actions = Actions(connection)
        tables = (
            self.queues,
            self.runs,
            self.blocks,
            self.failures,
            self.traces,
            self.item_keys,
            self.answers,
            self.history,
            self.access,
            self.actions,
        )
        self._collected = [kind for table in tables for kind in table.collected]

    def write(self) -> None:
        """Write all that was collected; blocks and traces go when the runs are as they will be."""
        for kind in self._collected:
            if kind.rows:
                kind.write()
        if self.blocks.vacated:
            self.blocks.sweep()
        if self.traces.vacated:
            self.traces.sweep()

    def sweep(self, queue: int, most: int) -> list[int]:
        """Remove up to ``most`` rows of each kind that a deleted queue has left; how many of each."""
        self.write()
        gone = [self._changed(statement, (queue, most)) for statement in SWEEP_SOME]
        if self._elsewhere is not None:
            gone.append(self._elsewhere.look_ups.sweep_item_keys(queue, most))
        return gone

    def prune(self, now: int, most: int) -> int:
        """Remove answers, keys of items and history that have expired, up to ``most`` rows of each; the most.

        The largest number of rows that one of them had.
        """
        gone = [self._changed(statement, {"now": now, "most": most}) for statement in PRUNE]
        if self._elsewhere is not None:
            gone.append(self._elsewhere.look_ups.prune(now, most))
        return max(gone)

    def accept(self, now: int) -> None:
        """Note that a copy may be used as the ledger, if it is one and that is not noted yet."""
        if copied.read(self._execute) is not None:
            self._execute(copied.ACCEPT, (now,))

    def keep_time(self, now: int) -> None:
        """Persist ledger time."""
        self._execute(CLOCK, (now,))

    def number(self, number: int) -> None:
        """Write which transaction this is."""
        self._execute(NUMBER, (number,))

    def _changed(self, statement: str, values: tuple[int, ...] | dict[str, int]) -> int:
        self._execute(statement, values)
        return self._changes()
