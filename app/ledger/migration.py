"""From the formats of older releases to this one: the tables are made anew, and the rows carried over."""

from __future__ import annotations

from pathlib import Path

import apsw

SCHEMA = ("sqlite.sql", "work.sql")
"""The files that make a ledger of this format."""


def create(writer: apsw.Connection) -> None:
    """Make the tables of this format, in the transaction of the caller."""
    for name in SCHEMA:
        writer.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def migrate(writer: apsw.Connection) -> None:
    """Make a file of format 1 or 2 one of this format, in the transaction of the caller.

    Every table is made anew, since a CHECK can't be added to one and a changed table would not read as a new
    one does. A column that an older format did not have gets its default.
    """
    old = [name for (name,) in writer.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    indexes = writer.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    # Else the foreign keys of other tables would follow the old ones.
    writer.pragma("legacy_alter_table", True)
    try:
        for (name,) in indexes:
            writer.execute(f'DROP INDEX "{name}"')
        for table in old:
            writer.execute(f'ALTER TABLE "{table}" RENAME TO "old_{table}"')
        create(writer)
        for table in old:
            kept = ", ".join(sorted(_columns(writer, table) & _columns(writer, f"old_{table}")))
            writer.execute(f'INSERT INTO "{table}" ({kept}) SELECT {kept} FROM "old_{table}"')  # noqa: S608
        for table in old:
            writer.execute(f'DROP TABLE "old_{table}"')
    finally:
        writer.pragma("legacy_alter_table", False)


def _columns(writer: apsw.Connection, table: str) -> set[str]:
    return {name for (name,) in writer.execute("SELECT name FROM pragma_table_info(?)", (table,))}
