"""An owner whose PostgreSQL fails: callers are told exactly what is there, and memory is what is there."""

from __future__ import annotations

import asyncio
import threading

import apsw
import httpx
import pytest

psycopg = pytest.importorskip("psycopg")

from asks import seqs, settle, take
from dibs.config import Settings
from dibs.errors import LedgerLost, LedgerMoved, LedgerUnavailable, OutcomeUnknown
from dibs.ledger.inbox import Arrival, Place, TakeIn
from dibs.ledger.ops import EngineFailed
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.postgres.tables import TABLES
from dibs.ledger.recovery import AtFault
from dibs.ledger.serve import Ask, Handed, HandOut, Holder, Key, Serve
from dibs.ledger.sqlite.migration import create
from dibs.ledger.work import Ack, Parcel, Push
from dibs.main import create_app
from support.ledgers import begin_term


def takes(queue, *asks):
    return Serve(queue, 1, asks, length=100)


def push(owner, *texts, keys=None):
    return owner.engine.apply([Push(owner.jobs, (Parcel(texts, keys=keys),))]).outcomes[0]


def lease(token="t", most=9):
    return Ask(HandOut(most, 1 << 20, Holder(token, 30_000, "")))


# -- COMMIT's answer is lost


@pytest.mark.parametrize("key", [None, Key("k", "d"), Key("s", "d", 2)], ids=["none", "key", "sequenced"])
def test_a_batch_whose_answer_was_lost_is_there_and_stands(behind, proxy, key):
    behind.engine.apply([takes(behind.numbers, take(1, Key("s", "c", 1)))])
    proxy.losing = ["answer"]
    applied = behind.recovery.apply([takes(behind.numbers, take(3, key))])
    [[served]] = applied.outcomes
    assert (seqs(served), behind.engine.number()) == ([2, 3, 4], applied.number)
    assert proxy.losing == []
    assert behind.do("SELECT cursor FROM counter WHERE queue = %s", behind.numbers) == [(4,)]
    behind.same()
    if key is not None:  # what was filed in it is known, whatever copy memory had before
        [[again]] = behind.recovery.apply([takes(behind.numbers, take(3, key))]).outcomes
        assert (again.replayed, seqs(again)) == (True, [2, 3, 4])
    [[more]] = behind.recovery.apply([takes(behind.numbers, take(1, Key("s", "e", 3)))]).outcomes
    assert seqs(more) == [5]
    behind.same()


@pytest.mark.parametrize("lost", [["transaction"], ["transaction"] * 3, ["transaction", "answer", "answer"]])
def test_a_batch_that_never_arrived_is_sent_again_as_it_was(behind, proxy, lost):
    push(behind, "1", "2", keys=("a", "b"))
    n, proxy.losing = behind.n, lost
    applied = behind.recovery.apply([Serve(behind.jobs, 1, (lease(),)), takes(behind.numbers, take(3))])
    [[leased], [taken]] = applied.outcomes
    assert (seqs(leased), seqs(taken), proxy.losing) == ([1, 2], [1, 2, 3], [])
    assert behind.engine.number() == applied.number == n + 1
    behind.same()
    [[more]] = behind.recovery.apply([takes(behind.numbers, take(1))]).outcomes
    assert seqs(more) == [4]


def test_of_a_batch_that_is_refused_when_it_is_sent_again_nothing_happened(behind, proxy):
    push(behind, "1", "2", keys=("a", "b"))
    before = behind.engine.number()
    behind.do("ALTER TABLE counter ADD CONSTRAINT few CHECK (taken < 2) NOT VALID")
    proxy.losing = ["transaction"]
    refused = behind.recovery.apply([Serve(behind.jobs, 1, (lease(),)), takes(behind.numbers, take(3))])
    assert isinstance(refused, LedgerUnavailable)
    assert behind.engine.number() == before
    behind.do("ALTER TABLE counter DROP CONSTRAINT few")
    behind.same()
    [[leased], [taken]] = behind.recovery.apply(
        [Serve(behind.jobs, 1, (lease(),)), takes(behind.numbers, take(3))]
    ).outcomes
    assert (seqs(leased), seqs(taken)) == ([1, 2], [1, 2, 3])
    behind.same()


