"""An application that pushes by SQL, and the owner that drains its inbox."""

from __future__ import annotations

import psycopg
import pytest

from ..inboxes import Owner, connect, define, made


@pytest.fixture
def app(database):
    """A session that pushes, in a schema with queues ``a`` and ``b``."""
    made(database.url)
    with connect(database.url) as connection:
        for name in "ab":
            define(connection, name)
        yield connection


@pytest.fixture
def owner(database, app):
    owner = Owner(database.url)
    yield owner
    owner.close()


@pytest.fixture
def slow(database):
    """Another session, whose transactions stay open."""
    with psycopg.connect(database.url, connect_timeout=60, options="-c search_path=dibs") as connection:
        yield connection


def push(session, *values, queue="a", **terms):
    for value in values:
        named = "".join(f", {name} => %({name})s" for name in terms)
        session.execute(
            f"SELECT push(%(q)s, to_jsonb(%(v)s::text){named})", {"q": queue, "v": value, **terms}
        )


def left(session):
    """What is in the inbox, in order."""
    return [value.strip('"') for (value,) in session.execute("SELECT value FROM inbox ORDER BY tx, n")]


def got(owner):
    return [value.strip('"') for value in owner.got]
