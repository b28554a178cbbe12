"""A look at a ledger in PostgreSQL that changes nothing, for ``dibs doctor``: also while nobody owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...errors import LedgerUnavailable
from ..ops import EngineFailed
from . import losses
from .checks import check_at_start
from .connecting import Place, connect
from .home import HERE, WRITTEN, Home
from .ledger import FORMAT, departed_from
from .survey import Around, look_around
from .terms import Owner, owner_of

if TYPE_CHECKING:
    import psycopg

COUNTED_MOST: Final = 100_000
"""Rows of the inbox that are counted."""

_DATABASE: Final = """
SELECT current_setting('server_version'),
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
    current_setting('max_connections')::int4 - current_setting('superuser_reserved_connections')::int4
"""
_THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"
_LEDGER: Final = f"""
SELECT format, (SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::int8 FROM pg_class
    WHERE relnamespace = current_schema()::text::regnamespace AND relkind = 'r'), {WRITTEN}, {HERE}
FROM ledger
"""
_INBOX: Final = """
SELECT (SELECT count(*) FROM (SELECT FROM inbox LIMIT %s) AS first),
    (SELECT coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8 FROM inbox),
    (SELECT count(*) FROM (SELECT FROM inbox_refused LIMIT %s) AS first)
"""


class Kept(NamedTuple):
    """A ledger: its ``format``, where it was ``made``, where it is, and bytes of its tables.

    ``loss`` says what is lost, or was lost within days; ``halted``: the ledger waits for somebody to say
    how it goes on. ``inbox``: rows that wait (counted up to ``COUNTED_MOST``), seconds that the first has
    waited, rows that were refused.
    """

    format: int
    made: Home
    here: Home
    bytes: int
    owner: Owner
    loss: str | None
    halted: bool
    inbox: tuple[int, float, int]


class Examined(NamedTuple):
    """What was found. ``known``: the format that this release writes; ``kept`` None: there is no ledger.

    ``used`` of ``most`` connections of the server are taken. ``around`` is None without a ledger;
    ``departed`` is the table that says then that one has gone back into a data folder.
    """

    shown: str
    version: str
    used: int
    most: int
    warnings: list[str]
    known: int
    kept: Kept | None
    around: Around | None
    departed: str | None = None


def examine(url: str) -> Examined:
    """Look at the database and at the ledger in it.

    Raises:
        ConfigError: it is no URL of a PostgreSQL, or psycopg is not installed.
        LedgerUnfit, LedgerUnavailable: it can't be used; the sentence says why.
    """
    import psycopg

    place = Place.of(url)
    warnings = check_at_start(place)
    try:
        with connect(place, purpose="doctor") as session:
            session.execute("SET default_transaction_read_only = on")
            return _examined(session, place, warnings)
    except EngineFailed as error:
        raise LedgerUnavailable(str(error)) from error
    except psycopg.Error as error:
        text = " ".join(str(error).split())
        raise LedgerUnavailable(f"the ledger in {place.shown} can't be read: {text}") from error


def _examined(session: psycopg.Connection[Any], place: Place, warnings: list[str]) -> Examined:
    [(version, used, most)] = session.execute(_DATABASE)
    [(there,)] = session.execute(_THERE, (f'"{place.schema}".ledger',))
    kept = around = departed = None
    if there:
        kept, around = _kept(session), look_around(session, place.schema)
    else:
        departed = departed_from(session, place.schema)
    return Examined(place.shown, version, used, most, warnings, FORMAT, kept, around, departed)


def _kept(session: psycopg.Connection[Any]) -> Kept:
    [(written, size, *homes)] = session.execute(_LEDGER)
    made, here = Home.two(tuple(homes))
    if session.execute("SELECT FROM position").fetchone() is None:
        raise LedgerUnavailable("a ledger is on its way there or away: run `dibs migrate` again")
    [inbox] = session.execute(_INBOX, (COUNTED_MOST, COUNTED_MOST))
    owner, loss = owner_of(session), losses.newest(session)
    standing = owner.term, owner.n
    halted = losses.halts(loss, standing)
    return Kept(written, made, here, size, owner, losses.words_of(loss, standing), halted, tuple(inbox))