def test_a_step_of_the_recovery_is_not_taken_for_the_batch(behind, proxy):
    """The batch is refused; the step that was to prove it is there, but its answer is lost as well."""
    n = behind.n
    behind.do("ALTER TABLE counter ADD CONSTRAINT few CHECK (taken < 2) NOT VALID")
    proxy.losing = ["transaction", "nothing", "answer", "answer"]
    refused = behind.recovery.apply([takes(behind.numbers, take(3))])
    assert isinstance(refused, LedgerUnavailable)
    assert (proxy.losing, behind.n) == ([], n + 3)
    behind.do("ALTER TABLE counter DROP CONSTRAINT few")
    behind.same()
    [[served]] = behind.recovery.apply([takes(behind.numbers, take(3))]).outcomes
    assert seqs(served) == [1, 2, 3]


def test_a_batch_that_is_there_is_told_though_the_next_step_is_lost_twice(behind, proxy):
    proxy.losing = ["answer", "transaction", "answer"]
    [[served]] = behind.recovery.apply([takes(behind.numbers, take(3))]).outcomes
    assert seqs(served) == [1, 2, 3]
    behind.same()


def test_an_inbox_that_was_emptied_meanwhile_is_no_reason_to_load_anew(owner):
    with pytest.raises(AtFault):
        owner.recovery.apply([TakeIn((Arrival(Place(7, 1), "jobs", "1"),))])
    assert owner.recovery.reopened == 0
    owner.same()


# -- the session ends


def test_a_session_that_was_ended_is_made_anew_in_the_same_term(owner):
    term = owner.engine.term
    owner.end_session()
    [[served]] = owner.recovery.apply([takes(owner.numbers, take(3))]).outcomes
    assert (seqs(served), owner.engine.term, owner.moves) == ([1, 2, 3], term, [])
    owner.same()


def test_an_owner_whose_session_was_ended_does_not_trust_its_memory(owner):
    owner.engine.apply([takes(owner.numbers, take(1))])
    assert owner.engine.sure
    owner.end_session()
    assert not owner.engine.sure
    other = begin_term(owner.ledger)
    other.apply([Push(owner.jobs, (Parcel(("1",)),))])
    assert isinstance(owner.recovery.apply([Serve(owner.jobs, 1, (lease(),))]), LedgerMoved)
    other.close()


def test_a_session_that_is_written_by_is_trusted_meanwhile(owner):
    """What comes while an answer is awaited is the answer."""
    seen, over = [], threading.Event()

    def look():
        while not over.is_set():
            seen.append(owner.engine.sure)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            owner.engine.apply([takes(owner.numbers, take(1))])
    finally:
        over.set()
        looking.join()
    assert seen.count(True) > len(seen) * 0.9


def test_a_server_that_was_restarted_is_found_again(clusters, own):
    cluster = clusters.make()
    url = cluster.create("d")
    Ledger(url).make()
    owner = own(url)
    push(owner, "1", keys=("a",))
    cluster.restart()
    # The session that looks keys up has ended, too; where that is seen first, the batch is applied once more.
    asked = [takes(owner.numbers, take(3, Key("k", "d")))]
    applied = owner.recovery.apply(asked)
    if isinstance(applied, LedgerUnavailable):
        applied = owner.recovery.apply(asked)
    assert seqs(applied.outcomes[0][0]) == [1, 2, 3]
    cluster.stop()
    with pytest.raises(EngineFailed):
        owner.engine.apply([takes(owner.numbers, take(3))])
    with pytest.raises(EngineFailed, match="can't be reached"):
        owner.engine.reopen()
    cluster.start()
    owner.engine.reopen()
    cluster.configure(default_transaction_read_only="on")
    cluster.do(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'dibs owner'"
    )
    with pytest.raises(EngineFailed):
        owner.engine.keep_time()
    with pytest.raises(EngineFailed, match="read-only"):
        owner.engine.reopen()
    cluster.configure(default_transaction_read_only="off")
    owner.engine.reopen()
    owner.same()


def test_while_nothing_can_be_found_out_the_outcome_is_unknown(behind, proxy, monkeypatch):
    monkeypatch.setattr("dibs.ledger.recovery.LAST_TRIES", 0.0)
    proxy.losing = ["answer", *["transaction"] * 20]
    behind.gives_up_after = 5
    assert isinstance(behind.recovery.apply([takes(behind.numbers, take(3))]), OutcomeUnknown)
    proxy.losing.clear()
    behind.engine.reopen()
    assert behind.engine.row(behind.numbers).cursor == 3
    behind.same()


