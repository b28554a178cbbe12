"""Each session has the settings that the ledger's promises need, whatever its role and server say."""

import re
import signal
from urllib.parse import quote

import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.ledger.ops import EngineFailed
from dibs.ledger.postgres.connecting import connect
from dibs.ledger.postgres.place import Place
from dibs.proof.server import free_port
from support.cluster import LOCKED, PASSWORD


def shown(session, *names):
    return [session.execute(f"SHOW {name}").fetchone()[0] for name in names]


def test_a_session_is_ours(database):
    with connect(Place.of(database.with_(ledger="order")), purpose="owner") as session:
        assert session.autocommit
        assert session.info.encoding == "utf-8"
        assert shown(session, "application_name", "synchronous_commit", "search_path") == [
            "dibs owner",
            "on",
            '"order", pg_catalog',
        ]
        assert shown(session, "idle_in_transaction_session_timeout", "lock_timeout") == ["5s", "0"]


def test_what_the_role_has_as_defaults_does_not_count(clusters):
    cluster = clusters.make()
    wrong = {
        "synchronous_commit": "off",
        "statement_timeout": "10ms",
        "lock_timeout": "10ms",
        "idle_session_timeout": "10ms",
        "idle_in_transaction_session_timeout": "0",
        "default_transaction_isolation": "serializable",
        "search_path": "nowhere",
        "client_encoding": "LATIN1",
        "client_min_messages": "error",
        "datestyle": "German",
    }
    if cluster.do("SELECT current_setting('server_version_num')::int >= 170000") == [(True,)]:
        wrong["transaction_timeout"] = "10ms"
    for name, value in wrong.items():
        cluster.do(f"ALTER ROLE dibs SET {name} = '{value}'")
    with connect(Place.of(cluster.url()), purpose="owner") as session:
        ours = ["on", "0", "0", "0", "5s", "read committed", "dibs, pg_catalog", "UTF8"]
        ours += ["warning", "ISO, MDY", "0"]
        assert shown(session, *wrong) == ours[: len(wrong)]
        session.execute("SELECT pg_sleep(0.1), clock_timestamp()").fetchone()


def test_a_role_that_waits_for_more_gets_it(clusters):
    cluster = clusters.make()
    cluster.do("ALTER ROLE dibs SET synchronous_commit = remote_apply")
    place = Place.of(cluster.url())
    with connect(place, purpose="owner") as session:
        assert shown(session, "synchronous_commit") == ["remote_apply"]
    with connect(place, purpose="owner", sync=False) as session:
        assert shown(session, "synchronous_commit") == ["off"]


def test_a_connection_that_is_cut_off_is_noticed(database):
    with connect(Place.of(database.url), purpose="owner") as session:
        used = {one.keyword.decode(): one.val and one.val.decode() for one in session.pgconn.info}
    names = (
        "tcp_user_timeout",
        "keepalives_idle",
        "keepalives_interval",
        "keepalives_count",
        "connect_timeout",
    )
    assert [used[name] for name in names] == ["4000", "2", "1", "2", "5"]
    assert used["target_session_attrs"] == "read-write"
    with connect(
        Place.of(database.with_(keepalives_idle=9, application_name="x")), purpose="front"
    ) as session:
        used = {one.keyword.decode(): one.val and one.val.decode() for one in session.pgconn.info}
    assert (used["keepalives_idle"], used["application_name"]) == ("9", "dibs front")


def test_of_several_hosts_the_one_that_takes_writes_is_asked(pair):
    place = Place.of(pair.create("d"))
    for _ in range(2):
        with connect(place, purpose="owner") as session:
            assert session.info.port == pair.primary.port
        pair.primary.kill()
        with pytest.raises(EngineFailed, match="can't be reached"):
            connect(place, purpose="owner")
        pair.promote()
        pair.rejoin()


def test_nobody_there_is_told_in_one_line(clusters):
    place = Place.of(f"postgresql://u:hush@127.0.0.1:{free_port()}/d")
    with pytest.raises(EngineFailed, match=r"can't be reached: .*refused") as failed:
        connect(place, purpose="owner")
    assert "\n" not in str(failed.value)
    assert "hush" not in str(failed.value)


def test_who_names_a_database_a_user_or_a_host_that_is_not_there_is_told_what_to_do(database):
    url = re.sub(r"(://[^?]*/)[^/?]+", r"\1not_there", database.url, count=1)
    with pytest.raises(
        EngineFailed, match='database "not_there" does not exist; create it first, by CREATE D'
    ):
        connect(Place.of(url), purpose="owner")
    with pytest.raises(EngineFailed, match="; look at the host of the URL"):
        connect(Place.of("postgresql://u@nowhere.invalid/d"), purpose="owner")


@pytest.mark.parametrize("given", ["{user}:{password}@", "?user={user}&password={password}"])
def test_a_password_is_used_and_never_shown(clusters, given, caplog):
    cluster = clusters.make()
    right, wrong = (quote(text, safe="") for text in (PASSWORD, "hush: not it"))

    def place(password):
        words = given.format(user=LOCKED, password=password)
        who, query = (words, "") if words.endswith("@") else ("", words)
        return Place.of(f"postgresql://{who}127.0.0.1:{cluster.port}/postgres{query}")

    with connect(place(right), purpose="owner") as session:
        assert shown(session, "session_authorization") == [LOCKED]
    with pytest.raises(
        EngineFailed, match=r"password authentication failed.*; the password is that of the URL"
    ) as failed:
        connect(place(wrong), purpose="owner")
    told = [str(failed.value), str(failed.value.__cause__), repr(session), caplog.text, place(wrong).shown]
    assert not [text for text in told if "hush" in text or PASSWORD in text or right in text]


def test_a_server_that_is_frozen_is_not_waited_for(clusters, monkeypatch):
    cluster = clusters.make()
    connect(Place.of(cluster.url()), purpose="owner").close()
    monkeypatch.setattr("dibs.ledger.postgres.connecting.PATIENCE", 2)
    connected = psycopg.connect

    def freezes(*words, **options):
        session = connected(*words, **options)
        cluster.signal(signal.SIGSTOP, session.info.backend_pid)
        return session

    monkeypatch.setattr(psycopg, "connect", freezes)
    with pytest.raises(EngineFailed, match="can't be used: it did not answer within 2 s"):
        connect(Place.of(cluster.url()), purpose="owner")
    cluster.freeze()
    with pytest.raises(EngineFailed, match=r"can't be reached: .*timeout"):
        connect(Place.of(cluster.url(connect_timeout=2)), purpose="owner")
