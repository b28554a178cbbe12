"""``dibs doctor`` looks at a database: each thing that it finds is planted here, and it changes nothing."""

import json

import httpx
import pytest

psycopg = pytest.importorskip("psycopg")

from dibs.cli import doctor_database, doctor_server
from dibs.cli.doctor import _look, _once
from dibs.cli.http import Api
from dibs.errors import LedgerUnfit
from dibs.ledger.postgres.ledger import Ledger


def look(url):
    found = {}
    for finding in doctor_database.look_at(url):
        found.setdefault(finding.about, []).append(finding)
    return found


def levels(found):
    return {about: [finding.level for finding in each] for about, each in found.items()}


def server(database, port, *, version="1.0", note="", seen="0 s"):
    [(id,)] = database.do(
        "INSERT INTO dibs.server (id, address, version, note, seen) VALUES"
        " (gen_random_uuid(), %s, %s, %s, clock_timestamp() - %s::interval) RETURNING id::text",
        f"http://a:{port}",
        version,
        note,
        seen,
    )
    return id


def own(database, id, port, *, ago="0 s", term=1):
    database.do(
        "INSERT INTO dibs.term (term, after, server, address, session) VALUES (%s, 0, %s, %s, 1)",
        term,
        id,
        f"http://a:{port}",
    )
    database.do(
        "UPDATE dibs.position SET n = 1234, term = %s, at = clock_timestamp() - %s::interval", term, ago
    )


@pytest.fixture
def made(database):
    Ledger(database.url).make()
    return database


def test_a_database_without_a_ledger(database):
    found = look(database.url)
    assert levels(found) == {"database": ["well"], "connections": ["well"], "ledger": ["note"]}
    assert "the first `dibs serve` makes it" in found["ledger"][0].mend
    assert database.do("SELECT to_regclass('dibs.ledger')") == [(None,)]


def test_a_ledger_that_is_well(made):
    own(made, server(made, 1), 1)
    server(made, 2)
    server(made, 3, seen="11 s")  # it is gone
    found = look(made.url)
    assert set().union(*levels(found).values()) == {"well"}
    assert "format 1, transaction 1,234, " in found["ledger"][0].found
    assert found["owner"][0].found.startswith("http://a:1 in term 1, for ")
    assert found["servers"][0].found == "http://a:1 (1.0, owner), http://a:2 (1.0)"
    assert found["inbox"][0].found == "0 rows wait"


def test_a_ledger_that_nobody_has_owned_yet(made):
    found = look(made.url)
    assert levels(found)["owner"] == levels(found)["servers"] == ["note"]


def test_an_owner_that_writes_no_more(made):
    own(made, server(made, 1), 1, ago="5 minutes", term=7)
    [owner] = look(made.url)["owner"]
    assert owner.level == "mend"
    assert owner.found == "nothing was written for 5 min; the last owner was http://a:1 in term 7"


def test_many_takeovers(made):
    id = server(made, 1)
    for term in range(1, 7):
        own(made, id, 1, term=term)
    [takeovers] = look(made.url)["takeovers"]
    assert takeovers.found == "6 within the last hour"


def test_servers_of_two_versions_and_one_that_can_t_own(made):
    own(made, server(made, 1), 1)
    server(made, 2, version="2.0", note="no module named jobs")
    servers = look(made.url)["servers"]
    assert [finding.level for finding in servers] == ["note", "note"]
    assert "one by one" in servers[0].mend
    assert servers[1].found == "http://a:2: no module named jobs"


def test_an_owner_that_can_t_own_again_is_told_once(made, monkeypatch):
    own(made, server(made, 1, note="no module named jobs"), 1)
    server(made, 2)
    there = [{"url": "http://a:1", "note": "no module named jobs"}, {"url": "http://a:2", "note": ""}]
    cluster = {
        "owner": "http://a:1",
        "term": 1,
        "lasts": 1.0,
        "position": 1,
        "warnings": [],
        "servers": there,
    }
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={"cluster": cluster}))
    monkeypatch.setattr(
        doctor_server, "look_through", lambda url, **_: doctor_server.servers(Api(url, transport=transport))
    )
    told = [each for each in _once(_look(made.url, None, "http://a:1")) if "no module" in each.found]
    assert [(each.about, each.found) for each in told] == [("servers", "http://a:1: no module named jobs")]
    assert told[0].mend == "mend that: once it owns the ledger no more, it can't take over again"


def test_no_server_that_can_own(made):
    server(made, 2, note="no module named jobs")
    assert [finding.level for finding in look(made.url)["servers"]] == ["well", "mend"]


def test_a_copy_of_another_database_and_a_newer_format(made):
    made.do("UPDATE dibs.ledger SET system_id = system_id + 1")
    [ledger] = look(made.url)["ledger"]
    assert ledger.level == "mend"
    assert "it is a copy" in ledger.found
    assert "--adopt" in ledger.found
    made.do("UPDATE dibs.ledger SET format = 1000")
    [ledger] = look(made.url)["ledger"]
    assert "written by a newer dibs" in ledger.found


def test_rows_that_wait_and_rows_that_were_refused(made):
    row = "'jobs', '1', NULL, NULL, 0::int2"
    columns = "queue, value, key, delay_ms, priority"
    made.do(f"INSERT INTO dibs.inbox ({columns}, at) SELECT {row}, now() - interval '3 minutes'")
    made.do(
        "WITH gone AS (SELECT * FROM dibs.inbox) INSERT INTO dibs.inbox_refused"
        f" (tx, n, {columns}, at, reason) SELECT tx, n, {columns}, at, 'full' FROM gone"
    )
    inbox = look(made.url)["inbox"]
    assert [finding.level for finding in inbox] == ["note", "note"]
    assert inbox[0].found == "1 rows wait, the first for 3 min"
    assert inbox[1].found == "1 rows were refused"


