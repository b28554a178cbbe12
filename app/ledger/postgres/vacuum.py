"""Who holds vacuum back: while one does, each row that a transaction replaced stays in the tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import psycopg

LONG: Final = 10_000
"""Transactions for which vacuum may be held back without a word."""

# Ages are in transactions. What sessions do is hidden from an ordinary role, but not how old a snapshot is.
_HOLDERS: Final = """
SELECT what, age FROM (
    SELECT format('the session %s of %s', pid, coalesce(usename, backend_type)) AS what,
        greatest(age(backend_xmin), age(backend_xid)) AS age
    FROM pg_stat_activity WHERE pid <> pg_backend_pid()
    UNION ALL
    SELECT format('the replication slot %I', slot_name), age(xmin) FROM pg_replication_slots
    UNION ALL
    SELECT format('the prepared transaction %L', gid), age(transaction) FROM pg_prepared_xacts
) AS holder WHERE age IS NOT NULL ORDER BY age DESC, what
"""


class Holder(NamedTuple):
    """Somebody who may still see rows that were replaced up to ``transactions`` ago."""

    what: str
    transactions: int


def holders(session: psycopg.Connection[Any]) -> list[Holder]:
    """All who hold vacuum back now, for however short a time, the worst one first."""
    return [Holder(*row) for row in session.execute(_HOLDERS)]


def warnings_of_vacuum(found: Iterable[Holder]) -> list[str]:
    """A sentence for each that holds vacuum back for long."""
    return [
        f"{what} has held vacuum back for {transactions:,} transactions: tables and indexes grow until it"
        f" ends. {_way_out(what)}"
        for what, transactions in found
        if transactions >= LONG
    ]


def _way_out(what: str) -> str:
    if what.startswith("the session "):
        return "End what it does, or the session by SELECT pg_terminate_backend(…)"
    if what.startswith("the replication slot "):
        return "Let its standby catch up, or drop it by SELECT pg_drop_replication_slot(…)"
    return "End it by COMMIT PREPARED or ROLLBACK PREPARED"
