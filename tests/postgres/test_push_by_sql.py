"""``dibs.push()``: what it takes, what it refuses and by which SQLSTATE, who may call it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from dibs.ledger.postgres.installing import install, is_older
from dibs.ledger.postgres.ledger import Ledger
from dibs.proof.programs import of_wheel

from .inboxes import NUMBERS, connect, define, made

MANUAL = Path(__file__).parents[2] / "app" / "MANUAL.md"


@pytest.fixture
def session(database):
    """A session of the ledger's owner, in a schema with the queues ``mails`` and ``numbers``."""
    made(database.url)
    with connect(database.url) as connection:
        define(connection, "mails")
        define(connection, "numbers", source="count")
        yield connection


def rows(session):
    return session.execute(
        "SELECT queue, value, key, delay_ms, priority FROM inbox ORDER BY tx, n"
    ).fetchall()


def refusal(session, *arguments, **named):
    """The SQLSTATE, the field, the message and the hint of a push that is refused; nothing is pushed."""
    before = rows(session)
    values = {**{f"a{at}": value for at, value in enumerate(arguments)}, **named}
    parameters = [f"%(a{at})s" for at in range(len(arguments))] + [f"{name} => %({name})s" for name in named]
    with pytest.raises(psycopg.Error) as caught:
        session.execute(f"SELECT push({', '.join(parameters)})", values)
    told = caught.value.diag
    assert rows(session) == before
    assert told.message_primary.startswith("dibs.push: ")
    assert told.message_hint.endswith((".", "null'::jsonb."))
    return told.sqlstate, told.column_name, told.message_primary.removeprefix("dibs.push: ")


def test_a_push_is_a_row_with_its_terms(session):
    session.execute("SELECT push('mails', '{\"to\": 17}')")
    session.execute("SELECT push('mails', '2', 'k', '1.5 s', 9)")
    session.execute("SELECT push('mails', 'null', priority => 1, delay => '0')")
    session.execute("SELECT push('mails', '4', delay => '1 microsecond', key => null)")
    assert rows(session) == [
        ("mails", '{"to": 17}', None, None, 0),
        ("mails", "2", "k", 1500, 9),
        ("mails", "null", None, None, 1),
        ("mails", "4", None, 1, 0),
    ]


def test_a_rollback_takes_the_push_along(session):
    with session.transaction():
        session.execute("SELECT push('mails', '1')")
        with session.transaction(force_rollback=True):
            session.execute("SELECT push('mails', '2')")
        with pytest.raises(psycopg.Error), session.transaction():
            session.execute("SELECT push('nowhere', '3')")
        session.execute("SELECT push('mails', '4')")
    with session.transaction(force_rollback=True):
        session.execute("SELECT push('mails', '5')")
    assert [value for _, value, *_ in rows(session)] == ["1", "4"]


def test_a_queue_that_is_not_there_is_refused(session):
    assert refusal(session, "nowhere", "1") == ("QD001", "queue", "there is no queue 'nowhere'")
    assert refusal(session, None, "1") == ("QD001", "queue", "there is no queue NULL")
    session.execute("UPDATE queue SET deleted_at = 5 WHERE name = 'mails'")
    assert refusal(session, "mails", "1")[0] == "QD001"
    define(session, "mails")
    session.execute("SELECT push('mails', '1')")


def test_a_queue_that_takes_nothing_is_refused(session):
    why = "numbers is fed by a source: nothing can be pushed to it"
    assert refusal(session, "numbers", "1") == ("QD002", "queue", why)
    session.execute("UPDATE queue SET ending = 'closed' WHERE name = 'mails'")
    assert refusal(session, "mails", "1") == ("QD002", "queue", "mails is closed: nothing was pushed")


def test_a_queue_that_is_stopped_is_refused(session):
    session.execute("SELECT inbox_bound('{262144,255,1000,1}', '{mails}')")
    why = "too many items wait in the inbox for room in mails"
    assert refusal(session, "mails", "1") == ("QD003", "queue", why)
    session.execute("SELECT inbox_bound('{262144,255,1000,0}', '{}')")
    assert refusal(session, "mails", "1")[0] == "QD003"
    session.execute("SELECT inbox_bound('{262144,255,1000,1}', '{}')")
    session.execute("SELECT push('mails', '1')")


