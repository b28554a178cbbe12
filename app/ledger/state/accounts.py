"""Accounts: the rows of queues, each read once, changed in memory and written once a transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from ..ops import QueueRow
from ..work import DEFAULT_SETTINGS, QueueSettings
from .store import QueueMove, QueueWords


@lru_cache(maxsize=256)
def settings_of(text: str) -> QueueSettings:
    """A queue's settings, as its row has them."""
    return QueueSettings(**json.loads(text))


def text_of(settings: QueueSettings) -> str:
    """The settings that differ from the defaults, so that a later default reaches the other queues."""
    default = asdict(DEFAULT_SETTINGS)
    return json.dumps({name: value for name, value in asdict(settings).items() if value != default[name]})


class Tail:
    """Pushed items at the end of a queue that are not written yet: one run."""

    __slots__ = ("due", "first", "priority", "texts")

    def __init__(self, first: int, due: int, priority: int) -> None:
        self.first = first
        self.due = due
        self.priority = priority
        self.texts: list[str] = []


class Account:
    """The row of one queue within a transaction, and by how much its counters have moved.

    ``taken``, ``jumped``, ``acked``, ``purged`` and ``buried`` are moves; ``buried`` is less than 0 where
    more dead items were let out, or purged, than were buried. ``changed``: its words are to be written.
    """

    __slots__ = (
        "_acked",
        "_dead",
        "_jumped",
        "_purged",
        "_settings",
        "_taken",
        "acked",
        "args",
        "before",
        "buried",
        "changed",
        "configured",
        "created_at",
        "cursor",
        "deleted_at",
        "ending",
        "failure_message",
        "failure_type",
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

    def __init__(self, found: Sequence[Any]) -> None:
        (
            self.id,
            self.name,
            self.generation,
            self.source,
            self.args,
            self.created_at,
            self.deleted_at,
            paused,
            self.ending,
            self.failure_type,
            self.failure_message,
            self.mark,
            self.cursor,
            self._taken,
            self._jumped,
            self._acked,
            self._purged,
            self.configured,
            settings,
            self._dead,
        ) = found
        self.paused = bool(paused)
        self.configure(settings_of(settings))
        self.before: int = self.cursor
        self.taken = self.jumped = self.acked = self.purged = self.buried = 0
        self.changed = False
        self.tail: Tail | None = None

    def configure(self, settings: QueueSettings) -> None:
        """Give the queue these settings."""
        self.settings = settings
        self.history: int = settings.history

    @property
    def deleted(self) -> bool:
        """Whether the queue is a tombstone."""
        return self.deleted_at is not None

    @property
    def inside(self) -> int:
        """Items that are waiting, leased or dead, as of now in the transaction."""
        inside: int = self.cursor - self._taken - self._jumped - self._acked - self._purged
        return inside - self.taken - self.jumped - self.acked - self.purged

    @property
    def dead(self) -> int:
        """How many of those inside are dead."""
        dead: int = self._dead + self.buried
        return dead

    @property
    def moved(self) -> bool:
        """Whether the cursor or a counter has moved."""
        return self.cursor != self.before or bool(
            self.taken or self.jumped or self.acked or self.purged or self.buried
        )

    def begin_again(self) -> None:
        """Set the cursor and all counters to 0."""
        self.cursor = 0
        self.taken, self.jumped = -self._taken, -self._jumped
        self.acked, self.purged, self.buried = -self._acked, -self._purged, -self._dead

    def move(self) -> QueueMove:
        """How the counters have moved; from here on the row is as this account says."""
        move = (
            self.cursor,
            self.taken,
            self.jumped,
            self.acked,
            self.purged,
            self.buried,
            self.mark,
            self.id,
            self.before,
        )
        self._taken += self.taken
        self._jumped += self.jumped
        self._acked += self.acked
        self._purged += self.purged
        self._dead += self.buried
        self.before = self.cursor
        self.taken = self.jumped = self.acked = self.purged = self.buried = 0
        return move

    def words(self) -> QueueWords:
        """What the row says, beside its counters."""
        return QueueWords(
            self.generation,
            self.source,
            self.args,
            self.created_at,
            self.deleted_at,
            self.paused,
            self.ending,
            self.failure_type,
            self.failure_message,
            self.mark,
            self.configured,
            text_of(self.settings),
        )

    def row(self) -> QueueRow:
        """The row, as of now in the transaction."""
        return QueueRow(
            self.id,
            self.name,
            self.generation,
            self.source,
            self.args,
            self.created_at,
            self.deleted_at,
            self.paused,
            self.ending,
            self.failure_type,
            self.failure_message,
            self.mark,
            self.cursor,
            self._taken + self.taken,
            self._jumped + self.jumped,
            self._acked + self.acked,
            self._purged + self.purged,
            self.configured,
            self.settings,
        )
