"""The place of a ledger in a database, for whoever moves one there or away: a session, and its transactions.

A ledger without a position has not arrived, or is leaving: no server opens it, and nobody can push to it. It
gets its position when its folder can't be opened any more, and loses it before the folder can be again. So at
no moment both can be served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from ...errors import LedgerMigrated, LedgerUnavailable
from ..ops import EngineFailed
from .checks import check_at_start, check_format
from .connecting import told
from .home import HERE, WRITTEN, Home, check_home
from .ledger import FORMAT, Ledger
from .place import Place
from .terms import key_of

if TYPE_CHECKING:
    import psycopg

_FOUND: Final = f"""
SELECT format, instance::text, encode(sha256(secret), 'hex'), (SELECT max(n) FROM position), {WRITTEN}, {HERE}
FROM ledger
"""
_ANYTHING: Final = """
SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p', 'v', 'm', 'f')
    AND relname <> 'departed'
ORDER BY relname LIMIT 1
"""
# All that is in the schema, which is the ledger's alone. The schema stays: somebody else may have made it.
_DROP: Final = """
DO $$ DECLARE all_of_it text; BEGIN
    SELECT string_agg(one, '; ') INTO all_of_it FROM (
        SELECT format('DROP %s IF EXISTS %s CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
            oid::regclass)
        FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'v')
        UNION ALL
        SELECT format('DROP FUNCTION IF EXISTS %s CASCADE', oid::regprocedure)
        FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
    ) AS found (one);
    IF all_of_it IS NOT NULL THEN EXECUTE all_of_it; END IF;
END $$
"""


class Found(NamedTuple):
    """The ledger that is there. ``position`` None: it has not arrived, or is leaving.

    ``made`` tells it from others of the same instance: each time one arrives it is another one.
    """

    instance: str
    made: str
    position: int | None


class Site:
    """A session at the place that a URL names; ``warnings``: what an operator should know of it.

    Used in a ``with``.

    Raises:
        ConfigError: the URL can't be read.
        LedgerUnfit: a ledger can't keep its promises there.
        LedgerUnavailable: it can't be reached.
    """

    def __init__(self, url: str) -> None:
        self.ledger = Ledger(url)
        self.shown = self.ledger.shown
        self._place = place = Place.of(url)
        self.warnings = check_at_start(place)
        self._notices: list[str] = []
        with self.in_words():
            self.session = self.ledger.connect()
        self.session.add_notice_handler(lambda notice: self._notices.append(str(notice.message_primary)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """An error of the database, as a sentence without the URL's password."""
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        try:
            yield
        except EngineFailed as error:
            raise LedgerUnavailable(str(error)) from error
        except psycopg.Error as error:
            text = told(error, conninfo_to_dict(self._place.url))
            raise LedgerUnavailable(
                f"{self.shown} failed: {text}; the same command goes on from where this one ended"
            ) from error

    @contextmanager
    def changing(self) -> Iterator[psycopg.Connection[Any]]:
        """One transaction, while no server makes a ledger there, nor another move goes on."""
        self._notices.clear()
        with self.in_words():
            with self.session.transaction():
                self.session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                name = f"{self.ledger.schema}: made"
                self.session.execute("SELECT pg_advisory_xact_lock(%s)", (key_of(name),))
                yield self.session
                self._notices.clear()
            if self._notices:  # the wait for a standby was cut short
                raise LedgerUnavailable(
                    f"{self.shown} has committed, but says: {'; '.join(self._notices)}; once its standby is"
                    " there, the same command goes on from here"
                )

    def confirm(self) -> None:
        """Make sure of what was found: its commit may have been cut short, and its standby may lack it.

        Raises:
            LedgerUnavailable: nobody can be sure yet.
        """
        with self.changing() as session:  # a commit that writes waits for all before it
            session.execute("UPDATE ledger SET format = format")

    def update(self) -> None:
        """Make what an older release has not made of the ledger that is there.

        Raises:
            LedgerUnavailable: somebody holds its tables for long.
        """
        with self.changing() as session:
            self.ledger.complete(session)

    def found(self) -> Found | None:
        """The ledger that is there.

        Raises:
            LedgerTooNew, LedgerCopied: this dibs must not touch it.
        """
        with self.in_words():
            return self.read()

    def read(self) -> Found | None:
        """The same, in the transaction that is open."""
        name = f'"{self.ledger.schema}".ledger'
        [(there,)] = self.session.execute("SELECT to_regclass(%s) IS NOT NULL", (name,)).fetchall()
        if not there:
            return None
        [(written, instance, made, n, *homes)] = self.session.execute(_FOUND).fetchall()
        check_format(written, FORMAT, self.shown)
        check_home(*Home.two(tuple(homes)), self.shown, adopt=False)
        return Found(instance, made, n)

    def in_schema(self, statement: str) -> bytes:
        """A statement with the name of the schema."""
        return statement.replace("{schema}", self.ledger.schema).encode()

    def refuse(self, found: Found | None, instance: str | None = None) -> None:
        """Refuse a place that has something: a ledger, another one on its way, or tables of somebody else.

        Raises:
            LedgerMigrated: it does.
        """
        if found is None:
            with self.in_words():
                schema = f'"{self.ledger.schema}"'
                other = self.session.execute(_ANYTHING, (schema,)).fetchone()
            if other is not None:
                raise LedgerMigrated(
                    f"the schema {self.ledger.schema} in {self.shown} has other things in it ({other[0]}):"
                    " say another one by ?ledger=NAME; nothing was changed"
                )
        elif found.position is not None:
            raise LedgerMigrated(
                f"there is a ledger in {self.shown} already: say another schema by ?ledger=NAME; nothing was"
                " changed"
            )
        elif instance is not None and found.instance != instance:
            raise LedgerMigrated(
                f"another ledger (instance {found.instance}) is on its way to {self.shown}, which was not"
                " finished: finish that by its `dibs migrate`, or say another schema by ?ledger=NAME"
            )

    def drop_all(self) -> None:
        """Drop all that is in the schema, in the transaction that is open."""
        self.session.execute(self.in_schema(_DROP))
