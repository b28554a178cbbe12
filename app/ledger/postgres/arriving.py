"""A ledger arrives in a database: all its rows in one transaction, and later its position."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from ...errors import LedgerDamaged, LedgerMigrated
from .copying import Layout, Sum, copy_in, layouts, sum_there
from .installing import install
from .site import Site

_ARRIVED: Final = """
INSERT INTO position (n, term, clock) SELECT %s, coalesce(max(term), 0), %s FROM term
"""
_NUMBERS_GO_ON: Final = """
SELECT setval(pg_get_serial_sequence('history', 'id'), max(id)) FROM history HAVING count(*) > 0
"""


class Arrived(NamedTuple):
    """A ledger that has no position yet: what tells it from others of its instance, and its tables."""

    made: str
    sums: dict[str, Sum]


def arrive(
    site: Site,
    instance: str,
    fill: Callable[[Callable[[Layout, Any], Sum], list[Layout]], None],
    step: Callable[[str], None],
    rows: Callable[[str, int], None],
) -> Arrived:
    """Make the tables and copy all rows into them, compared with what was sent; but no position.

    ``fill`` gets what copies rows, and the tables. What an earlier attempt has left is dropped before.

    Raises:
        LedgerMigrated: there is a ledger already.
        LedgerDamaged: what is there is not what was sent. Nothing is there then.
    """
    sent: dict[str, Sum] = {}
    with site.changing() as session:
        found = site.read()
        site.refuse(found, instance)
        if found is not None:
            site.drop_all()
        site.ledger.create(session, instance)
        step("made")

        def copy(layout: Layout, source: Any) -> Sum:
            name = layout.table.name
            sent[name] = copy_in(session, layout, source, lambda count: rows(name, count))
            return sent[name]

        tables = layouts(session)
        fill(copy, tables)
        step("copied")
        compare(sent, {each.table.name: sum_there(session, each) for each in tables}, site.shown)
        session.execute(_NUMBERS_GO_ON)
        session.execute(f"ANALYZE {', '.join(sent)}".encode())
        there = site.read()
        step("compared")
    assert there is not None  # noqa: S101  # it was made just now
    return Arrived(there.made, sent)


def complete(site: Site, made: str, position: int, clock: int) -> str | None:
    """Let the ledger be served; what somebody else has to do for pushes by SQL, if anything.

    Raises:
        LedgerMigrated: the ledger that was on its way is not there.
    """
    with site.changing() as session:
        found = site.read()
        if found is None or found.made != made:
            raise LedgerMigrated(f"what was on its way to {site.shown} is not there any more")
        if found.position is not None:
            return None
        lacking = install(session, site.ledger.schema)
        session.execute(_ARRIVED, (position, clock))
        return lacking


def compare(sent: Mapping[str, Sum], there: Mapping[str, Sum], shown: str) -> None:
    """Refuse a copy that is not equal.

    Raises:
        LedgerDamaged: it is not.
    """
    for name, expected in sent.items():
        if there.get(name) != expected:
            found = there[name].rows if name in there else 0
            raise LedgerDamaged(
                f"the table {name} in {shown} is not what was copied there: {found:,} rows for"
                f" {expected.rows:,}, or other ones; nothing was changed"
            )
