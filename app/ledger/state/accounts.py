"""Accounts: the rows of queues, each read once, changed in memory and written once a transaction."""

from __future__ import annotations

from dataclasses import replace
from operator import sub
from typing import Any

from ..ops import QueueRow
from .store import QueueMove


class Tail:
    """Pushed items at the end of a queue that are not written yet: one run."""

    __slots__ = ("due", "first", "priority", "texts")

    def __init__(self, first: int, due: int, priority: int) -> None:
        self.first = first
        self.due = due
        self.priority = priority
        self.texts: list[str] = []


class Account:
    """The row of one queue within a transaction, with its cursor and counters as of now.

    ``dead`` counts the dead items inside. ``changed``: more than the counters is to be written.
    """

    __slots__ = (
        "_before",
        "_row",
        "acked",
        "args",
        "changed",
        "cursor",
        "dead",
        "deleted",
        "ending",
        "generation",
        "history",
        "id",
        "jumped",
        "mark",
        "name",
        "paused",
        "purged",
        "settings",
        "source",
        "tail",
        "taken",
    )

    def __init__(self, row: QueueRow, dead: int) -> None:
        self.cursor, self.taken, self.jumped = row.cursor, row.taken, row.jumped
        self.acked, self.purged, self.dead = row.acked, row.purged, dead
        self._before = self._counters()
        self.tail: Tail | None = None
        self._set(row)
        self.changed = False

    def _set(self, row: QueueRow) -> None:
        self._row = row
        self.id, self.name, self.generation = row.id, row.name, row.generation
        self.source, self.args, self.mark = row.source, row.args, row.mark
        self.deleted, self.paused, self.ending = row.deleted_at is not None, row.paused, row.ending
        self.settings, self.history = row.settings, row.settings.history

    def change(self, **columns: Any) -> None:
        """Change what the row says, but for its cursor and counters."""
        self._set(replace(self.row, **columns))
        self.changed = True

    @property
    def row(self) -> QueueRow:
        """The row, as of now in the transaction."""
        return replace(
            self._row,
            mark=self.mark,
            cursor=self.cursor,
            taken=self.taken,
            jumped=self.jumped,
            acked=self.acked,
            purged=self.purged,
        )

    @property
    def inside(self) -> int:
        """Items that are waiting, leased or dead."""
        return self.cursor - self.taken - self.jumped - self.acked - self.purged

    def begin_again(self) -> None:
        """Set the cursor and all counters to 0."""
        self.cursor = self.taken = self.jumped = self.acked = self.purged = self.dead = 0

    def _counters(self) -> tuple[int, int, int, int, int, int]:
        return self.cursor, self.taken, self.jumped, self.acked, self.purged, self.dead

    def move(self) -> QueueMove | None:
        """How the cursor and the counters have moved, if they have; it is going to be written."""
        counters = self._counters()
        if counters == self._before:
            return None
        (cursor, *after), (before, *then) = counters, self._before
        self._before = counters
        return (cursor, *map(sub, after, then), self.mark, self.id, before)