# -- a commit that did not wait for its standby


def test_a_commit_that_is_visible_but_not_at_its_standby_is_told_after_a_clean_step(clusters, own):
    cluster = clusters.make()
    url = cluster.create("d")
    cluster.do("ALTER ROLE dibs SET client_min_messages = error")  # it wants to hear of no warning
    Ledger(url).make()
    owner = own(url)
    owner.engine.apply([takes(owner.numbers, take(1))])
    cluster.configure(synchronous_standby_names="nobody")
    outcome = []
    asking = threading.Thread(
        target=lambda: outcome.append(owner.recovery.apply([takes(owner.numbers, take(3))]))
    )
    asking.start()
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    for _ in range(2):  # the batch, then the step that is to prove it
        cluster.until("a commit waits for its standby", lambda: cluster.do(waiting) != [])
        assert outcome == []
        cluster.do(f"SELECT pg_cancel_backend(pid) FROM ({waiting}) AS waiting")
    cluster.until("it waits again", lambda: cluster.do(waiting) != [])
    assert outcome == []
    cluster.configure(synchronous_standby_names="")
    asking.join(60)
    [[[served]]] = [applied.outcomes for applied in outcome]
    assert seqs(served) == [2, 3, 4]
    owner.same()


# -- somebody else wrote


def test_an_op_that_finds_other_rows_fails_alone_and_memory_is_loaded_anew(owner):
    push(owner, "1", "2")
    [[leased]] = owner.engine.apply([Serve(owner.jobs, 1, (lease("t"),))]).outcomes
    assert seqs(leased) == [1, 2]
    owner.do("DELETE FROM run WHERE queue = %s", owner.jobs)
    owner.do("UPDATE counter SET acked = 2 WHERE queue = %s", owner.jobs)
    batch = [Serve(owner.jobs, 1, (settle(Ack("t")),)), takes(owner.numbers, take(3))]
    with pytest.raises(AtFault):
        owner.recovery.apply(batch)
    assert owner.recovery.reopened == 0
    assert owner.engine.row(owner.jobs).acked == 0  # nothing of it happened
    [[[stale]]] = [owner.recovery.apply(batch[:1]).outcomes]
    assert [part.verdict for entry in stale.entries for part in entry] == ["stale"]
    assert owner.recovery.reopened == 1
    [[served]] = owner.recovery.apply(batch[1:]).outcomes
    assert seqs(served) == [1, 2, 3]
    assert owner.engine.row(owner.jobs).acked == 2
    owner.same()


def test_an_op_that_fails_on_what_was_just_loaded_is_at_fault_itself(owner):
    owner.do("INSERT INTO item_key SELECT 1, 1, 'k', 1, 9223372036854775807")
    owner.do("ALTER TABLE run ADD CONSTRAINT never UNIQUE (state)")
    push(owner, "1")
    with pytest.raises(AtFault):
        owner.recovery.apply([Push(owner.jobs, (Parcel(("2",), delay=1_000),))])
    assert owner.recovery.reopened == 1
    [[served]] = owner.recovery.apply([takes(owner.numbers, take(3))]).outcomes
    assert seqs(served) == [1, 2, 3]
    owner.same()
    owner.do("ALTER TABLE run DROP CONSTRAINT never")  # others are lent this ledger


# -- acknowledged transactions are gone


def test_a_position_behind_what_was_told_stops_the_owner(owner):
    owner.engine.apply([takes(owner.numbers, take(3))])
    told = owner.n
    owner.do("UPDATE position SET n = n - 2")
    owner.end_session()
    refused = owner.recovery.apply([takes(owner.numbers, take(3))])
    assert isinstance(refused, OutcomeUnknown)
    trouble = owner.engine.trouble()
    assert isinstance(trouble, LedgerLost)
    assert str(trouble).startswith(f"the ledger stands at transaction {told - 2} of term 1, ")
    assert isinstance(owner.recovery.apply([takes(owner.numbers, take(3))]), LedgerLost)
    assert isinstance(owner.recovery.still_down(), LedgerLost)  # as the writer looks when it has refused
    assert isinstance(owner.told[-1], LedgerLost)
    assert (owner.n, owner.engine.unheard(), owner.moves) == (told - 2, None, [])


