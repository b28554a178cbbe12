"""From an older format to this one.

Format 1 had queues and answers, 2 what is inside queues, 3 checksums; 4 has a row for each creation of a
queue, with its counters in a table of their own, and the numbers of transactions and of a session's requests;
5 has access tokens; 6 has the last actions, and since when: a queue is
paused or has ended, an attempt began, a value is kept; 7 has traces; 8 has who pushed an item, and where in
its code a source failed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from . import checksum, copied

SCHEMA = ("sqlite.sql", "work.sql", "access.sql", "actions.sql", "trace.sql")

SUMS = 3
"""The first format with checksums, and with the number of items of the answer of a lease."""

ROWS = 4
"""The first format with a row for each creation of a queue, and with its counters in a table of their own."""

_FIRST = {"ledger", "queue", "answer"}
"""The tables that every format has."""

_ROWS = {"queue": {"root": "id"}, "counter": {"queue": "id"}}
"""What columns are made from where the format had one row for each name."""

_SUMS = {
    "answer": {
        "crc": "answer_crc(queue, generation, caller, key, request, outcome, item_values, expires)",
    },
    "block": {
        "texts": "CAST(texts AS BLOB)",
        "crc": "block_crc(queue, first, last, CAST(texts AS BLOB))",
    },
}
"""What columns are made from where the format had no checksums."""

_LEFT_BEHIND = {"answer": "request = 'stream'"}
"""Rows that mean nothing in this format: how far streams had come, which are pushed in keyed chunks now."""

_FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "answer_crc": (checksum.of_answer, 8),
    "block_crc": (checksum.of_block, 4),
}

# How many items the answer of a lease had was not written down before format 3: as many as it still holds.
_MOST = """
UPDATE run SET most = (SELECT sum(other.last - other.first + 1) FROM run AS other
    WHERE other.queue = run.queue AND other.token = run.token)
WHERE token IS NOT NULL
"""


def create(writer: apsw.Connection) -> None:
    """Make the tables of this format, in the transaction of the caller."""
    for name in SCHEMA:
        writer.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def migrate(writer: apsw.Connection, version: int) -> None:
    """Make a file of an older format, ``version``, one of this format, in the transaction of the caller.

    Each table is made anew, since a CHECK can't be added to one; what a new column has no expression for
    takes its default.

    Raises:
        ValueError: the tables are not those of a ledger.
    """
    for name, (function, arguments) in _FUNCTIONS.items():
        writer.create_scalar_function(name, function, arguments, deterministic=True)
    # Else the foreign keys of other tables would follow the old one.
    writer.pragma("legacy_alter_table", True)
    try:
        old = _names(writer, "type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
        if copied.TABLE in old:
            old.remove(copied.TABLE)  # the mark of a copy is the same in all formats
        if not set(old) >= _FIRST:
            raise ValueError("it does not have the tables of a ledger")
        for name in old:
            writer.execute(f"ALTER TABLE {name} RENAME TO {name}_before")
        for name in _names(writer, "type = 'index' AND sql IS NOT NULL"):
            writer.execute(f"DROP INDEX {name}")
        create(writer)
        expressions = (_ROWS if version < ROWS else {}) | (_SUMS if version < SUMS else {})
        for name in old:
            _copy(writer, name, name, expressions.get(name, {}))
        if version < ROWS:
            _copy(writer, "queue", "counter", expressions["counter"])
        for name in old:
            writer.execute(f"DROP TABLE {name}_before")
        if version < SUMS:
            writer.execute(_MOST)
    finally:
        writer.pragma("legacy_alter_table", False)
        for name, (_, arguments) in _FUNCTIONS.items():
            writer.create_scalar_function(name, None, arguments)


def _names(writer: apsw.Connection, which: str) -> list[str]:
    return [name for (name,) in writer.execute(f"SELECT name FROM sqlite_schema WHERE {which}")]


def _copy(writer: apsw.Connection, old: str, new: str, computed: dict[str, str]) -> None:
    had = _columns(writer, f"{old}_before")
    taken = {name: computed.get(name, name) for name in _columns(writer, new) if name in {*had, *computed}}
    writer.execute(
        f"INSERT INTO {new} ({', '.join(taken)}) SELECT {', '.join(taken.values())} FROM {old}_before"
        f" WHERE NOT ({_LEFT_BEHIND.get(old, 'FALSE')})"
    )


def _columns(writer: apsw.Connection, table: str) -> list[str]:
    return [name for (name,) in writer.execute("SELECT name FROM pragma_table_info(?)", (table,))]
