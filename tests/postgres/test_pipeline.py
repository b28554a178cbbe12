"""One burst, one transaction; and what each failure of PostgreSQL means for whoever waits for it."""

from __future__ import annotations

import os
import socket

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.ops import CommitFailed, EngineFailed, OpFailed
from dibs.ledger.postgres.arrays import array_of
from dibs.ledger.postgres.pipeline import Broken, Failed, Pipeline, Statement, Unsafe


@pytest.fixture
def session(database):
    with database.connect() as opened:
        opened.execute("CREATE TABLE t (n int8 PRIMARY KEY CHECK (n > 0), b bytea)")
        yield opened


@pytest.fixture
def pipeline(session):
    return Pipeline(session)


def insert(*numbers, size=1):
    columns = [array_of("int", numbers), array_of("bytes", [b"x" * size] * len(numbers))]
    return Statement("INSERT INTO t SELECT * FROM unnest($1::int8[], $2::bytea[])", columns)


def numbers(database):
    return [n for (n,) in database.do("SELECT n FROM t ORDER BY n")]


def test_all_statements_are_one_transaction(pipeline, database):
    pipeline.transaction([insert(1, 2), insert(3)])
    assert numbers(database) == [1, 2, 3]
    with pytest.raises(Failed) as failed:
        pipeline.transaction([insert(4), insert(5, 1), insert(6)])
    assert (failed.value.state, failed.value.at) == ("23505", 1)
    pipeline.transaction([insert(7)])
    assert numbers(database) == [1, 2, 3, 7]


@pytest.mark.parametrize("text", ["NOT SQL", "INSERT INTO nowhere VALUES (1)"])
def test_what_can_not_be_prepared_fails_like_what_can_not_be_done(pipeline, database, text):
    with pytest.raises(Failed):
        pipeline.transaction([insert(1), Statement(text)])
    pipeline.transaction([insert(2)])
    assert numbers(database) == [2]


def test_a_constraint_that_is_deferred_fails_the_commit(pipeline, database, session):
    session.execute("ALTER TABLE t ADD UNIQUE (b) DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(Failed, match="23505"):
        pipeline.transaction([insert(1, 2)])
    pipeline.transaction([insert(3)])
    assert numbers(database) == [3]


def test_more_than_the_socket_takes_at_once_goes_out(pipeline, database):
    pipeline.transaction([insert(1, size=20_000_000), insert(2, size=3_000_000)])
    assert database.do("SELECT sum(length(b)) FROM t") == [(23_000_000,)]


def test_a_warning_on_the_way_is_told(pipeline, database):
    warns = Statement("DO $$ BEGIN RAISE WARNING 'careful'; END $$")
    with pytest.raises(Unsafe, match="careful"):
        pipeline.transaction([insert(1), warns])
    assert numbers(database) == [1]
    pipeline.transaction([insert(2)])


def test_a_session_that_was_ended_is_broken(pipeline, session, database):
    pipeline.transaction([insert(1)])
    database.do("SELECT pg_terminate_backend(%s, 60000)", session.info.backend_pid)
    with pytest.raises(Broken):
        pipeline.transaction([insert(2)])
    assert numbers(database) == [1]


def test_a_connection_that_ends_while_much_is_sent_is_told_as_that(pipeline, session, database):
    pipeline.transaction([insert(1)])
    with socket.socket(fileno=os.dup(session.pgconn.socket)) as same:
        same.shutdown(socket.SHUT_RDWR)
    with pytest.raises(Broken, match=r"has ended|server closed"):
        pipeline.transaction([insert(2, size=3_000_000)])
    with pytest.raises(Broken, match="the connection to the database has ended"):
        pipeline.transaction([insert(2)])
    assert numbers(database) == [1]


@pytest.mark.parametrize(
    ("state", "meaning", "full"),
    [
        ("53100", EngineFailed, True),  # the disk is full
        ("54000", EngineFailed, True),
        ("53300", EngineFailed, False),
        ("53200", EngineFailed, False),
        ("58030", EngineFailed, False),
        ("40P01", EngineFailed, False),
        ("25006", EngineFailed, False),
        ("XX001", EngineFailed, False),
        ("22012", OpFailed, False),
        ("23505", OpFailed, False),
        ("42501", OpFailed, False),
        ("QD100", OpFailed, False),
    ],
)
def test_what_a_refusal_means(owner, monkeypatch, state, meaning, full):
    def fails(clock, statements=(), **_):
        raise Failed(state, "why", 1)

    monkeypatch.setattr(owner.engine._keeping.position, "step", fails)
    with pytest.raises(meaning) as failed:
        owner.engine._keeping.beat()
    assert type(failed.value) is meaning
    assert getattr(failed.value, "full", False) == full
    monkeypatch.undo()


@pytest.mark.parametrize("error", [Broken("gone"), Unsafe("not there")])
def test_what_is_not_known_is_a_failed_commit(owner, monkeypatch, error):
    def fails(clock, statements=(), **_):
        raise error

    monkeypatch.setattr(owner.engine._keeping.position, "step", fails)
    with pytest.raises(CommitFailed):
        owner.engine._keeping.beat()
    monkeypatch.undo()
    owner.engine.reopen()


def test_a_full_disk_refuses_until_there_is_room(owner, monkeypatch):
    def fails(clock, statements=(), **_):
        raise Failed("53100", "no space left on device", 1)

    monkeypatch.setattr(owner.engine._keeping.position, "step", fails)
    term, n = owner.engine.term, owner.n
    owner.engine._keeping._sent -= 10_000
    with pytest.raises(EngineFailed):
        owner.engine.apply([])
    owner.engine.reopen()  # the session works, and keeps the lock
    with pytest.raises(EngineFailed) as failed:
        owner.engine.reserve()
    assert failed.value.full
    monkeypatch.undo()
    owner.engine.reserve()
    assert (owner.engine.term, owner.n) == (term, n + 1)
    owner.engine.reserve()
    assert owner.n == n + 1
