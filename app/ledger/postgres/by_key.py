"""How statements find the rows of a table by the keys that they are given.

A join lets the planner choose the order: a table that had one row when it was analyzed would be read first,
by an index whose every entry is looked at, those of rows that are gone as well. While somebody holds an old
snapshot nobody removes those; a batch took 9 times as long after 30,000 others. A subquery that names the
key, and whose OFFSET keeps it from becoming a part of that join, can only come after the key.
"""

from __future__ import annotations

from collections.abc import Sequence

from .arrays import columns_of
from .tables import TABLES


def found(name: str, key: Sequence[str], what: str) -> str:
    """The FROM of some rows of a table, as ``found``: by the first parameters, an array for each column."""
    columns = TABLES[name].columns
    asked = columns_of([(column, columns[column]) for column in key])
    where = " AND ".join(f"row.{column} = asked.{column}" for column in key)
    one = f"SELECT {what} FROM {name} AS row WHERE {where} OFFSET 0"
    return f"(SELECT {asked}) AS asked CROSS JOIN LATERAL ({one}) AS found"
