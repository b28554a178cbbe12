"""Filed answers in SQLite, with a checksum each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import apsw

from ..state.rows import Answer, Name
from .checksum import of_answer
from .collected import Collected

_NAMES = ("queue", "generation", "caller", "key", "request", "outcome", "item_values", "expires", "n", "crc")
_COLUMNS = ", ".join(_NAMES)

# What is there already has expired, or gives its place: the rules on keys are above the store.
FILE = f"""
INSERT INTO answer ({_COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (key, queue, generation, caller) DO UPDATE SET
    request = excluded.request, outcome = excluded.outcome, item_values = excluded.item_values,
    expires = excluded.expires, n = excluded.n, crc = excluded.crc
"""

# An answer that takes the place of another is found by its row. SQLite writes to the index of a column that
# is named, so the expiry is named only where it changes.
REFILE = "UPDATE answer SET request = ?2, outcome = ?3, item_values = ?4, n = ?5, crc = ?6 WHERE id = ?1"
REFILE_LONGER = """
UPDATE answer SET request = ?2, outcome = ?3, item_values = ?4, n = ?5, crc = ?6, expires = ?7 WHERE id = ?1
"""

FIND = f"""
SELECT id, {_COLUMNS} FROM answer
WHERE key = ?4 AND queue = ?1 AND generation = ?2 AND caller = ?3
"""
# Of many keys at once: a statement for each costs twice as much.
FIND_EACH = f"""
SELECT answer.id, {", ".join(f"answer.{name}" for name in _NAMES)}
FROM json_each(?) AS asked CROSS JOIN answer
ON answer.key = asked.value ->> 3 AND queue = asked.value ->> 0
    AND generation = asked.value ->> 1 AND caller = asked.value ->> 2
"""

# Whatever has expired is found by its expiry, in whatever order it was filed.
PRUNE = """
DELETE FROM answer WHERE id IN (SELECT id FROM answer INDEXED BY answer_expires
    WHERE expires <= :now AND expires < 9223372036854775807 ORDER BY expires LIMIT :most)
"""


def read(found: Any) -> tuple[Name, Answer]:
    """A row, by its name; whether it is sound is told by its checksum."""
    row, *columns, crc = found
    *name, request, outcome, values, expires, n = columns
    return Name(*name), Answer(row, request, outcome, values, expires, crc == of_answer(*columns), n)


class Answers:
    """The table of answers (see :class:`~..state.store.Answers`)."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute
        self._refiled = Collected(connection, REFILE)
        self._refiled_longer = Collected(connection, REFILE_LONGER)
        self._filed = Collected(connection, FILE)
        self.collected = self._refiled, self._refiled_longer, self._filed

    def find(self, names: Sequence[Name]) -> dict[Name, Answer]:
        """Those of the answers that are on file: one by itself, several in one statement."""
        for kind in self.collected:
            if kind.rows:
                kind.write()
        if len(names) == 1:
            return dict(map(read, self._execute(FIND, names[0])))
        return dict(map(read, self._execute(FIND_EACH, (json.dumps(names),)))) if names else {}

    def file(self, name: Name, answer: Answer) -> None:
        """File an answer."""
        row = (*name, answer.request, answer.outcome, answer.values, answer.expires, answer.n)
        self._filed.add((*row, of_answer(*row)))

    def refile(self, name: Name, answer: Answer, *, n: int, longer: bool) -> None:
        """Put an answer in the place of the one in its row."""
        row, request, outcome, values, expires, _, new = answer
        crc = of_answer(*name, request, outcome, values, expires, new)
        if longer:
            self._refiled_longer.add((row, request, outcome, values, new, crc, expires))
        else:
            self._refiled.add((row, request, outcome, values, new, crc))
