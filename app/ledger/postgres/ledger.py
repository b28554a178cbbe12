"""A ledger in a PostgreSQL: how it is reached, and how it is made."""

from __future__ import annotations

import logging
import re
import secrets
import uuid
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from ...errors import LedgerMigrated, LedgerUnavailable, LedgerUnfit
from .checks import check_at_start, check_format
from .connecting import Place, connect
from .home import HERE, WRITTEN, Home, check_home
from .installing import install, is_older
from .terms import key_of

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger("dibs.ledger")

FORMAT: Final = 1
"""The format of the tables that this release reads and writes."""

_ADDITIONS: Final = "additions.sql"
_LEDGER: Final = f"SELECT format, secret, {WRITTEN}, {HERE} FROM ledger"
_LACKS: Final = """
SELECT EXISTS (SELECT FROM unnest(%s::text[], %s::text[]) AS added (name, part)
    WHERE to_regclass(name) IS NULL OR part <> '' AND NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass(name) AND attname = part))
"""
_ADDED: Final = re.compile(
    r"^(?:CREATE TABLE|ALTER TABLE (\w+) ADD COLUMN) IF NOT EXISTS (\w+)", re.ASCII | re.MULTILINE
)
"""What additions.sql makes: a table, or a column of one."""
_HELD_MOST: Final = "250ms"
"""How long those who write wait behind a table that is to be changed, while somebody reads it for longer."""
TRIES: Final = 20
PAUSE: Final = 1.0
"""Seconds between two tries to change tables."""