def test_a_standby_that_is_missing_is_to_be_mended(pair):
    url = pair.create("d")
    Ledger(url).make()
    assert levels(look(url))["database"] == ["well", "note"]  # there is none to spare
    pair.standby.kill()
    pair.primary.until(
        "the standby is gone", lambda: pair.primary.do("SELECT count(*) FROM pg_stat_replication") == [(0,)]
    )
    database = look(url)["database"]
    assert [finding.level for finding in database] == ["well", "mend"]
    assert "nothing is answered until that has changed" in database[1].found
    assert "take it out of synchronous_standby_names" in database[1].mend


def test_a_database_that_can_t_be_reached_or_used(clusters):
    cluster = clusters.make()
    cluster.configure(fsync="off")
    [database] = look(cluster.url())["database"]
    assert database.level == "mend"
    assert "fsync = off" in database.found
    cluster.kill()
    [database] = look(cluster.url())["database"]
    assert (database.level, "can't be reached" in database.found) == ("mend", True)


def test_few_connections_are_left(clusters):
    cluster = clusters.make(max_connections=12)
    [connections] = look(cluster.create("d"))["connections"]
    assert connections.level == "mend"
    assert "max_connections" in connections.mend


def test_the_command_shows_no_password(database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url = database.url.replace("://dibs@", "://dibs:secret-word@")
    findings = list(_look(url, None, "http://127.0.0.1:9"))
    assert "database" in {finding.about for finding in findings}
    assert "secret-word" not in json.dumps(findings)


def test_of_a_server_it_is_told_who_owns():
    cluster = {"owner": "http://a:1", "term": 7, "lasts": 60.0, "position": 1234, "warnings": ["look"]}
    servers = [{"url": "http://a:1", "note": ""}, {"url": "http://b:1", "note": "no module"}]
    answer = {"cluster": cluster | {"servers": servers}}

    def told(answer):
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
        return list(doctor_server.servers(Api("http://x", transport=transport)))

    found = told(answer)
    assert found[0].found == "owner http://a:1 in term 7, for 1 min; 2 servers, at transaction 1,234"
    assert [finding.level for finding in found] == ["well", "note", "note"]
    assert told({"cluster": None}) == []


def test_a_ledger_that_has_gone_back_into_a_folder(database):
    database.do("CREATE SCHEMA dibs")
    database.do("CREATE TABLE dibs.departed (instance uuid)")
    [ledger] = look(database.url)["ledger"]
    assert (ledger.level, "has gone back into a data folder" in ledger.found) == ("mend", True)
    assert 'DROP TABLE "dibs".departed' in ledger.mend


def test_a_ledger_that_is_on_its_way(made):
    made.do("DELETE FROM dibs.position")
    database = look(made.url)["database"]
    assert (database[0].level, "run `dibs migrate` again" in database[0].found) == ("mend", True)


def test_a_role_that_may_make_no_schema_is_told_what_it_needs(clusters):
    cluster = clusters.make()
    with pytest.raises(
        LedgerUnfit, match=r"permission denied for database postgres.*GRANT CREATE ON DATABASE"
    ):
        Ledger(cluster.url()).make()
    cluster.do("CREATE SCHEMA dibs AUTHORIZATION dibs")
    Ledger(cluster.url()).make()
    assert levels(look(cluster.url()))["ledger"] == ["well"]


def test_what_is_lost_and_what_was(made):
    own(made, server(made, 1), 1)
    made.do("INSERT INTO dibs.loss (term, n, found) VALUES (1, 1300, 1234)")
    [lost] = look(made.url)["lost"]
    assert lost.level == "mend"
    assert "stands at transaction 1234 of term 1, but 1300 of term 1 was told" in str(lost)
    assert "dibs recover" in str(lost)
    made.do("UPDATE dibs.loss SET accepted = clock_timestamp(), passed = 7, again = 2")
    [was] = look(made.url)["lost"]
    assert was.level == "note"
    assert "7 numbers" in str(was)
    made.do("UPDATE dibs.loss SET accepted = NULL")
    own(made, server(made, 2), 2, term=2)
    [unknown] = look(made.url)["lost"]
    assert unknown.level == "note"
    assert "another server went on without them" in str(unknown)
    made.do("DELETE FROM dibs.loss")
    assert "lost" not in look(made.url)


def test_what_is_not_well_with_servers_is_to_be_mended_and_told_once(made):
    Ledger(made.url).make()
    own(made, server(made, 1), 1)
    for _ in range(2):
        id = server(made, 2)
        made.do("UPDATE dibs.server SET troubles = ARRAY['two are there'] WHERE id = %s", id)
    why = "the owner says that it is at http://a:1, and this server can't reach it there: connection refused"
    made.do("UPDATE dibs.server SET troubles = ARRAY[%s] WHERE id = %s", why, server(made, 3))
    _, twins, unreached = look(made.url)["servers"]
    assert twins[1:] == ("http://a:2: two are there", "mend that; its log says it, too", "mend")
    assert (unreached.found, unreached.level) == (f"http://a:3: {why}", "mend")
    assert "--advertise" in unreached.mend
