"""What is asked of a ledger beside its transactions, on connections that only read."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ..access import AccessToken
from ..actions import Action
from ..looks import Counts, FailureRow, HistoryRow, ItemRow, ItemState, Kept
from ..ops import QueueRow
from ..state import looking
from ..state.runs import EXPIRED
from . import access, actions, blocks, queues, records, traces
from .readers import Readers
from .store import UNSWEPT, Store

NONE = Counts(0, 0, 0, 0, 0, 0, 0, 0, 0, None, 0)


class Looks:
    """The looks of :class:`~..engine.Engine`, from any thread."""

    def __init__(self, readers: Readers, now: Callable[[], int]) -> None:
        self._readers = readers
        self._now = now

    def rows(self) -> list[QueueRow]:
        """The rows of all queues, deleted ones too."""
        return [queues.read(found)[0] for found in self._readers.look(queues.ALL)]

    def unswept(self) -> list[int]:
        """The deleted queues that have left items."""
        return [queue for (queue,) in self._readers.look(UNSWEPT)]

    def row(self, queue: int) -> QueueRow | None:
        """One queue as it is on disk now, all its counters from one moment."""
        found = self._readers.look(queues.BY_ID, (queue,))
        return queues.read(found[0])[0] if found else None

    def item_keys(
        self, queue: int, generation: int, prefix: str, *, after: str, most: int
    ) -> list[tuple[str, int]]:
        """The keys of items that are known, with their seqs: those that begin so and come after ``after``."""
        place = {"queue": queue, "generation": generation, "now": self._now(), "most": most}
        asked = {"prefix": prefix, "beyond": prefix + chr(sys.maxunicode), "after": after}
        return [(key, seq) for key, seq in self._readers.scan(records.KNOWN_KEYS, place | asked)]

    def glance(self, queue: int) -> tuple[int, int, int]:
        """How many items wait (delayed ones too), are leased and are dead."""
        found = self._readers.scan(queues.GLANCE, {"queue": queue, "now": self._now()})
        within, leased, dead = found[0] if found else (0, 0, 0)
        return within - leased - dead, leased, dead

    def counts(self, queue: int) -> Counts:
        """The items inside, counted run by run, and the row's counters, from one moment. May take seconds."""
        asked = {"queue": queue, "now": self._now()}
        found = self._readers.browse(lambda browser: browser.execute(queues.COUNTS, asked).fetchone())
        return Counts(*found) if found else NONE

    def items(
        self, queue: int, state: ItemState | None, after: int, most: int, most_bytes: int
    ) -> tuple[list[ItemRow], bool]:
        """Items inside with a seq above ``after``, in order, with their kept values; whether more follow."""
        return self._readers.browse(
            lambda browser: looking.items(
                Store(browser, careful=True),
                queue,
                state,
                after=after,
                most=most,
                most_bytes=most_bytes,
                now=self._now(),
            )
        )

    def failures(self, queue: int, seq: int) -> list[FailureRow]:
        """The last failed attempts of an item, oldest first."""
        asked = {"queue": queue, "seq": seq, "now": self._now(), "expired": EXPIRED}
        return [FailureRow(*found) for found in self._readers.look(records.FAILURES, asked)]

    def history(
        self, name: str, seq: int | None, after: int, most: int, before: int | None = None
    ) -> list[HistoryRow]:
        """Who took or acked items of the queues of this name, from oldest to newest, or back."""
        statement, values = records.HISTORY, {"name": name, "after": after, "most": most, "now": self._now()}
        if before is not None:
            statement, values["before"] = records.HISTORY_BEFORE, before
        if seq is not None:
            values["seq"] = seq
            statement = records.HISTORY_OF_ITEM if before is None else records.HISTORY_OF_ITEM_BEFORE
        return [HistoryRow(*found) for found in self._readers.scan(statement, values)]

    def kept(self, queue: int, seq: int) -> Kept | None:
        """When the value of an item was kept, and who pushed it."""
        found = self._readers.look(blocks.KEPT, (queue, seq))
        return Kept(*found[0]) if found else None

    def item_key(self, queue: int, generation: int, seq: int) -> str | None:
        """The key with which an item was pushed."""
        found = self._readers.look(records.KEY_OF_ITEM, (queue, seq, generation, self._now()))
        return found[0][0] if found else None

    def traceparent(self, queue: int, seq: int) -> str | None:
        """The traceparent with which an item was pushed."""
        found = self._readers.look(traces.FIND, (queue, seq, seq))
        return found[0][2] if found else None

    def actions(self) -> list[Action]:
        """The last actions, oldest first."""
        return [Action(*found) for found in self._readers.look(actions.ALL)]

    def access_tokens(self) -> list[AccessToken]:
        """All access tokens, in the order in which they were made."""
        return [AccessToken(*found) for found in self._readers.look(access.ALL)]
