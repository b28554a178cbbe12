"""A standby is promoted that lacks what was told to callers: it is noticed, and somebody says how it goes."""

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

LOST = "urn:dibs:problem:ledger-lost"


def dibs(*words, url=None):
    """A command; what it said, with its exit code last."""
    where = [] if url is None else ["--url", url]
    done = subprocess.run(
        [sys.executable, "-m", "dibs", *words, *where],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return f"{done.stdout}{done.stderr}exit code {done.returncode}"


class Promoted:
    """Two servers whose standby was promoted without the last transactions; one of them had owned."""

    def __init__(self, fleet, pair, until, *, work, **settings):
        self.pair, self.until = pair, until
        self.ledger = fleet(pair.create("d"))
        self.owner, self.front = self.ledger.several(2, **settings)
        assert self.owner.post(key="1").json()["seq"] == 1
        self.owner.ask("PUT", "/queues/jobs", json={})
        self.front.push("jobs", "a", "b")
        self._replayed()
        pair.standby.stop()
        if work is not None:
            work(self)
        pair.primary.kill()

    def _replayed(self):
        standby, primary = self.pair.standby, self.pair.primary
        [(flushed,)] = primary.do("SELECT pg_current_wal_flush_lsn()")
        asked = "SELECT pg_last_wal_replay_lsn() >= %s"
        standby.until("it has all so far", lambda: standby.do(asked, flushed) == [(True,)])

    def promote(self):
        self.pair.standby.start()
        self.pair.promote()

    def noticed(self, *servers):
        """Wait until it is; nobody is handed anything out any more."""
        self.until("it is noticed", lambda: self.owner.get("/readyz").status_code == 503)
        self.until("it is told", lambda: self.owner.post().json()["type"] == LOST)
        for server in servers:
            answer = server.post(key="refused")
            assert (answer.status_code, answer.json()["type"]) == (503, LOST), answer.text
            assert answer.json()["handed_out"] == "no"
            assert "dibs recover" in answer.json()["detail"]

    def audit(self, server, queue="default"):
        told = server.get(f"/queues/{queue}/audit").json()
        assert told["balanced"], told
        return told


@pytest.fixture
def promoted(fleet, asynchronous_pair, until):
    def promoted(work, **settings):
        made = Promoted(fleet, asynchronous_pair, until, work=work, **settings)
        made.promote()
        return made

    return promoted


def some_work(made):
    assert [made.owner.post(key="2").json()["seq"], made.front.post(key="3").json()["seq"]] == [2, 3]
    lease = made.front.post("/queues/jobs/lease", json={"max": 1}).json()
    assert made.front.post("/queues/jobs/ack", json={"token": lease["token"]}).is_success
    made.front.push("jobs", "c")
    time.sleep(1.5)  # so that the front has looked, and there are beats between


def test_the_owner_writes_back_what_is_lost(promoted):
    made = promoted(some_work)
    made.noticed(made.owner, made.front)
    term, _ = made.ledger.term()
    newcomer = made.ledger.add()  # it knows of nothing, but for the note in the database
    assert "can't own the ledger" in newcomer.said() or newcomer.post(key="x").json()["type"] == LOST
    said = dibs("recover", url=made.front.url)  # by any server
    assert "written back: the ledger goes on as if nothing had been" in said, said
    assert said.endswith("exit code 0")
    assert made.owner.get("/readyz").status_code == 200
    for server in (made.owner, made.front, newcomer):
        assert [server.post(key=key).json()["seq"] for key in "123"] == [1, 2, 3]  # as they were answered
    assert made.front.post().json()["seq"] == 4
    values = [made.owner.post("/queues/jobs/next").json()["value"] for _ in range(2)]
    assert (values, made.owner.post("/queues/jobs/next").status_code) == (["b", "c"], 204)
    assert made.audit(made.owner)["jumped"] == 0
    assert made.ledger.term()[0] == term
    assert "has lost nothing" in dibs("recover", url=made.owner.url)
    made.owner.kill()
    made.ledger.owned_after(term)
    assert made.front.post(key="3").json()["seq"] == 3
    assert made.front.until_answered(key="5") is not None
    assert made.front.post(key="5").json()["seq"] == 5
    assert "Traceback" not in "".join(server.said() for server in made.ledger.servers)


def test_a_server_that_knows_of_nothing_leaves_the_first_look_to_the_owner(fleet, asynchronous_pair, until):
    """It is there before any that knows more; they have not seen the promotion yet."""
    made = Promoted(fleet, asynchronous_pair, until, work=some_work)
    term = 1
    made.owner.freeze()
    made.front.freeze()
    made.promote()
    newcomer = made.ledger.start(owner_timeout=60)
    asked = (
        "SELECT count(*) FROM dibs.server WHERE seen > (SELECT max(at) FROM dibs.position) + interval '2 s'"
    )
    database = {"database": "d"}
    until("it is there", lambda: made.pair.primary.do(asked, **database)[0][0] >= 1)
    time.sleep(2)  # it could take over
    assert made.ledger.term()[0] == term
    made.owner.wake()
    made.front.wake()
    made.noticed(made.owner, made.front)
    assert "written back" in dibs("recover", url=made.owner.url)
    newcomer.ready()
    assert [server.post(key="3").json()["seq"] for server in (newcomer, made.owner)] == [3, 3]
    assert made.ledger.term()[0] == term


def test_an_owner_that_is_gone_with_the_primary_is_not_waited_for_long(fleet, asynchronous_pair, until):
    made = Promoted(fleet, asynchronous_pair, until, work=None, owner_timeout=2)
    made.owner.kill()
    made.promote()
    made.front.until_answered(key="2")
    assert made.front.post(key="2").json()["seq"] == 2
    assert made.front.post(key="1").json()["seq"] == 1


def test_what_is_not_kept_is_given_up_and_passed_over(promoted):
    made = promoted(some_work, recover_bytes=0)
    made.noticed(made.owner, made.front)
    term, _ = made.ledger.term()
    refused = dibs("recover", url=made.owner.url)
    assert "can't be written back. `dibs recover --accept-loss`" in refused, refused
    said = dibs("recover", "--accept-loss", url=made.front.url)
    assert "3 numbers that they handed out or took in are passed over" in said, said
    assert "Up to 1 items" in said
    made.ledger.owned_after(term)
    for server in (made.owner, made.front):
        server.until_answered(key=f"new-{server.name}")
    seqs = sorted(server.post(key=f"new-{server.name}").json()["seq"] for server in (made.owner, made.front))
    assert seqs == [4, 5]  # 2 and 3 were told to others
    assert made.audit(made.owner)["jumped"] == 2
    assert made.audit(made.front, "jobs")["jumped"] == 1
    made.until(
        "it is told", lambda: "are lost" in str(made.front.get("/stats").json()["cluster"]["warnings"])
    )


def test_while_no_server_can_be_asked_the_database_is_told(promoted):
    made = promoted(some_work)
    made.noticed(made.owner)
    made.owner.kill()
    made.front.kill()
    alone = made.ledger.add()
    assert alone.get("/readyz").status_code == 503
    answer = alone.post()
    assert (answer.status_code, answer.json()["handed_out"]) == (503, "no")
    said = dibs("recover", "--accept-loss", "--data", made.ledger.url)
    assert "3 numbers that they handed out or took in are passed over" in said, said
    alone.until_answered(key="4")
    assert alone.post(key="4").json()["seq"] == 4
    assert made.audit(alone)["jumped"] == 2
    assert "nothing is" in dibs("recover", "--accept-loss", "--data", made.ledger.url)


def test_an_owner_gives_way_when_the_database_is_told_beside_it(promoted):
    made = promoted(some_work)
    made.noticed(made.owner, made.front)
    term, _ = made.ledger.term()
    assert "given up" in dibs("recover", "--accept-loss", "--data", made.ledger.url)
    made.ledger.owned_after(term)
    for server in (made.owner, made.front):
        server.until_answered(key=f"new-{server.name}")
    seqs = sorted(server.post(key=f"new-{server.name}").json()["seq"] for server in (made.owner, made.front))
    assert seqs == [4, 5]
    assert "Traceback" not in made.owner.said() + made.front.said()
