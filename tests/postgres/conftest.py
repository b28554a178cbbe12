"""An owner of a ledger, and what looks after it when PostgreSQL fails."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.append(str(Path(__file__).parents[1] / "contract"))  # ``asks``, ``words``

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.ops import Define
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.recovery import Recovery
from support.ledgers import assert_same_rows, owned
from support.proxy import Proxy
from words import apply

NAMES = (("numbers", "count"), ("jobs", ""))
PAUSE = threading.Event()  # nobody sets it


class Owned:
    """An engine with a queue that counts and one that is pushed to, and its recovery."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ledger = Ledger(url)
        self.told: list[Any] = []
        self.moves: list[None] = []
        self.engine = owned(self.ledger, moved=lambda: self.moves.append(None))
        self.recovery = Recovery(self.engine, self.told.append, self._ends)
        self.attempts = 0  # to reopen, that failed, one after the other
        self.gives_up_after = 1_000
        apply(self.engine, *[Define(name, source, "{}") for name, source in NAMES])
        ids = {row.name: row.id for row in self.engine.rows()}
        self.numbers, self.jobs = ids["numbers"], ids["jobs"]

    def _ends(self, seconds: float) -> bool:
        self.attempts += 1
        return self.attempts >= self.gives_up_after or PAUSE.wait(min(seconds, 0.1))

    def do(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement, as somebody with psql."""
        with self.ledger.connect() as session:
            cursor = session.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def end_session(self, term: int | None = None) -> None:
        term = term or self.engine.term
        self.do("SELECT pg_terminate_backend(session, 60000) FROM term WHERE term = %s", term)

    @property
    def n(self) -> int:
        [(n,)] = self.do("SELECT n FROM position")
        return n

    def same(self) -> None:
        assert_same_rows(self.ledger, self.engine)


@pytest.fixture
def own(request) -> Iterator[Callable[[str], Owned]]:
    """Own the ledger at a URL, until the end of the test."""
    opened: list[Owned] = []

    def own(url: str) -> Owned:
        opened.append(Owned(url))
        return opened[-1]

    yield own
    for each in opened:
        each.engine.close()


@pytest.fixture
def ledger_url(quick_ledgers) -> Iterator[str]:
    url = quick_ledgers.lend()
    yield url
    quick_ledgers.take_back(url)


@pytest.fixture
def owner(ledger_url, own) -> Owned:
    return own(ledger_url)


@pytest.fixture
def proxy(ledger_url) -> Iterator[Proxy]:
    opened = Proxy(urlsplit(ledger_url).port)
    yield opened
    opened.close()


@pytest.fixture
def behind(ledger_url, proxy, own) -> Owned:
    """An owner behind the proxy."""
    there = urlsplit(ledger_url)
    return own(there._replace(netloc=there.netloc.replace(f":{there.port}", f":{proxy.port}")).geturl())