def test_values_that_readers_of_json_would_bend_are_refused(session):
    assert refusal(session, "mails", None) == ("QD005", "value", "the value is NULL")
    number = "the value has a number beyond ±(2^53-1), which many readers of JSON would round"
    for value in NUMBERS:
        assert refusal(session, "mails", value) == ("QD005", "value", number)
    session.execute("SELECT push('mails', '[9007199254740991, -9007199254740991, \"9007199254740992\"]')")
    session.execute("SELECT push('mails', '{\"9007199254740992\": 0.12345678901234567}')")
    deep = ("QD005", "value", "the value is nested more than 100 levels deep")
    assert refusal(session, "mails", "[" * 101 + "]" * 101) == deep
    assert refusal(session, "mails", '[{"a":' * 50 + "[]" + "}]" * 50) == deep
    session.execute("SELECT push('mails', %s)", ["[" * 100 + "]" * 100])
    session.execute("SELECT push('mails', %s)", ['[{"a":' * 50 + '"["' + "}]" * 50])
    for value in ('"\\u0000"', '"\\ud800"', "NaN", "[Infinity]", "{'a': 1}"):  # PostgreSQL's own refusals
        with pytest.raises(psycopg.DataError):
            session.execute("SELECT push('mails', %s)", [value])


def test_values_are_measured_as_the_ledger_keeps_them(session):
    session.execute("SELECT inbox_bound('{1000,255,1000,0}', '{}')")

    def value(size):
        text = {"a, b: c": ['x\\", : "', 1, [2, {"ü": None}]], "pad": ""}
        bare = len(json.dumps(text, ensure_ascii=False, separators=(",", ":")).encode())
        return json.dumps({**text, "pad": "p" * (size - bare)}, ensure_ascii=False)

    session.execute("SELECT push('mails', %s)", [value(1000)])
    (written,) = session.execute("SELECT value FROM inbox").fetchone()
    kept = json.dumps(json.loads(written), ensure_ascii=False, separators=(",", ":"))
    assert len(kept.encode()) == 1000
    why = "the value has 1001 bytes; the limit is 1000"
    assert refusal(session, "mails", value(1001)) == ("QD006", "value", why)


def test_keys_delays_and_priorities_have_limits(session):
    session.execute("SELECT push('mails', '1', %s)", ["ü" * 127 + "k"])
    why = "the key has 256 bytes; it must be from 1 to 255"
    assert refusal(session, "mails", "1", "ü" * 128) == ("QD007", "key", why)
    assert refusal(session, "mails", "1", "")[:2] == ("QD007", "key")
    why = "the delay is 2592001 seconds; it must be from 0 to 2592000"
    assert refusal(session, "mails", "1", delay="30 days 1 s") == ("QD008", "delay", why)
    assert refusal(session, "mails", "1", delay="-1 s")[:2] == ("QD008", "delay")
    if session.info.server_version >= 170000:
        assert refusal(session, "mails", "1", delay="infinity")[:2] == ("QD008", "delay")
    why = "the priority is 10; it must be from 0 to 9"
    assert refusal(session, "mails", "1", priority=10) == ("QD009", "priority", why)
    assert refusal(session, "mails", "1", priority=-1)[:2] == ("QD009", "priority")


@pytest.mark.parametrize(
    ("delay", "helps"), [("-1 hour", "Leave it out: "), ("31 days", "Shorten it, or raise ")]
)
def test_the_hint_about_a_delay_helps(session, delay, helps):
    with pytest.raises(psycopg.Error) as refused:
        session.execute("SELECT push('mails', '1', delay => %s)", [delay])
    assert refused.value.diag.message_hint.startswith(helps)


