"""Actions in SQLite."""

from __future__ import annotations

import apsw

from ..actions import KEPT, Action
from .collected import Collected

ADD = "INSERT INTO action (at, who, queue, what, brief) VALUES (?, ?, ?, ?, ?)"
PRUNE = "DELETE FROM action WHERE id <= (SELECT max(id) FROM action) - ?"
ALL = "SELECT at, who, queue, what, brief FROM action ORDER BY id"


class Actions:
    """The table of actions (see :class:`~..state.store.Actions`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._added = Collected(connection, ADD)
        self._pruned = Collected(connection, PRUNE)
        self.collected = self._added, self._pruned

    def add(self, action: Action) -> None:
        """Add a row; of all only the last ones stay."""
        self._added.add(action)
        self._pruned.add((KEPT,))
