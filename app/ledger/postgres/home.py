"""The home of a ledger: where it was made, by which a copy beside its original is noticed."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Self

from ...errors import LedgerCopied

# One that an older release made has no place yet.
WRITTEN: Final = "system_id, to_jsonb(ledger) ->> 'place'"
"""Columns of the table ``ledger``: the home that is written there."""
HERE: Final = """
(SELECT system_identifier FROM pg_control_system()),
(SELECT oid FROM pg_database WHERE datname = current_database()) || '/' || current_schema()
"""
"""Columns: the home of a ledger in this schema."""


class Home(NamedTuple):
    """A database cluster, by its system identifier, and a database and schema in it; "" is not known."""

    system: int
    place: str

    @classmethod
    def two(cls, columns: tuple[Any, ...]) -> tuple[Self, Self]:
        """The one that is written and the one here, of the columns of both."""
        system, place, system_here, place_here = columns
        return cls(system, place or ""), cls(system_here, place_here)


def check_home(written: Home, here: Home, shown: str, *, adopt: bool) -> bool:
    """Refuse a ledger that was made elsewhere: a copy, whose original may be served. Whether it was.

    Who adopts it has to write the new home.

    Raises:
        LedgerCopied: it was, and is not adopted.
    """
    if written.system != here.system:
        what = (
            f"in another PostgreSQL (its system identifier is {written.system}, here it is {here.system}): it"
            " is a copy, restored, dumped or upgraded by pg_upgrade"
        )
    elif written.place not in {"", here.place}:
        what = (
            f"in another database or schema of this PostgreSQL (OID and schema were {written.place}, here"
            f" they are {here.place}): it is a copy, such as a restored dump, or its schema was renamed"
        )
    else:
        return False
    if not adopt:
        raise LedgerCopied(
            f"the ledger in {shown} was made {what}. If the original is served too, both hand out the same"
            " items: end it for good, then start once with --adopt"
        )
    return True
