"""PostgreSQL is restarted, gone, read-only, full of sessions, without its standby: nothing is lost."""

import time
from contextlib import suppress

import psycopg
import pytest

pytestmark = pytest.mark.slow


def test_the_database_is_restarted(fleet, clusters, until):
    cluster = clusters.make()
    ledger = fleet(cluster.create("d"))
    servers = ledger.several(2)
    assert [server.post().json()["seq"] for server in servers] == [1, 2]
    for turn, mode in enumerate(("fast", "immediate")):
        cluster.restart(mode)
        for at, server in enumerate(servers):
            refused = server.until_answered(key=f"{mode}-{at}")
            assert all(each["handed_out"] in {"no", "maybe"} for each in refused)
            assert server.post(key=f"{mode}-{at}").json()["seq"] == 3 + 2 * turn + at
    assert "Traceback" not in "".join(server.said() for server in servers)


def test_the_database_is_gone_for_a_while(fleet, clusters, together, until):
    cluster = clusters.make()
    ledger = fleet(cluster.create("d"))
    owner, front = servers = ledger.several(2, limits__wait=100)
    owner.ask("PUT", "/queues/jobs", json={})
    waits = "/queues/jobs/next?wait=100"  # none has waited long enough before the push
    waiting = [
        together(server.post, waits, key=f"waits-{at}", timeout=120) for at, server in enumerate(servers)
    ]
    until("they wait", lambda: owner.get("/queues/jobs/stats").json()["waiting"] == 2)
    cluster.stop("immediate")
    gone = time.monotonic()
    asked = [together(server.post, key=f"asks-{at}") for at, server in enumerate(servers)]
    late = [together(server.post, waits, key=f"late-{at}", timeout=120) for at, server in enumerate(servers)]
    time.sleep(max(gone + 8 - time.monotonic(), 0))
    assert [each.result().text for each in waiting if each.done()] == []
    cluster.start()
    for each in asked:
        answer = each.result()  # the one that was on its way to the database is held until that is back
        assert answer.status_code == 200 or answer.json()["handed_out"] == "no", answer.text
    seqs = []
    for at, server in enumerate(servers):
        server.until_answered(key=f"asks-{at}")
        seqs.append(server.post(key=f"asks-{at}").json()["seq"])
    assert sorted(seqs) == [1, 2]
    front.push("jobs", "a", "b", "c", "d")
    values = []
    for key, each in zip(("waits-0", "waits-1", "late-0", "late-1"), (*waiting, *late), strict=True):
        answer = each.result()  # of the owner that went on, or of one that did not, and says so
        assert answer.status_code == 200 or answer.json()["handed_out"] == "no", (key, answer.text)
        owner.until_answered("/queues/jobs/next", key=key)
        values.append(owner.post("/queues/jobs/next", key=key).json()["value"])
    assert sorted(values) == ["a", "b", "c", "d"]
    assert "Traceback" not in owner.said() + front.said()


def test_the_database_takes_no_writes_of_new_sessions(fleet, clusters, until):
    cluster = clusters.make()
    ledger = fleet(cluster.create("d"))
    owner, front = ledger.several(2)
    assert owner.post().json()["seq"] == 1
    cluster.configure(default_transaction_read_only="on")
    refused = ledger.start()
    assert refused.process.wait(60) != 0
    assert "read-only" in refused.said()
    assert "Traceback" not in refused.said()
    owner.kill()
    answer = front.post(key="k")
    assert (answer.status_code, answer.json()["handed_out"]) == (503, "no")
    cluster.configure(default_transaction_read_only="off")
    front.until_answered(key="k")
    assert front.post(key="k").json()["seq"] == 2


def test_others_have_all_connections(fleet, clusters):
    cluster = clusters.make(max_connections=20)
    ledger = fleet(cluster.create("d"))
    owner, front = ledger.several(2)
    assert owner.post(key="1").json()["seq"] == 1
    taken = []
    try:
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(ledger.url))
        refused = ledger.start()
        assert refused.process.wait(60) != 0
        assert "connection slots" in refused.said() or "too many" in refused.said()
        assert "Traceback" not in refused.said()
        answers = [server.post(key=f"{at}").json() for at, server in enumerate((owner, front), 2)]
        assert [answer["seq"] for answer in answers] == [2, 3]
        assert owner.post(key="1").json()["seq"] == 1
    finally:
        for each in taken:
            each.close()


def test_the_primary_is_killed_and_the_synchronous_standby_promoted(
    fleet, pair, first_answer, together, capsys
):
    ledger = fleet(pair.create("d"))
    servers = ledger.several(2)
    assert [server.post(key=f"before-{at}").json()["seq"] for at, server in enumerate(servers)] == [1, 2]
    pair.primary.kill()
    under_way = [together(server.post, key="under way") for server in servers[:1]]
    pair.promote()
    pair.primary.configure(synchronous_standby_names="")
    answer, seconds = first_answer(servers, key="after", began=time.monotonic())
    with capsys.disabled():
        print(f"\nstandby promoted, first answer after {seconds:.2f} s")
    for each in under_way:
        told = each.result()
        assert told.status_code == 200 or told.json()["handed_out"] in {"no", "maybe"}
    servers[1].until_answered(key="under way")
    seqs = [answer.json()["seq"], servers[1].post(key="under way").json()["seq"]]
    assert sorted(seqs) == [3, 4]
    servers[0].until_answered(key="before-0")
    replays = [server.post(key=f"before-{at}").json()["seq"] for at, server in enumerate(servers)]
    assert replays == [1, 2]


def test_the_standby_is_gone(fleet, pair, together, until):
    ledger = fleet(pair.create("d"))
    owner, front = ledger.several(2, limits__commit_patience=3, owner_timeout=2)
    assert [owner.post().json()["seq"], front.post().json()["seq"]] == [1, 2]
    term, _ = ledger.term()
    pair.standby.kill()
    began = time.monotonic()
    asked = [together(server.post, key=f"{at}") for at, server in enumerate((owner, front))]
    told = [each.result() for each in asked]
    for answer in told:
        assert answer.status_code == 503
        assert answer.json()["handed_out"] in {"maybe", "no"}  # no: a beat was on its way before it
    time.sleep(max(began + 6 - time.monotonic(), 0))
    assert ledger.term()[0] == term  # nobody has cut the commit short
    pair.standby.start()
    seqs = []
    for at, server in enumerate((owner, front)):
        server.until_answered(key=f"{at}")
        seqs.append(server.post(key=f"{at}").json()["seq"])
    assert sorted(seqs) == [3, 4]
    assert ledger.term()[0] == term


def test_a_database_that_can_not_be_reached_is_said_at_once(fleet, clusters):
    cluster = clusters.make()
    url = cluster.create("d")
    cluster.stop()
    server = fleet(url).start()
    assert server.process.wait(60) == 4
    [line] = server.said().splitlines()
    assert "can't be reached" in line
