"""A ledger leaves a database: what is copied of it, and how it ends there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ...errors import LedgerLocked, LedgerMigrated
from ..sqlite.moved import mark
from .exporting import Moment, export
from .site import Site
from .terms import key_of

# Whoever has the ledger's lock is its owner, whoever waits for it stands by.
_SERVERS: Final = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = ((%(key)s::int8 >> 32) & 4294967295)::oid AND objid = (%(key)s::int8 & 4294967295)::oid
"""
_DROP_PUSH: Final = """
DO $$ DECLARE each text; BEGIN
    FOR each IN SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = '{schema}'::regnamespace AND proname = 'push'
    LOOP EXECUTE format('DROP FUNCTION %s', each); END LOOP;
END $$
"""
_DEPARTED: Final = """
CREATE TABLE departed (instance uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())
"""
"""What says that a ledger was here: a server that starts here would begin another one, at seq 1."""
_PATIENCE: Final = "10s"
"""How long the inbox is waited for, while somebody's transaction pushes."""


def refuse_servers(site: Site) -> None:
    """Refuse to go on while a server owns the ledger, or stands by.

    Raises:
        LedgerLocked: one does.
    """
    with site.in_words():
        key = {"key": key_of(site.ledger.schema)}
        [(servers,)] = site.session.execute(_SERVERS, key).fetchall()
    if servers:
        raise LedgerLocked(
            f"{servers} server{'s have' if servers > 1 else ' has'} the ledger in {site.shown} open: stop"
            " all of them first; nothing was changed"
        )


def refuse_inbox(site: Site) -> None:
    """Refuse to copy a ledger that could not leave then, since its inbox is not empty.

    Raises:
        LedgerMigrated: it is not.
    """
    with site.in_words():
        _refuse_waiting(site)


def _refuse_waiting(site: Site) -> None:
    [(waiting, refused)] = site.session.execute(
        "SELECT (SELECT count(*) FROM inbox), (SELECT count(*) FROM inbox_refused)"
    ).fetchall()
    ways = []
    if waiting:
        ways.append("start a server until what waits is taken in")
    if refused:
        table = f'"{site.ledger.schema}".inbox_refused'
        ways.append(
            "with a server, `dibs inbox` says why rows were refused, and `dibs inbox --retry` tries them"
            f" again; `DELETE FROM {table}` throws them away"
        )
    if ways:
        raise LedgerMigrated(
            f"the inbox in {site.shown} has {waiting} items that no server has taken in yet, and {refused}"
            f" that were refused: {'; '.join(ways)}; nothing was changed in the database"
        )


def retire(site: Site, position: int) -> None:
    """Take the position away, if it is this one: no server opens the ledger any more, nobody pushes.

    Raises:
        LedgerMigrated: it is another one, or the inbox is not empty.
        LedgerLocked: a server owns it.
    """
    with site.changing() as session:
        key = key_of(site.ledger.schema)
        [(free,)] = session.execute("SELECT pg_try_advisory_xact_lock(%s)", (key,)).fetchall()
        if not free:
            raise LedgerLocked(f"a server owns the ledger in {site.shown}: stop it first")
        gone = session.execute("DELETE FROM position WHERE n = %s RETURNING n", (position,)).fetchall()
        if not gone:
            refuse_written(site, position)
        session.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'".encode())
        session.execute("LOCK TABLE inbox, inbox_refused IN ACCESS EXCLUSIVE MODE")
        _refuse_waiting(site)
        session.execute(site.in_schema(_DROP_PUSH))


def refuse_written(site: Site, position: int) -> None:
    """Refuse to go back to what is older than the ledger there.

    Raises:
        LedgerMigrated: with the reason.
    """
    [(newest,)] = site.session.execute("SELECT max(n) FROM position").fetchall()
    raise LedgerMigrated(
        f"the ledger in {site.shown} stands at {newest}, and the folder is as of {position}: what was"
        " written since would be handed out again. Move it into an empty folder instead, which takes all"
        " of it: `dibs migrate --back URL FOLDER`; nothing was changed"
    )


def depart(site: Site, made: str, to: Path, rows: Callable[[str, int], None]) -> Moment:
    """Write all of it into a file, marked as moved here at its position.

    Raises:
        LedgerDamaged, LedgerUnavailable: as ``export``.
    """
    with site.in_words():
        return export(
            site.session,
            to,
            lambda writer, position: mark(writer, site.shown, made, position),
            rows,
        )


def drop(site: Site, instance: str) -> None:
    """Drop what is left of a ledger that has left."""
    with site.changing() as session:
        found = site.read()
        if found is not None and found.instance == instance and found.position is None:
            site.drop_all()
            session.execute(_DEPARTED)
            session.execute("INSERT INTO departed (instance) VALUES (%s::uuid)", (instance,))
