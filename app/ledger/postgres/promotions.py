"""The promotion of a standby: it may lack what its former owner has told, so that one may look at it first.

Each promotion begins another timeline of PostgreSQL. A term has the one in which its owner wrote last.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from .arrays import array_of
from .pipeline import Statement

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

TIMELINE: Final = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int8"
"""The timeline that the server writes, in SQL."""

# Two standbys of one primary may begin timelines of one number: then PostgreSQL's start tells them apart.
_OTHER: Final = f"""
SELECT term.timeline <> {TIMELINE} AND term.server <> %s::uuid, {TIMELINE}, pg_postmaster_start_time()
FROM position JOIN term USING (term) ORDER BY position.n DESC LIMIT 1
"""
_SEEN: Final = f"""
UPDATE term SET timeline = {TIMELINE}
WHERE term = ($1::int8[])[1] AND timeline IS DISTINCT FROM {TIMELINE}
"""


def seen(term: int) -> Statement:
    """The statement by which the owner of a term notes in which timeline it goes on."""
    return Statement(_SEEN, [array_of("int", [term])])


class FormerOwner:
    """Whether a server that could take over leaves that to the owner before, for ``patience`` seconds.

    It does after each promotion which that owner has not seen: if it is there, it goes on in its term, or
    notes what is lost. ``server`` is who asks: it is blocked while another one has the lock, so that it may
    look at one promotion, and then at the next one only.
    """

    def __init__(self, server: str, patience: float) -> None:
        self._server = server
        self._patience = patience
        self._promotion: tuple[int, datetime] | None = None
        self._since = 0.0

    def goes_first(self, session: psycopg.Connection[Any]) -> bool:
        """Whether it still may, as seen by a session that has the ledger's lock."""
        row = session.execute(_OTHER, (self._server,)).fetchone()
        if row is None or not row[0]:
            self._promotion = None
            return False
        promotion = row[1], row[2]
        if promotion != self._promotion:
            self._promotion, self._since = promotion, monotonic()
        return monotonic() - self._since < self._patience

    def is_cut_off(self) -> None:
        """The database can't be reached, perhaps by nobody: the patience begins anew when it can."""
        self._promotion = None
