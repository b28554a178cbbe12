"""Runs in SQLite, and each of their statements with the sentence that it keeps true."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import apsw

from ..looks import ItemState
from ..state.rows import ALONE, DEAD, LEASED, WAITING, Acked, Run
from ..work import DEFAULT_SETTINGS
from .collected import ROWS, Collected, Inserted, write

# -- what is dead, as ``Run.spent`` tells, whether it is written down or not

ATTEMPTS = f"""
CASE json_type(settings, '$.max_attempts') WHEN 'integer' THEN json_extract(settings, '$.max_attempts')
    WHEN 'null' THEN 9223372036854775807 ELSE {DEFAULT_SETTINGS.max_attempts} END
"""

# A lease of one item that has expired has used an attempt; it may have been the last.
LAPSED = f"(token IS NOT NULL AND due <= :now AND most <= {ALONE})"
SPENT = f"({LAPSED} AND attempt >= (SELECT {ATTEMPTS} FROM queue WHERE id = :queue))"

# -- rows

COLUMNS = ", ".join(Run._fields)
_PLACES = ", ".join("?" * (1 + len(Run._fields)))

INSERT = f"INSERT INTO run (queue, {COLUMNS}) VALUES ({_PLACES})"

# A run's own row: what may change while its first seq stays. SQLite writes to the index of each column that
# is named here, whether it changes or not.
_FIXED = {"first", "priority", "kept"}
_CHANGED = [f"{name} = ?{at}" for at, name in enumerate(Run._fields, 2) if name not in _FIXED]
CHANGE = f"UPDATE run SET {', '.join(_CHANGED)} WHERE queue = ?1 AND first = ?2"

REMOVE = "DELETE FROM run WHERE queue = ? AND first = ?"


def _ack(whose: str) -> str:
    """Remove what tokens hold: one is live while its run is not due."""
    return f"""
DELETE FROM run INDEXED BY run_lease WHERE {whose} AND token IS NOT NULL AND due > ?
RETURNING {", ".join(Acked._fields)}
"""


ACK = _ack("queue = ? AND token = ?")
# Of several tokens at once, by how many they are: a statement for each costs twice as much.
ACK_EACH = {
    tokens: _ack(f"(queue, token) IN (VALUES {', '.join(['(?, ?)'] * tokens)})")
    for tokens in range(2, ROWS + 1)
}

HELD = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_lease WHERE queue = ? AND token = ? AND due > ? ORDER BY first
"""

# What a token holds no longer: its lease has expired.
LAPSED_OF = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_lease
WHERE queue = ? AND token IN (SELECT value FROM json_each(?)) AND due <= ?
"""

# What is not dead, in the order of claims, from the level below a priority on. The reader stops at the first
# run of a level that is not due, and asks again from the next level: one pass over all levels would read
# every delayed run.
CLAIMABLE = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_claim WHERE queue = ? AND state < {DEAD} AND priority > ?
ORDER BY priority, due, first
"""

# Of an answer of many that has expired: what is left of it, in the order of claims.
CROWD = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_lease WHERE queue = ? AND token = ? AND due <= ?
ORDER BY priority, due, first
"""

# What is dead, and not written down yet; the index alone tells.
ALL_SPENT = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_lease WHERE queue = :queue AND {SPENT} LIMIT :most
"""

# Of some seqs what is dead, and whatever there is; from the run on that may have the first of them.
DEAD_OF = f"""
SELECT {COLUMNS} FROM run INDEXED BY run_dead
WHERE queue = ?1 AND state = {DEAD} AND first <= ?3 AND last >= ?2 AND first >= ifnull(
    (SELECT max(first) FROM run INDEXED BY run_dead WHERE queue = ?1 AND state = {DEAD} AND first <= ?2), ?2)
ORDER BY first LIMIT ?4
"""
COUNT_DEAD = f"""
SELECT ifnull(sum(min(run.last, asked.last) - max(run.first, asked.first) + 1), 0)
FROM (SELECT value ->> 0 AS first, value ->> 1 AS last FROM json_each(?2)) AS asked
CROSS JOIN run INDEXED BY run_dead ON run.queue = ?1 AND state = {DEAD} AND run.first <= asked.last
    AND run.last >= asked.first AND run.first >= ifnull((SELECT max(before.first) FROM run AS before
    INDEXED BY run_dead WHERE before.queue = ?1 AND before.state = {DEAD} AND before.first <= asked.first), 0)
"""
WITHIN = f"""
SELECT {COLUMNS} FROM run WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM run WHERE queue = ?1 AND first <= ?2), ?2)
ORDER BY first LIMIT ?4
"""

# -- sums and looks

LEASED_OR_SPENT = f"""
SELECT ifnull(sum(last - first + 1), 0) FROM run INDEXED BY run_lease
WHERE queue = :queue AND token IS NOT NULL AND (due > :now OR {SPENT})
"""