VALUES = (
    *(None, "null", "1", '"x"', "9007199254740991", "9007199254740992", '"9007199254740992"'),
    *('"%s"' % ("x" * size) for size in (97, 98, 99)),
    '["a, b: c"%s]' % (", 1" * 29),
    *("[" * deep + "]" * deep for deep in (45, 100, 101)),
)
TERMS = (
    (None, None, 0),
    *((key, None, 0) for key in ("", "k", "k" * 64, "k" * 65)),
    *((None, delay, 0) for delay in ("-1 s", "0", "1 microsecond", "1 s", "1.001 s")),
    *((None, None, priority) for priority in (None, -1, 9, 10)),
)


def done(session, statement, parameters):
    """What came of a statement: an SQLSTATE with its field, or none."""
    try:
        return session.execute(statement, parameters).fetchone()
    except psycopg.Error as error:
        return error.sqlstate, error.diag.column_name


@pytest.mark.parametrize("bytes_most", [100, 1000])
def test_what_is_taken_at_a_glance_breaks_no_rule(session, bytes_most):
    """Each push is refused, or has the delay, that those get which are examined."""
    session.execute("SELECT inbox_bound(%s, '{}')", [[bytes_most, 64, 1000, 0]])
    outcomes = set()
    for name in ("mails", "numbers", "nowhere"):
        for value in VALUES:
            for terms in TERMS:
                given = [name, value, *terms]
                examined = done(session, "SELECT examined(%s, %s::jsonb, %s, %s::interval, %s)", given)
                session.execute("TRUNCATE inbox")
                pushed = done(session, "SELECT push(%s, %s::jsonb, %s, %s::interval, %s)", given)
                if pushed == ("",):
                    [(*row, pushed)] = session.execute(
                        "SELECT queue, value::jsonb = %s::jsonb, key, priority, delay_ms FROM inbox", [value]
                    )
                    assert row == [name, True, terms[0], terms[2] or 0]
                    pushed = (pushed,)
                assert pushed == examined, given
                outcomes.add(pushed)
    assert outcomes == {
        *((None,), (1,), (1000,), ("QD001", "queue"), ("QD002", "queue"), ("QD005", "value")),
        *(("QD006", "value"), ("QD007", "key"), ("QD008", "delay"), ("QD009", "priority")),
    } - ({("QD006", "value")} if bytes_most == 1000 else set())


@pytest.fixture
def older(session):
    """The inbox, as release 0.7 made it."""
    session.execute("COMMENT ON FUNCTION push IS NULL; DROP FUNCTION examined, glance_now")
    session.execute(
        "ALTER TABLE inbox ADD CONSTRAINT inbox_delay_ms_check CHECK (delay_ms >= 0),"
        " ADD CONSTRAINT inbox_priority_check CHECK (priority BETWEEN 0 AND 9);"
        "ALTER TABLE target DROP COLUMN glance; ALTER TABLE inbox_limits DROP COLUMN notify"
    )
    return session


def test_an_inbox_of_an_older_release_becomes_a_newer_one(older):
    assert is_older(older)
    with older.transaction():
        install(older, "dibs")
    assert not is_older(older)
    older.execute("SELECT push('mails', '1', delay => '1 s')")
    assert rows(older) == [("mails", "1", None, 1000, 0)]
    assert older.execute("SELECT DISTINCT glance FROM target").fetchall() == [(262_144,)]


def test_an_inbox_stays_as_it_is_while_who_has_pushed_has_not_committed(older, database, caplog):
    ledger = Ledger(database.url)
    with connect(database.url) as app, app.transaction():
        app.execute("INSERT INTO inbox (queue, value, priority) VALUES ('mails', '1', 0)")
        with older.transaction():
            ledger.complete(older)
        assert is_older(older)
        assert "the next server that starts tries again" in caplog.text
    with older.transaction():
        ledger.complete(older)
    assert not is_older(older)
    older.execute("SELECT push('mails', '2')")
    assert [value for _, value, *_ in rows(older)] == ["1", "2"]


def test_a_glance_follows_the_limits(session):
    bounds = (
        ([900, 255, 1, 0, 0], 900),
        ([900, 255, 1, 0, 1], 0),
        ([900, 63, 1, 0, 0], 0),
        ([800, 64, 1, 0], 800),
    )
    for no, (limits, glance) in enumerate(bounds):
        session.execute("SELECT inbox_bound(%s, '{}')", [limits])
        define(session, f"later-{no}")
        assert session.execute("SELECT DISTINCT glance FROM target").fetchall() == [(glance,)]


