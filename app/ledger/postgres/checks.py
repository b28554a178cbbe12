"""What is looked at before a ledger in PostgreSQL is served: whether its promises can be kept there.

Refused is what would break a promise without a word; the message says what to do. A warning is about what
an operator will want to know before it happens.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from ...errors import LedgerTooNew, LedgerUnavailable, LedgerUnfit
from ..ops import EngineFailed
from .connecting import connect
from .replication import Standbys, standbys_of, warnings_of_standbys
from .vacuum import Holder, holders, warnings_of_vacuum

if TYPE_CHECKING:
    import psycopg

    from .place import Place

    Session = psycopg.Connection[Any]

OLDEST: Final = 15
"""The oldest major version of PostgreSQL that works."""

_SEEN: Final = """
SELECT current_setting('server_version'), current_setting('server_version_num')::int4,
    current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'),
    current_database()
"""
_MARK: Final = "SELECT pg_backend_pid(), set_config('dibs.session', %s, false)"
_MARKED: Final = "SELECT pg_backend_pid(), current_setting('dibs.session', true)"


def check_at_start(place: Place) -> list[str]:
    """Look at the server and at the way to it; the warnings, each a sentence for the log.

    Raises:
        LedgerUnfit: a promise would not hold there.
        LedgerUnavailable: it can't be reached.
    """
    import psycopg

    try:
        with connect(place, purpose="start") as session:
            check_settings(session, place.shown)
            with connect(place, purpose="start") as other:
                check_sessions(session, other, place.shown)
            return warnings_of(standbys_of(session), holders(session))
    except EngineFailed as error:
        raise LedgerUnavailable(f"can't open the ledger: {error}") from error
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        raise LedgerUnavailable(f"can't open the ledger {place.shown}: {text}") from error


def warnings_of(standbys: Standbys, holding: Iterable[Holder]) -> list[str]:
    """What an operator should know of the server, each a sentence."""
    return [*warnings_of_standbys(standbys), *warnings_of_vacuum(holding)]


def check_settings(session: Session, shown: str) -> None:
    """Refuse a server or a database that can't keep what it is given.

    Raises:
        LedgerUnfit: by its version, its encoding, or what it leaves out of its writes.
    """
    version, number, encoding, fsync, full_page_writes, database = _row(session.execute(_SEEN))
    if number // 10_000 < OLDEST:
        raise LedgerUnfit(
            f"{shown} is PostgreSQL {version}, and dibs needs {OLDEST} or later: upgrade the server, or use"
            " another one"
        )
    if encoding != "UTF8":
        raise LedgerUnfit(
            f"the database {database} of {shown} has the encoding {encoding}, which can't keep every text:"
            " create another one by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'"
        )
    for name, setting, danger in (
        ("fsync", fsync, "a crash of its machine would lose what was answered, or all of it"),
        ("full_page_writes", full_page_writes, "a crash of its machine could damage pages for good"),
    ):
        if setting == "off":
            raise LedgerUnfit(
                f"{shown} runs with {name} = off, so {danger}: set {name} = on in postgresql.conf, or by"
                f" ALTER SYSTEM SET {name} = on, and reload it by SELECT pg_reload_conf()"
            )


def check_sessions(session: Session, other: Session, shown: str) -> None:
    """Refuse a pooler that lends a session out for a transaction or a statement only.

    The ledger's lock and all settings belong to a session. While ``other`` is in a transaction, ``session``
    must be where it was before, and nobody else there.

    Raises:
        LedgerUnfit: two transactions of a session are in two sessions of the server, or two in one.
    """
    from psycopg.errors import ProtocolViolation

    mark = secrets.token_hex(8)
    first = _row(session.execute(_MARK, (mark,)))
    try:
        with other.transaction():
            between = _row(other.execute(_MARKED))
            # The pooler may have no third session: what is known already is told without asking again.
            again = first if between[0] == first[0] else _row(session.execute(_MARKED))
    except ProtocolViolation as error:  # it has statements only
        raise LedgerUnfit(_POOLED.format(shown)) from error
    if again != (first[0], mark) or between[0] == first[0] or between[1] == mark:
        raise LedgerUnfit(_POOLED.format(shown))


_POOLED: Final = (
    "between dibs and {} is a pooler in transaction mode (such as pgbouncer with pool_mode = transaction),"
    " behind which locks and settings of a session do not hold: give dibs the address of PostgreSQL itself,"
    " or set pool_mode = session for its database"
)


def _row(cursor: psycopg.Cursor[Any]) -> tuple[Any, ...]:
    """The row of a SELECT that has exactly one."""
    [row] = cursor
    return tuple(row)


def check_format(written: int, known: int, shown: str) -> None:
    """Refuse tables of a newer dibs.

    Raises:
        LedgerTooNew: the format that was written is above the one that is known.
    """
    if written > known:
        raise LedgerTooNew(
            f"the ledger in {shown} has format {written}, written by a newer dibs; this one knows up to"
            f" {known}: start the newer one"
        )