# Runs from the one on that may have the seq after ``after``, of one state or of all.
_FROM_AFTER = "first >= ifnull((SELECT max(first) FROM run WHERE queue = :queue AND first <= :after), 0)"
INSIDE = {
    None: f"""
SELECT {COLUMNS} FROM run WHERE queue = :queue AND last > :after AND {_FROM_AFTER} ORDER BY first
""",
    "waiting": f"""
SELECT {COLUMNS} FROM run WHERE queue = :queue AND last > :after
    AND (state = {WAITING} OR (state = {LEASED} AND due <= :now AND NOT {SPENT})) AND {_FROM_AFTER}
ORDER BY first
""",
    "leased": f"""
SELECT {COLUMNS} FROM run INDEXED BY run_lease
WHERE queue = :queue AND token IS NOT NULL AND due > :now AND last > :after ORDER BY first
""",
    "dead": f"""
SELECT {COLUMNS} FROM run INDEXED BY run_dead
WHERE queue = :queue AND state = {DEAD} AND last > :after AND first >= ifnull((
    SELECT max(first) FROM run INDEXED BY run_dead
    WHERE queue = :queue AND state = {DEAD} AND first <= :after), 0)
UNION ALL SELECT {COLUMNS} FROM run INDEXED BY run_lease WHERE queue = :queue AND last > :after AND {SPENT}
ORDER BY first
""",
}

# -- what a start asks

# An outage ends no lease early: what was live when the ledger was last heard of begins its time again; after
# a short one only what would end soon has it prolonged, so that few rows are written.
REVIVE = """
UPDATE run SET due = max(due, :now + min(ttl, :most))
WHERE token IS NOT NULL AND due > :heard AND due <= :until
"""

# When ledger time need not be persisted any more for the sake of leases; and whether one is left that a start
# would take for live.
LEASED_UNTIL = "SELECT ifnull(max(due), 0) FROM run WHERE token IS NOT NULL"
OUTLIVES = "SELECT EXISTS (SELECT 1 FROM run INDEXED BY run_lease WHERE token IS NOT NULL AND due > ?)"

# As ``_make`` does, in a third of the time.
_run: Callable[[Any], Run] = partial(tuple.__new__, Run)
_acked: Callable[[Any], Acked] = partial(tuple.__new__, Acked)


class Runs:
    """The table of runs (see :class:`~..state.store.Runs`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute  # each time a cursor, which may stay where it is
        self._execute_kept = connection.cursor().execute  # for what is read to its end at once
        self._removed = Collected(connection, REMOVE)
        self._changed = Collected(connection, CHANGE)
        self._inserted = Inserted(connection, INSERT)
        # In this order: a row may be removed and another inserted in its place.
        self.collected = self._removed, self._changed, self._inserted

    def insert(self, queue: int, run: Run) -> None:
        """A new row."""
        self._inserted.add((queue, *run))

    def change(self, queue: int, run: Run) -> None:
        """Change the row that begins where this run begins."""
        self._changed.add((queue, *run))

    def remove(self, queue: int, first: int) -> None:
        """Remove the row that begins here."""
        self._removed.add((queue, first))

    def ack(self, held: Sequence[tuple[int, str]], now: int) -> list[Acked]:
        """Remove all that these tokens hold, several tokens in one statement."""
        for kind in self.collected:
            if kind.rows:
                kind.write()
        acked: list[Acked] = []
        for begin in range(0, len(held), ROWS):
            some = held[begin : begin + ROWS]
            statement = ACK_EACH.get(len(some), ACK)
            acked += map(_acked, self._execute_kept(statement, [*chain.from_iterable(some), now]))
        return acked

    def claimable(self, queue: int, above: int) -> Iterator[Run]:
        """What is not dead, from the level below priority ``above`` on, in the order of claims."""
        return self._lazily(CLAIMABLE, (queue, above))

    def held(self, queue: int, token: str, now: int) -> list[Run]:
        """What a live token holds, in order."""
        return self._all(HELD, (queue, token, now))

    def lapsed(self, queue: int, tokens: Sequence[str], now: int) -> list[Run]:
        """What these tokens hold no longer, since their lease has expired."""
        return self._all(LAPSED_OF, (queue, json.dumps(tokens), now))

    def crowd(self, queue: int, token: str, now: int) -> Iterator[Run]:
        """What is left of an answer that has expired, in the order of claims."""
        return self._lazily(CROWD, (queue, token, now))

    def spent(self, queue: int, now: int, most: int) -> list[Run]:
        """What is dead and not written so, up to ``most`` runs."""
        return self._all(ALL_SPENT, {"queue": queue, "now": now, "most": most})

    def dead(self, queue: int, first: int, last: int, most: int) -> list[Run]:
        """Dead runs that have any of these seqs, in order, up to ``most``."""
        return self._all(DEAD_OF, (queue, first, last, most))

    def count_dead(self, queue: int, ranges: Sequence[tuple[int, int]]) -> int:
        """How many items of these ranges are dead, and written so."""
        write(self.collected)
        items: int = self._execute_kept(COUNT_DEAD, (queue, json.dumps(ranges))).get
        return items

    def within(self, queue: int, first: int, last: int, most: int) -> list[Run]:
        """All runs that have any of these seqs, in order, up to ``most``."""
        return self._all(WITHIN, (queue, first, last, most))

    def inside(self, queue: int, state: ItemState | None, after: int, now: int) -> Iterator[Run]:
        """Runs of one state, or of all, from the one on that may have the seq after ``after``, in order."""
        asked = {"queue": queue, "after": after}
        return self._lazily(INSIDE[state], asked if state is None else {**asked, "now": now})

    def leased_or_spent(self, queue: int, now: int) -> int:
        """How many items are leased, or are dead and not written so."""
        write(self.collected)
        items: int = self._execute_kept(LEASED_OR_SPENT, {"queue": queue, "now": now}).get
        return items

    def _all(self, statement: str, values: Any) -> list[Run]:
        write(self.collected)
        return list(map(_run, self._execute_kept(statement, values)))

    def _lazily(self, statement: str, values: Any) -> Iterator[Run]:
        write(self.collected)
        return map(_run, self._execute(statement, values))
