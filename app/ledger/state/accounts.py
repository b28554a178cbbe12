"""Accounts: the rows of queues, each read once, changed in memory and written once a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter, sub
from typing import Any

from ..ops import QueueRow
from ..serve import After
from ..work import FOREVER
from .rows import Run
from .store import QueueMove

_counters = attrgetter("cursor", "taken", "jumped", "acked", "purged", "dead")

# As its own constructor does, in a third of the time.
_after: Callable[[Any], After] = partial(tuple.__new__, After)


class Tail:
    """Pushed items from the seq ``first`` to the end of a queue not written yet: one run, ``how``.

    ``callers``: who pushed them, each with how many items were there before theirs.
    """

    __slots__ = ("callers", "first", "how", "texts")

    def __init__(self, first: int, how: Run) -> None:
        self.first = first
        self.how = how
        self.texts: list[str] = []
        self.callers: list[tuple[int, str]] = []

    def extend(self, texts: Sequence[str], caller: str) -> None:
        """Add items that a caller pushed."""
        if not self.callers or self.callers[-1][1] != caller:
            self.callers.append((len(self.texts), caller))
        self.texts.extend(texts)

    def by_caller(self) -> Iterator[tuple[int, Sequence[str], str]]:
        """The items of one caller after those of another: the seq of the first, their texts, the caller."""
        ends = [begin for begin, _ in self.callers[1:]] + [len(self.texts)]
        for (begin, caller), end in zip(self.callers, ends, strict=True):
            yield self.first + begin, self.texts[begin:end], caller


class Account:
    """The row of one queue within a transaction, with its cursor and counters as of now.

    ``state``: one word for answers; an ending is stronger than a pause. ``dead`` counts the dead items
    inside. ``changed``: more than the counters is to be written. ``due``: nothing inside can be claimed
    before that instant; right after a claim that is exact. ``now`` is that of its transaction. ``traced``: no
    item after this one was pushed with a traceparent. ``counted``: until when those are dead, by their runs,
    that an op counted last.
    """

    def __init__(self, row: QueueRow, dead: int, traced: int = 0) -> None:
        self.cursor, self.taken, self.jumped = row.cursor, row.taken, row.jumped
        self.acked, self.purged, self.dead = row.acked, row.purged, dead
        self._before = _counters(self)
        self.tail: Tail | None = None
        self.now = 0
        self.counted = 0
        self.traced = traced
        self._set(row)
        self.changed = False
        self.due: int = 0 if self.inside > dead else FOREVER

    def _set(self, row: QueueRow) -> None:
        self._row = row
        self.id, self.name, self.root, self.base = row.id, row.name, row.root, row.base
        self.generation = row.generation
        self.source, self.args, self.mark = row.source, row.args, row.mark
        self.deleted, self.paused, self.ending = row.deleted_at is not None, row.paused, row.ending
        self.settings, self.history, self.edition = row.settings, row.settings.history, row.edition
        self.state = row.ending or ("paused" if row.paused else "open")

    def change(self, **columns: Any) -> None:
        """Change what the row says, but for its cursor and counters; since when it says so is noted."""
        ending, paused = columns.get("ending", self.ending), columns.get("paused", self.paused)
        if ending != self.ending:
            columns["ended_at"] = None if ending is None else self.now
        if paused != self.paused:
            columns["paused_at"] = self.now if paused else None
        self._set(replace(self.row, **columns))
        self.changed = True
        if "settings" in columns:
            self.due = 0  # how many attempts an item has may have changed

    def end(
        self, ending: str | None, type_: str | None = None, message: str | None = None, place: str = ""
    ) -> None:
        """End the queue, or lift its ending; the others are the cause of a failure, and where that was."""
        self.change(ending=ending, failure_type=type_, failure_message=message, failure_place=place or None)

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
    def over(self) -> bool:
        """Whether nothing can come any more: it has ended, and nothing is inside but the dead."""
        return self.ending is not None and self.inside <= self.dead

    def after(self) -> After:
        """The queue as of the end of a batch."""
        row, done = self._row, self.taken + self.jumped + self.acked + self.purged
        alive = self.cursor - self.base - done > self.dead
        failure = None if row.failure_type is None else (row.failure_type, row.failure_message or "")
        return _after(
            (
                self.id,
                self.edition,
                self.cursor,
                self.ending,
                failure,
                self.paused,
                self.deleted,
                self.due if alive else None,
                self.ending is not None and not alive,
            )
        )

    def bury(self, run: Run, at: int) -> Run:
        """The run as dead since ``at``, or since later than those that were counted."""
        self.dead += run.size
        return run.buried(max(at, self.counted + 1))

    def count_dead(self) -> int:
        """Until when those are dead that are dead now; whatever dies from here on is dead since later."""
        self.counted = max(self.now, self.counted + 1)
        return self.counted

    def claimable(self, now: int) -> bool:
        """Whether there may be something to claim."""
        return self.due <= now and self.inside > self.dead

    @property
    def inside(self) -> int:
        """Items that are waiting, leased or dead."""
        return self.cursor - self.base - self.taken - self.jumped - self.acked - self.purged

    def delete(self, now: int) -> None:
        """Make the row a deleted one: what is inside counts as purged, and is swept later."""
        self.purged, self.dead = self.purged + self.inside, 0
        self.change(deleted_at=now)

    def move(self, number: int) -> QueueMove | None:
        """How the cursor and the counters have moved, if they have; it is going to be written."""
        counters = _counters(self)
        if counters == self._before:
            return None
        (cursor, *after), (before, *then) = counters, self._before
        self._before = counters
        return (cursor, *map(sub, after, then), self.mark, number, self.id, before)
