"""How a server becomes the owner of a ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ..clock import LedgerClock
from . import losses
from .arrays import array_of
from .engine import PostgresEngine
from .fence import Fenced, Mark, Position
from .ledger import Ledger
from .pipeline import Failed, Pipeline, Statement
from .promotions import TIMELINE
from .shipped import KEPT_BYTES
from .terms import Begun, Server, key_of

if TYPE_CHECKING:
    import psycopg

    from .filling import Warm

_NEWEST: Final = """
SELECT n, term, clock, (extract(epoch FROM clock_timestamp()) * 1000)::int8 AS now
FROM position ORDER BY n DESC LIMIT 1
"""
_TERM: Final = f"""
INSERT INTO term (term, after, server, address, session, timeline)
SELECT term, after, server::uuid, address, pg_backend_pid(), {TIMELINE}
FROM unnest($1::int8[], $2::int8[], $3::text[], $4::text[]) AS new (term, after, server, address)
"""
OWNER_TIMEOUT: Final = 4.0
"""Seconds of silence after which an owner is taken for gone."""


def take_over(
    ledger: Ledger,
    session: psycopg.Connection[Any],
    server: Server,
    *,
    moved: Callable[[], None] = lambda: None,
    clock: Callable[[int], LedgerClock] | None = None,
    owner_timeout: float = OWNER_TIMEOUT,
    kept_bytes: int = KEPT_BYTES,
    warm: Warm | None = None,
) -> PostgresEngine:
    """Begin a term, by a session that has the ledger's lock, and load what its owner needs.

    Args:
        ledger: The ledger, which has been made.
        session: It writes from here on, and is closed with the engine.
        server: Whose term it is.
        moved: Called once, on any thread, when another server has taken over.
        clock: Makes ledger time of the time that was persisted; by default it follows the database's.
        owner_timeout: Seconds; for half of them after its last step an owner is sure to be one.
        kept_bytes: So many bytes of its last transactions stay in memory, to be written back.
        warm: Keeps a copy of the memory of the owner before; if it has all, nothing is loaded.
    """
    begun = begin_term(session, server)
    return PostgresEngine(
        ledger,
        session,
        begun,
        trust=owner_timeout / 2,
        kept_bytes=kept_bytes,
        warm=warm,
        moved=moved,
        clock=clock,
    )


def begin_term(session: psycopg.Connection[Any], server: Server) -> Begun:
    """Take the position over, whoever had it; only what its row says decides.

    A term whose beginning may be lost is not begun a second time.

    Raises:
        Failed, Broken, Unsafe: as Pipeline.transaction.
        LedgerLost: somebody has noted that it has lost something, and nobody has said how it goes on.
    """
    pipeline = Pipeline(session)
    while True:
        loss = losses.newest(session)
        row = session.execute(_NEWEST).fetchone()
        assert row is not None  # noqa: S101  # a ledger has a position from its beginning
        n, before, heard, wall = row
        losses.refuse(loss, (before, n))
        term = max(before, 0 if loss is None else loss.term) + 1
        now = max(heard, wall)
        position = Position(pipeline, n, before, heard)
        numbers = array_of("int", [term]), array_of("int", [n])
        names = array_of("text", [server.id]), array_of("text", [server.address])
        statements = [Statement(_TERM, [*numbers, *names])]
        if loss is not None and loss.accepted is not None and loss.went_on is None:
            statements += losses.went_on(term, n + 1)
        statements.append(losses.unchanged(term, (before, n)))
        try:
            position.step(now, statements, term=term)
        except Fenced:  # the owner before got one more in
            continue
        except Failed as failed:
            if failed.at == len(statements) and failed.state == losses.CHANGED:
                continue
            raise
        return Begun(server.id, position, Mark(n, before, heard), heard, now)


def lock(ledger: Ledger, session: psycopg.Connection[Any]) -> None:
    """Wait until no other session has the ledger's lock, and take it."""
    session.execute("SELECT pg_advisory_lock(%s)", (key_of(ledger.schema),))