def test_the_glance_is_worked_out_once_for_all_targets(session):
    session.execute(
        "INSERT INTO target (name, state) SELECT 'q' || n, 'open' FROM generate_series(1, 100) AS n"
    )
    session.execute(
        "CREATE SEQUENCE calls; CREATE OR REPLACE FUNCTION glance_now() RETURNS int8 LANGUAGE sql STABLE"
        " SET search_path FROM CURRENT AS"
        " 'SELECT value_bytes FROM inbox_limits, (SELECT nextval(''calls'')) AS called'"
    )
    session.execute("SELECT inbox_bound('{900,255,1,0,0}', '{}')")
    [(calls,)] = session.execute("SELECT last_value FROM calls")
    assert calls == 2  # to find those that have another, and to write it
    assert session.execute("SELECT DISTINCT glance FROM target").fetchall() == [(900,)]


def test_the_manual_tells_each_sqlstate(session):
    raised = {"QD000"[:2] + code for code in re.findall(r"'QD(\d{3})'", inbox_sql())}
    told = set(re.findall(r"^\| `(QD\d{3})`", MANUAL.read_text(), re.MULTILINE))
    assert told == raised - {"QD100"}


def inbox_sql():
    import dibs.ledger.postgres.inbox as module

    return Path(module.__file__).with_name("inbox.sql").read_text()


# -- who may


def as_role(postgres, database, role):
    return psycopg.connect(
        postgres.url(database.name, user=role), autocommit=True, options="-c search_path=dibs"
    )


