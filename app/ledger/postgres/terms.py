"""Who owns a ledger: the lock that is for speed, the silence that is noticed, the step that decides."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    import psycopg

    from .fence import Mark, Position

_OWNER: Final = """
SELECT position.n, position.term, term.server::text, nullif(term.address, ''), term.began,
    extract(epoch FROM clock_timestamp() - position.at)::float8 AS silent
FROM position LEFT JOIN term ON term.term = position.term ORDER BY position.n DESC LIMIT 1
"""
_AFTER: Final = """
SELECT after FROM term WHERE term > %(term)s OR (term = %(term)s AND server <> %(server)s::uuid)
ORDER BY term LIMIT 1
"""

# Whoever holds the lock, unless its commit waits for a standby: that is never cut short, since it would be
# visible and not replicated. The position is silent until the next owner has stepped it, so a session that
# has been quiet for less than the time-out has just got the lock: another server ended the one before.
_END_HOLDER: Final = """
SELECT pg_terminate_backend(holder.pid)
FROM pg_locks AS held JOIN pg_stat_activity AS holder ON holder.pid = held.pid
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
    AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND held.classid = ((%(key)s::int8 >> 32) & 4294967295)::oid
    AND held.objid = (%(key)s::int8 & 4294967295)::oid
    AND holder.wait_event IS DISTINCT FROM 'SyncRep'
    AND coalesce(holder.state_change < clock_timestamp() - make_interval(secs => %(quiet)s), true)
"""


STANDING: Final = "dibs owner "
"""What the session of a server that stands for owner is called, before the server's id."""


class Server(NamedTuple):
    """A server, as others find it: its id, its address (host:port), its version."""

    id: str
    address: str
    version: str


class Owner(NamedTuple):
    """Who has the newest term, and how many seconds ago it wrote last, by the database's clock.

    A command that wrote to the ledger while no server owned it has no ``address``.
    """

    n: int
    term: int
    server: str | None
    address: str | None
    began: Any
    silent: float


class Begun(NamedTuple):
    """A term that has begun, ``after`` this transaction.

    ``server`` is the id of its owner. ``heard``: ledger time at the last transaction before; ``now``: ledger
    time now; both in milliseconds.
    """

    server: str
    position: Position
    after: Mark
    heard: int
    now: int


def key_of(schema: str) -> int:
    """The number of the advisory lock of a ledger."""
    return int.from_bytes(hashlib.sha256(f"dibs ledger {schema}".encode()).digest()[:8], "big", signed=True)


def owner_of(session: psycopg.Connection[Any]) -> Owner:
    """Who has the newest term."""
    row = session.execute(_OWNER).fetchone()
    assert row is not None  # noqa: S101  # a ledger has a position from its beginning
    return Owner(*row)


def after_of(session: psycopg.Connection[Any], term: int, server: str) -> int | None:
    """Up to which number the transactions of this server's term are on disk, which another one has followed.

    None: none has.
    """
    row = session.execute(_AFTER, {"term": term, "server": server}).fetchone()
    return None if row is None else int(row[0])


def name(session: psycopg.Connection[Any], server: Server) -> None:
    """Let the others see whose session it is that waits for the lock."""
    session.execute("SELECT set_config('application_name', %s, false)", (STANDING + server.id,))


def end_holder(session: psycopg.Connection[Any], schema: str, quiet: float) -> bool:
    """End the session that has the lock, if it began nothing for so many seconds; whether there was one."""
    return bool(session.execute(_END_HOLDER, {"key": key_of(schema), "quiet": quiet}).fetchall())
