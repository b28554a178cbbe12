"""From version 1, which had queues and answers, to version 2, which has what is inside queues."""

from __future__ import annotations

from pathlib import Path

import apsw

_COLUMNS = (
    "id, name, generation, source, args, created_at, deleted_at, paused, ending, failure_type,"
    " failure_message, mark, cursor, taken, jumped"
)


def migrate(writer: apsw.Connection) -> None:
    """Make a file of version 1 one of version 2, in the transaction of the caller.

    The table of queues is made anew, since a CHECK can't be added to one; the rows are as they were.
    """
    # Else the foreign keys of other tables would follow the old one.
    writer.pragma("legacy_alter_table", True)
    try:
        writer.execute("ALTER TABLE queue RENAME TO queue_1")
        writer.execute(Path(__file__).with_name("work.sql").read_text(encoding="utf-8"))
        writer.execute(f"INSERT INTO queue ({_COLUMNS}) SELECT {_COLUMNS} FROM queue_1")  # noqa: S608
        writer.execute("DROP TABLE queue_1")
    finally:
        writer.pragma("legacy_alter_table", False)
