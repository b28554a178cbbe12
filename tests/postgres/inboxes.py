"""A schema with an inbox, sessions in it, and an owner who is no more than a drain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dibs.ledger.postgres
import psycopg
from dibs.ledger.inbox import TakenIn
from dibs.ledger.postgres.inbox import Drain, calls_of
from dibs.ledger.postgres.installing import install

SCHEMA = Path(dibs.ledger.postgres.__file__).with_name("schema.sql")
NUMBERS = (
    "9007199254740992",
    "-9007199254740992",
    '{"a": [1, {"b": 1e16}]}',
    "1e400",
    "9007199254740991.5",
)
"""Values with numbers that many readers of JSON would round."""


def connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url, autocommit=True, connect_timeout=60, options="-c search_path=dibs")


def made(url: str) -> str | None:
    """Create the schema ``dibs`` with an inbox, if it is not there; what is told of the role."""
    with connect(url) as connection, connection.transaction():
        if not connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'dibs'").fetchone():
            connection.execute("CREATE SCHEMA dibs")
            connection.execute(SCHEMA.read_bytes())
        return install(connection, "dibs")


def define(connection: psycopg.Connection[Any], name: str, source: str = "") -> None:
    columns = "root, generation, edition, source, args, created_at, paused, configured, settings"
    connection.execute(
        f"INSERT INTO queue (id, name, {columns}) SELECT id, %s, id, 1, 1, %s, '{{}}', 0, 0, 'http', '{{}}'"
        " FROM (SELECT count(*) + 1 AS id FROM queue) AS next",
        (name, source),
    )


def text(value: str) -> str:
    """The ledger's text of a value; of what says ``bad`` there is none."""
    if "bad" in value:
        raise ValueError("it is bad")
    return value


class Owner:
    """Takes in what its drain finds, in one transaction each; ``got`` are the texts, in order."""

    def __init__(self, url: str, **options: Any) -> None:
        self.connection = connect(url)
        self.drain = Drain(**options)
        self.got: list[str] = []
        self.instant = 1_000_000

    def close(self) -> None:
        self.connection.close()

    def look(self, most: int = 1_000) -> Any:
        return self.drain.look(self.connection, text, lambda: self.instant, most)

    def take(self, look: Any, full: tuple[str, ...] = ()) -> TakenIn:
        """Commit what a look has found; queues that are ``full`` take nothing."""
        arrivals = [arrival for arrival in look.arrivals if arrival.queue not in full]
        left = frozenset(arrival.queue for arrival in look.arrivals if arrival.queue in full)
        taken = TakenIn(tuple([arrival.place for arrival in arrivals]), look.unfit, left)
        with self.connection.transaction():
            execute(self.connection, taken)
        self.drain.committed(taken)
        self.got += [arrival.text for arrival in arrivals]
        return taken

    def turn(self, most: int = 1_000, full: tuple[str, ...] = ()) -> list[str]:
        """Look, and take; the texts."""
        before = len(self.got)
        self.take(self.look(most), full)
        return self.got[before:]


def execute(connection: psycopg.Connection[Any], *outcomes: object) -> None:
    """Do to the inbox what these outcomes say."""
    cursor = psycopg.RawCursor(connection)
    for outcome in outcomes:
        for call in calls_of(outcome):
            cursor.execute(call.text, [list(values) for _, values in call.columns])
