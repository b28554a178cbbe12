"""One session of PostgreSQL: how it is reached, and what is set in it whatever its role's defaults are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from select import select
from typing import TYPE_CHECKING, Any, Final

from ..ops import EngineFailed
from .place import Place

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn

__all__ = ["Place", "connect"]

PATIENCE: Final = 5
"""Seconds for which one host is asked for a connection, and a new session for its settings."""

# What the URL may say otherwise. A host that is gone is noticed after 4 seconds: by what was sent to it and
# is not confirmed, or by probes when nothing was sent.
_DEFAULTS: Final[dict[str, Any]] = {
    "connect_timeout": PATIENCE,
    "tcp_user_timeout": 4000,
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
# A transaction that a stopped owner left open would hold its position for ever. But what waits for the
# ledger's lock waits as long as it takes, so does what loads, and a session that is idle stands ready: no
# time-out of the server or of the role may end them. A commit is on the disk, and at the standby where there
# is one; a role that asks for more (remote_apply) gets more. One that did not wait for its standby says so by
# a warning, which a role may not want to hear of; a notice would be taken for one. Instants are written as
# psycopg reads them.
_SETTINGS: Final = """
SET search_path = "{schema}", pg_catalog;
SET idle_in_transaction_session_timeout = '5s';
SET idle_session_timeout = 0;
SET statement_timeout = 0;
SET lock_timeout = 0;
SET default_transaction_isolation = 'read committed';
SET default_transaction_deferrable = off;
SET standard_conforming_strings = on;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET client_min_messages = warning;
SET jit = off;
SELECT set_config('synchronous_commit', {commit}, false);
"""
# A plan that was made while a table was small reads all of it, and all versions of its rows that nobody has
# removed yet; it is kept however large the table becomes. Here all rows are found by their keys.
_BY_KEY: Final = (
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;"
    " SET plan_cache_mode = force_generic_plan;"
)
_17: Final = 170_000
_SINCE_17: Final = "SET transaction_timeout = 0;"
_DURABLE: Final = (
    "CASE current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END"
)


def connect(
    place: Place, *, purpose: str, by_key: bool = False, sync: bool = True
) -> psycopg.Connection[Any]:
    """A session on the ledger's schema, in autocommit, with the host that takes writes.

    ``purpose`` is who it is in ``pg_stat_activity``: "dibs owner". ``by_key``: its statements find rows by
    keys only. Without ``sync`` a commit is answered before it is on the disk: ``--no-sync``, nothing else.

    Raises:
        EngineFailed: no host takes writes, or none answers in time; the message has no password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(place.url)
    fixed = {
        "target_session_attrs": "read-write",
        "client_encoding": "UTF8",
        "application_name": f"dibs {purpose}",
    }
    try:
        connection = psycopg.connect(**(_DEFAULTS | given | fixed), autocommit=True)
    except psycopg.Error as error:
        text = told(error, given)
        raise EngineFailed(f"{place.shown} can't be reached: {text}{_advice(text)}") from error
    try:
        commit = _DURABLE if sync else "'off'"
        later = _SINCE_17 if connection.info.server_version >= _17 else ""
        later += _BY_KEY if by_key else ""
        _set(connection.pgconn, _SETTINGS.format(schema=place.schema, commit=commit) + later)
    except BaseException as error:
        connection.close()
        if isinstance(error, (psycopg.Error, TimeoutError)):
            raise EngineFailed(f"{place.shown} can't be used: {told(error, given)}") from error
        raise
    return connection


_ADVICE: Final = (
    (
        ("password authentication failed", "no password supplied"),
        "the password is that of the URL, else of PGPASSWORD, else of ~/.pgpass",
    ),
    (("database", "does not exist"), "create it first, by CREATE DATABASE or createdb"),
    (("role", "does not exist"), "create it first, by CREATE ROLE … LOGIN, or name another user in the URL"),
    (("no pg_hba.conf entry",), "let this machine in by a line of pg_hba.conf"),
    (("resolve host",), "look at the host of the URL"),
    (("on socket",), "if it is not on this machine, name its host in the URL"),
)


def _advice(text: str) -> str:
    """What to do about a connection that was refused, where PostgreSQL's own words don't say it.

    Those words are told in the server's language; in another one than English there is no advice.
    """
    for signs, advice in _ADVICE:
        found = any if "password" in signs[0] else all
        if found(sign in text for sign in signs):
            return f"; {advice}"
    return ""


def told(error: BaseException, given: Mapping[str, Any]) -> str:
    """An error of psycopg in one line, without the secrets of the URL."""
    text = " ".join(str(error).split()) or type(error).__name__
    for name in ("password", "sslpassword"):
        if secret := str(given.get(name) or ""):
            text = text.replace(secret, "***")
    return text


def _set(pgconn: PGconn, statements: str) -> None:
    """Run statements; a server that is frozen answers nothing, and is waited for no longer than others."""
    from psycopg import OperationalError
    from psycopg.pq import ExecStatus

    over = time.monotonic() + PATIENCE
    pgconn.send_query(statements.encode())
    while True:
        pgconn.flush()
        while pgconn.is_busy():
            if not select([pgconn.socket], [], [], max(over - time.monotonic(), 0))[0]:
                raise TimeoutError(f"it did not answer within {PATIENCE} s")
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            return
        if result.status not in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
            raise OperationalError(result.error_message.decode("utf-8", "replace"))