def test_an_asynchronous_standby_that_was_promoted_without_the_last_ones_is_noticed(asynchronous_pair, own):
    url = asynchronous_pair.create("d")
    Ledger(url).make()
    owner = own(url)
    caught_up = "SELECT bool_and(replay_lsn = pg_current_wal_lsn()) FROM pg_stat_replication"
    primary = asynchronous_pair.primary
    primary.until("the standby has all", lambda: primary.do(caught_up) == [(True,)])
    asynchronous_pair.standby.stop()
    owner.engine.apply([takes(owner.numbers, take(3))])
    primary.kill()
    asynchronous_pair.standby.start()
    asynchronous_pair.promote()
    # It was sent, unless a look before it has failed with the primary.
    assert isinstance(
        owner.recovery.apply([takes(owner.numbers, take(3))]), OutcomeUnknown | LedgerUnavailable
    )
    assert isinstance(owner.recovery.apply([takes(owner.numbers, take(3))]), LedgerLost)
    assert isinstance(owner.engine.trouble(), LedgerLost)


def test_an_owner_that_finds_another_one_s_term_says_what_was_lost_before_it(owner, caplog):
    owner.engine.apply([takes(owner.numbers, take(3))])
    owner.do("UPDATE position SET n = n - 2")
    other = begin_term(owner.ledger)
    owner.end_session(term=1)
    assert isinstance(owner.recovery.apply([takes(owner.numbers, take(3))]), LedgerUnavailable)
    assert isinstance(owner.engine.trouble(), LedgerMoved)
    assert "the database has lost 2 transactions that were told to callers" in caplog.text
    other.close()


def test_a_server_whose_database_lost_something_is_not_ready(owner, monkeypatch):
    monkeypatch.setattr("dibs.queue.queues.open_ledger", lambda _: owner.engine)
    app = create_app(Settings(data=":memory:"))

    async def asked():
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
                before = await client.get("/readyz")
                owner.do("UPDATE position SET n = n - 2")
                owner.end_session()
                refused = [await client.post("/next") for _ in range(2)]
                return before, *refused, await client.get("/readyz")

    before, first, second, after = asyncio.run(asked())
    assert (before.status_code, first.status_code, second.status_code, after.status_code) == (200, *[503] * 3)
    told = [(answer.json()["type"].split(":")[-1], answer.json()["handed_out"]) for answer in (first, second)]
    assert told[0] in {("outcome-unknown", "maybe"), ("ledger-lost", "no")}  # a beat may find out before
    assert told[1] == ("ledger-lost", "no")
    assert after.json()["type"] == "urn:dibs:problem:not-ready"


def test_another_owner_s_term_tells_what_came_of_the_last_batch(behind, proxy, ledger_url, own):
    proxy.losing = ["answer", *["transaction"] * 50]
    outcome = []
    asking = threading.Thread(
        target=lambda: outcome.append(behind.recovery.apply([takes(behind.numbers, take(3))]))
    )
    asking.start()
    other = own(ledger_url)  # it waits for the lock
    asking.join(60)
    [applied] = outcome
    assert isinstance(applied.outcomes[0][0].handed, Handed)
    assert isinstance(behind.engine.trouble(), LedgerMoved)
    assert behind.moves == [None]
    assert other.engine.row(behind.numbers).cursor == 3
    assert other.engine.term == behind.engine.term + 1


# -- the tables


def test_every_table_has_the_same_columns_in_both_places(owner):
    memory = apsw.Connection("")
    create(memory)
    names = {
        name for (name,) in owner.do("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    }
    ours = {"ledger", "position", "term", "server", "target", "configuration", "loss"}
    assert {name for name in names - ours if not name.startswith("inbox")} == set(TABLES)
    listed = [name for (name,) in memory.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert {name for name in listed if not name.startswith("sqlite_")} - {"ledger", "copied"} == set(TABLES)
    for name, table in TABLES.items():
        there = owner.do(
            "SELECT column_name, is_nullable = 'YES' FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = %s",
            name,
        )
        pragma = memory.execute('SELECT name, NOT ("notnull" OR pk) FROM pragma_table_info(?)', (name,))
        here = [(column, bool(null)) for column, null in pragma]
        if "id" not in table.columns:  # a number of SQLite's own, or of PostgreSQL's
            here, there = ([row for row in rows if row[0] != "id"] for rows in (here, there))
        assert sorted(here) == sorted(there), name
        assert sorted(table.columns) == sorted(column for column, _ in there), name
    memory.close()
