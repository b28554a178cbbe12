"""A survey: which servers there are, how often the owner changed, whom the database waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..terms import Peer
from . import losses
from .checks import warnings_of
from .replication import standbys_of
from .terms import STANDING, key_of, owner_of
from .vacuum import holders

if TYPE_CHECKING:
    import psycopg

# The last two columns are not there before a server of this release has been.
_PEERS: Final = """
SELECT id::text, address, version, note, extract(epoch FROM clock_timestamp() - seen)::float8,
    (to_jsonb(server) ->> 'lag')::int8, coalesce(to_jsonb(server) -> 'troubles', '[]')
FROM server WHERE seen > clock_timestamp() - interval '1 minute' ORDER BY address, id
"""
# Who waits for the lock gets it in the order in which they came.
_NEXT: Final = """
SELECT server.id::text
FROM pg_locks AS waits JOIN pg_stat_activity AS session USING (pid)
JOIN server ON session.application_name = %(standing)s || server.id::text
WHERE waits.locktype = 'advisory' AND NOT waits.granted AND waits.objsubid = 1
    AND waits.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND waits.classid = ((%(key)s::int8 >> 32) & 4294967295)::oid
    AND waits.objid = (%(key)s::int8 & 4294967295)::oid
ORDER BY waits.waitstart LIMIT 1
"""
_TERMS: Final = """
SELECT count(*) FILTER (WHERE began > clock_timestamp() - interval '1 hour'),
    coalesce(extract(epoch FROM clock_timestamp() - max(began)), 0)::float8
FROM term
"""


class Around(NamedTuple):
    """What changes slowly around a ledger; as in :class:`~..terms.Survey`."""

    lasts: float
    takeovers: int
    peers: tuple[Peer, ...]
    next_owner: str | None
    standbys: int
    standbys_needed: int
    held: int
    warnings: tuple[str, ...]


def look_around(session: psycopg.Connection[Any], schema: str) -> Around:
    """Look at the servers of the ledger in this schema, and their database; nothing is written."""
    [(takeovers, lasts)] = session.execute(_TERMS)
    first = session.execute(_NEXT, {"key": key_of(schema), "standing": STANDING}).fetchone()
    standbys, holding = standbys_of(session), holders(session)
    return Around(
        lasts=lasts,
        takeovers=takeovers,
        peers=tuple(Peer(*row[:6])._replace(troubles=tuple(row[6])) for row in session.execute(_PEERS)),
        next_owner=None if first is None else first[0],
        standbys=standbys.there,
        standbys_needed=standbys.needed,
        held=holding[0].transactions if holding else 0,
        warnings=(*_loss(session), *warnings_of(standbys, holding)),
    )


def _loss(session: psycopg.Connection[Any]) -> tuple[str, ...]:
    """What there is to be told of transactions that were lost."""
    owner = owner_of(session)
    told = losses.words_of(losses.newest(session), (owner.term, owner.n))
    return () if told is None else (told,)