class Ledger:
    """The ledger at a URL (see ``connecting.py``). ``shown``: where it is, without a password."""

    def __init__(self, url: str) -> None:
        self._place = place = Place.of(url)
        self.schema = place.schema
        self.shown = place.shown

    def connect(self, *, writes: bool = False, by_key: bool = False) -> psycopg.Connection[Any]:
        """A session on the ledger's schema. ``writes``: it is an owner's, or is to be.

        ``by_key``: its statements find rows by keys only, as those of an owner do.
        """
        purpose = "owner" if writes else "reader"
        return connect(self._place, purpose=purpose, by_key=writes or by_key)

    def check(self) -> None:
        """Look at the server and the way to it, and log what an operator should know.

        Raises:
            LedgerUnfit: a promise would not hold there.
            LedgerUnavailable: it can't be reached.
        """
        for warning in check_at_start(self._place):
            log.warning("%s", warning)

    def make(self, *, adopt: bool = False) -> bytes:
        """Make the schema and its tables, if there are none; one server does, others wait for it.

        Returns the secret by which the ledger's servers know each other. Whoever adopts a ledger makes this
        database cluster its own.

        Raises:
            LedgerTooNew: a newer dibs made them.
            LedgerCopied: they were made in another cluster, and are not adopted.
            LedgerMigrated: a ledger is on its way there, or away.
            LedgerUnfit: the role lacks a right.
            LedgerUnavailable: somebody holds tables that an older dibs made, and that lack something.
        """
        from psycopg.errors import InsufficientPrivilege, LockNotAvailable

        try:
            for _ in range(TRIES - 1):
                try:
                    return self._made(adopt=adopt)
                except LockNotAvailable:
                    sleep(PAUSE)
            return self._made(adopt=adopt)
        except LockNotAvailable as error:
            raise LedgerUnavailable(
                f"the tables in {self.shown} were made by an older dibs and lack columns, which can't be"
                " added while somebody reads them for long, such as pg_dump: start again once that is over"
            ) from error
        except InsufficientPrivilege as error:
            text = " ".join(str(error).split())
            raise LedgerUnfit(
                f"the role of {self.shown} lacks a right ({text}): it has to own the schema {self.schema}, or"
                " to be allowed to make it. Who may grants that by GRANT CREATE ON DATABASE … TO …, or"
                f' by CREATE SCHEMA "{self.schema}" AUTHORIZATION …'
            ) from error

    def _made(self, *, adopt: bool) -> bytes:
        with self.connect() as session, session.transaction():
            session.execute("SELECT pg_advisory_xact_lock(%s)", (key_of(f"{self.schema}: made"),))
            [(there,)] = session.execute("SELECT to_regclass(%s) IS NOT NULL", (f'"{self.schema}".ledger',))
            if there:
                [(written, secret, *homes)] = session.execute(_LEDGER)
                check_format(written, FORMAT, self.shown)
                made, here = Home.two(tuple(homes))
                moved = check_home(made, here, self.shown, adopt=adopt)
                self.complete(session)
                if moved:
                    session.execute("UPDATE ledger SET system_id = %s, place = %s", here)
                    log.warning("the ledger in %s was made elsewhere, and is adopted", self.shown)
                if session.execute("SELECT 1 FROM position").fetchone() is None:
                    raise LedgerMigrated(
                        f"a ledger is on its way to or from {self.shown}, and that is not finished: run the"
                        " `dibs migrate` that moves it again"
                    )
                return bytes(secret)
            if (departed := departed_from(session, self.schema)) is not None:
                raise LedgerMigrated(
                    f"the ledger in {self.shown} has gone back into a data folder: serve that, since a new"
                    " one here would begin at 1. Where a new one is meant, say another schema by"
                    f" ?ledger=NAME, or DROP TABLE {departed} first"
                )
            secret = self.create(session, str(uuid.uuid4()))
            session.execute("INSERT INTO position (n, term, clock) VALUES (0, 0, 0)")
            if (lacking := install(session, self.schema)) is not None:
                log.warning("%s", lacking)
            return secret

    def create(self, session: psycopg.Connection[Any], instance: str) -> bytes:
        """Make the tables, in the caller's transaction, without a position; the secret of its servers."""
        secret = secrets.token_bytes(32)
        [(there,)] = session.execute("SELECT to_regnamespace(%s) IS NOT NULL", (f'"{self.schema}"',))
        if not there:  # IF NOT EXISTS would ask for the right to make one, whether there is one or not
            session.execute(f'CREATE SCHEMA "{self.schema}"'.encode())
        session.execute("DROP TABLE IF EXISTS departed")
        for file in ("schema.sql", _ADDITIONS):
            session.execute(Path(__file__).with_name(file).read_bytes())
        session.execute(
            "INSERT INTO ledger (one, format, instance, secret, system_id, place)"
            f" SELECT 1, %s, %s, %s, {HERE}",
            (FORMAT, uuid.UUID(instance), secret),
        )
        return secret

    def complete(self, session: psycopg.Connection[Any]) -> None:
        """Make what came to the tables since they were made, in the caller's transaction.

        Servers of older releases go on beside that. The inbox stays as it is while somebody who has pushed
        has not committed for long: it works as well, a little slower, and the next server tries again.

        Raises:
            LockNotAvailable: somebody holds a table for long, and those who write would wait for it, too.
        """
        from psycopg.errors import LockNotAvailable

        text = Path(__file__).with_name(_ADDITIONS).read_text("utf-8")
        added = [(table or name, name if table else "") for table, name in _ADDED.findall(text)]
        [(lacks,)] = session.execute(_LACKS, tuple(map(list, zip(*added, strict=True))))
        older = is_older(session)
        if lacks or older:
            session.execute(f"SET LOCAL lock_timeout = '{_HELD_MOST}'".encode())
        if lacks:
            session.execute(text.encode())
        if older:
            try:
                with session.transaction():
                    install(session, self.schema)
            except LockNotAvailable:
                log.warning(
                    "the inbox stays as an older release has made it, since somebody who has pushed by SQL"
                    " has not committed: the next server that starts tries again; until then with"
                    " inbox_notify pushes may wait for 5 s"
                )


def departed_from(session: psycopg.Connection[Any], schema: str) -> str | None:
    """The table that says that the ledger has gone back into a data folder; None: there is no such table."""
    table = f'"{schema}".departed'
    [(there,)] = session.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
    return table if there else None