@pytest.fixture
def roles(postgres):
    """The login roles ``inbox_app`` and ``inbox_other``, which are members of nothing."""
    for name in ("inbox_app", "inbox_other"):
        if not postgres.do("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            postgres.do(f"CREATE ROLE {name} LOGIN")
    yield
    postgres.do("REVOKE dibs_push FROM inbox_app, inbox_other")


def test_who_has_dibs_push_alone_can_push_and_read_nothing(postgres, database, session, roles):
    with postgres.admin(database.name) as admin, admin.transaction():
        assert install(admin, "dibs") is None
    postgres.do("GRANT dibs_push TO inbox_app")
    with as_role(postgres, database, "inbox_app") as app:
        app.execute("SELECT dibs.push('mails', '1')")
        for statement in (
            "SELECT * FROM dibs.inbox",
            "SELECT * FROM dibs.inbox_refused",
            "SELECT * FROM dibs.target",
            "SELECT * FROM dibs.inbox_limits",
            "SELECT * FROM dibs.queue",
            "SELECT nextval('dibs.inbox_n_seq')",
            "SELECT dibs.inbox_retry(NULL)",
            "SELECT dibs.inbox_taken('{1}', '{1}')",
            "SELECT dibs.inbox_refuse('{1}', '{1}', '{x}')",
            "SELECT dibs.inbox_bound('{1,1,1,1}', '{}')",
            "SELECT dibs.value_fault('1', 1)",
            "SELECT dibs.examined('mails', '1', NULL, NULL, 0)",
            "INSERT INTO dibs.inbox (queue, value, priority) VALUES ('mails', '1', 0)",
            "CREATE TABLE dibs.mine (n int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement)
    with (
        as_role(postgres, database, "inbox_other") as other,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        other.execute("SELECT dibs.push('mails', '1')")
    assert len(rows(session)) == 1


def test_a_function_of_the_callers_own_is_not_run(postgres, database, session, roles):
    """The owner's rights must not run what a caller put into a schema of its search path."""
    with postgres.admin(database.name) as admin, admin.transaction():
        install(admin, "dibs")
    postgres.do("GRANT dibs_push TO inbox_app")
    with as_role(postgres, database, "inbox_app") as app:
        app.execute("SET search_path = pg_temp, dibs")
        app.execute("CREATE TEMP TABLE target (name text, state text, stopped bool, pushers name[])")
        app.execute(
            "CREATE TEMP TABLE inbox (queue text, value text, key text, delay_ms int8, priority int2)"
        )
        app.execute("INSERT INTO target VALUES ('numbers', 'open', false, null)")
        with pytest.raises(psycopg.Error) as caught:
            app.execute("SELECT dibs.push('numbers', '1')")
        assert caught.value.sqlstate == "QD002"
        app.execute("SELECT dibs.push('mails', '1')")
    assert len(rows(session)) == 1


def test_pushers_are_the_only_ones(postgres, database, session, roles):
    with postgres.admin(database.name) as admin, admin.transaction():
        install(admin, "dibs")
    postgres.do("GRANT dibs_push TO inbox_app, inbox_other")
    session.execute("UPDATE target SET pushers = '{inbox_app,gone}' WHERE name = 'mails'")
    with as_role(postgres, database, "inbox_app") as app, as_role(postgres, database, "inbox_other") as other:
        app.execute("SELECT push('mails', '1')")
        with pytest.raises(psycopg.Error) as caught:
            other.execute("SELECT push('mails', '1')")
        assert caught.value.sqlstate == "QD004"
        assert caught.value.diag.message_primary == "dibs.push: inbox_other may not push to mails"
        postgres.do("GRANT inbox_app TO inbox_other")
        other.execute("SELECT push('mails', '1')")
        # What a database administrator wrote stays, whatever becomes of the queue.
        session.execute("UPDATE queue SET deleted_at = 5 WHERE name = 'mails'")
        define(session, "mails")
        postgres.do("REVOKE inbox_app FROM inbox_other")
        with pytest.raises(psycopg.Error):
            other.execute("SELECT push('mails', '1')")
    assert len(rows(session)) == 2


def test_who_may_not_create_the_role_is_told_what_to_grant(clusters):
    cluster = clusters.make()
    url = cluster.create("d")
    told = made(url)
    for statement in re.findall(r"((?:CREATE|GRANT) [^;]*);", told):
        cluster.do(statement, database="d")
    assert made(url) is None
    may = "SELECT has_function_privilege('dibs_push', 'dibs.push(text,jsonb,text,interval,int)', 'EXECUTE')"
    assert cluster.do(may, database="d") == [(True,)]


# -- other ways in


def test_psql_pushes(postgres, database, session):
    psql = shutil.which("psql") or of_wheel() / "psql"
    script = "BEGIN; SELECT dibs.push('mails', '{\"to\": 1}'); COMMIT;\n"
    script += "BEGIN; SELECT dibs.push('mails', '2'); ROLLBACK;\n"
    script += "\\set VERBOSITY sqlstate\nSELECT dibs.push('nowhere', '3');\n"
    ran = subprocess.run(
        [psql, "-X", "-q", "-d", database.url],
        input=script,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert "QD001" in ran.stderr
    assert [value for _, value, *_ in rows(session)] == ['{"to": 1}']


PERL = """
use strict; use DBI;
my $db = DBI->connect($ARGV[0], $ARGV[1], '', {RaiseError => 1, PrintError => 0, AutoCommit => 0});
$db->do('SELECT dibs.push(?, ?, ?, ?, ?)', undef, 'mails', '{"to": 1}', 'k', '2 seconds', 3);
$db->commit;
$db->do('SELECT dibs.push(?, ?)', undef, 'mails', '2');
$db->rollback;
eval { $db->do("SELECT dibs.push('nowhere', '1')") };
print $db->state, " ", $db->err ? "queue" : "", "\\n";
$db->rollback; $db->disconnect;
"""


def test_perl_pushes(postgres, database, session):
    perl = shutil.which("perl")
    if (
        perl is None
        or subprocess.run([perl, "-MDBD::Pg", "-e", "1"], capture_output=True, check=False).returncode
    ):
        pytest.skip("Perl's DBD::Pg is not installed")
    words = [perl, "-e", PERL, f"dbi:Pg:dbname={database.name};host=127.0.0.1;port={postgres.port}", "dibs"]
    ran = subprocess.run(words, text=True, capture_output=True, timeout=60, check=False)
    assert (ran.stdout.split(), ran.stderr) == (["QD001", "queue"], "")
    assert rows(session) == [("mails", '{"to": 1}', "k", 2000, 3)]
