"""Fixtures: ``postgres`` is one server for all tests, ``database`` an empty database of it for one test.

A test that stops, kills or configures a server takes one of its own from ``clusters``, or a ``pair``.
``DIBS_TEST_POSTGRES_URL`` names a server that is there already; it is used for ``database`` then.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:  # these need psycopg, which whoever tests something else may not have
    import psycopg

    from .cluster import Cluster, Pair
    from .clusters import Clusters
    from .ledgers import Ledgers

URL = "DIBS_TEST_POSTGRES_URL"


class Database(NamedTuple):
    """An empty database, which belongs to a role that is no superuser."""

    url: str
    name: str

    def with_(self, **query: Any) -> str:
        """Its URL with these parameters; the one of ``DIBS_TEST_POSTGRES_URL`` may have some already."""
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return f"{self.url}{'&' if '?' in self.url else '?'}{words}"

    def connect(self) -> psycopg.Connection[Any]:
        import psycopg

        return psycopg.connect(self.url, autocommit=True, connect_timeout=60)

    def do(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Execute a statement; its rows."""
        with self.connect() as connection:
            cursor = connection.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def _clusters() -> Iterator[Clusters]:
    try:
        from .clusters import Clusters, Unavailable
    except ImportError as error:
        _without(error)
    try:
        made = Clusters()
    except Unavailable as error:
        _without(error)
    yield made
    made.end()


def _without(error: Exception) -> NoReturn:
    """Skip what needs a PostgreSQL; but CI has one."""
    if os.environ.get("CI"):
        raise error
    pytest.skip(f"no PostgreSQL: {error}")


@pytest.fixture
def clusters(_clusters: Clusters) -> Iterator[Clusters]:
    """Makes servers for one test: ``clusters.make(fsync="off")``, ``clusters.pair(synchronous=False)``."""
    mark = _clusters.mark()
    yield _clusters
    _clusters.remove(mark)


@pytest.fixture
def pair(clusters: Clusters) -> Pair:
    """A primary with a synchronous standby, for one test."""
    return clusters.pair()


@pytest.fixture
def asynchronous_pair(clusters: Clusters) -> Pair:
    """A primary with a standby that it does not wait for, for one test."""
    return clusters.pair(synchronous=False)


@pytest.fixture(scope="session")
def postgres(_clusters: Clusters) -> Cluster:
    """The server of all tests: nobody stops or configures it."""
    return _clusters.make()


@pytest.fixture(scope="session")
def _create(request: pytest.FixtureRequest) -> tuple[Callable[[str], str], Callable[[str], object]]:
    """How a database is created, and how it is dropped."""
    if given := os.environ.get(URL):
        import psycopg
        from psycopg import sql

        def do(statement: str, name: str) -> str:
            with psycopg.connect(given, autocommit=True, connect_timeout=60) as connection:
                connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
            return urlsplit(given)._replace(path=f"/{name}").geturl()

        return (
            lambda name: do("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", name),
            lambda name: do("DROP DATABASE {} WITH (FORCE)", name),
        )
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.create, cluster.drop


@pytest.fixture(scope="session")
def _names() -> Iterator[str]:
    return (f"dibs_test_{os.getpid()}_{n}" for n in itertools.count(1))


@pytest.fixture
def database(
    _create: tuple[Callable[[str], str], Callable[[str], object]], _names: Iterator[str]
) -> Iterator[Database]:
    """An empty database for one test."""
    create, drop = _create
    name = next(_names)
    yield Database(create(name), name)
    drop(name)


@pytest.fixture(scope="session")
def quick_ledgers(request: pytest.FixtureRequest, _names: Iterator[str]) -> Iterator[Ledgers]:
    """Lends ledgers to tests that want what they promise, but for what a disk is needed."""
    if os.environ.get(URL):
        create, _ = request.getfixturevalue("_create")
    else:
        clusters: Clusters = request.getfixturevalue("_clusters")
        create = clusters.make(fsync="off", full_page_writes="off", autovacuum="off").create
    from .ledgers import Ledgers

    ledgers = Ledgers(create(next(_names)))
    yield ledgers
    ledgers.close()
