"""Somebody holds an old snapshot, so that what a transaction replaced stays: no look-up walks over it."""

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import lease, settle, take
from dibs.ledger.inbox import Arrival, Place, TakeIn
from dibs.ledger.ops import Delete
from dibs.ledger.postgres.ledger import Ledger
from dibs.ledger.serve import Key, Serve
from dibs.ledger.sqlite.engine import PRUNE_MOST
from dibs.ledger.state.moving import SLICE_ROWS
from dibs.ledger.work import Ack, Parcel, Push, Sweep

SOME = 100
READ = """
SELECT indexrelname, idx_scan, idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = current_schema()
"""
# Without its own session's numbers, which come to the others a second later, a look at them says little.
FLUSH = b"SELECT pg_stat_force_next_flush()"
PUSHED = """
INSERT INTO inbox (queue, value, key, priority) VALUES ('jobs', '1', %s, 0) RETURNING tx::text::int8, n
"""


def read(owner):
    """Of each index: how often it was searched, and how many entries were looked at, by anybody so far."""
    sessions = [owner.engine._session, *[reader._connection for reader in owner.engine._readers]]
    for session in sessions:
        if session is not None:
            session.execute(FLUSH)
            session.execute(b"SELECT 1")
    return {name: (scans, entries) for name, scans, entries in owner.do(READ)}


def work(owner, number):
    """All that a transaction does often: a key, an item from the inbox and one by itself, with keys, both
    worked by the batch after; each table is touched."""
    [place] = owner.do(PUSHED, f"inbox {number}")
    before = [Ack(f"{number - 1}", ((2 * number - 3, 2 * number - 2),))] if number > 1 else []
    asks = settle(*before, key=Key("worker", f"{number}", number), then=lease(f"{number}", 2))
    owner.engine.apply(
        [
            Serve(owner.numbers, 1, (take(1, Key("taker", f"{number}", number)),), length=2**53 - 1),
            TakeIn((Arrival(Place(*place), "jobs", "1", f"inbox {number}"),)),
            Push(owner.jobs, (Parcel(("2",), keys=(f"own {number}",)),)),
            Serve(owner.jobs, 1, (asks,), length=2**53 - 1),
        ]
    )


@pytest.fixture
def held(ledger_url):
    """Somebody holds a snapshot from now on."""
    with Ledger(ledger_url).connect() as holder:
        holder.execute("SET idle_in_transaction_session_timeout = 0")
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        holder.execute("SELECT count(*) FROM counter")
        yield
        holder.execute("ROLLBACK")


@pytest.mark.slow
@pytest.mark.usefixtures("held")
def test_no_look_up_walks_over_what_was_replaced(owner):
    for number in range(1, SOME + 1):
        work(owner, number)
    # From now on the planner knows that next to nothing is alive.
    for (table,) in owner.do("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
        owner.do(f"VACUUM ANALYZE {table}")
    before = read(owner)
    for number in range(SOME + 1, 2 * SOME + 1):
        work(owner, number)
    after = read(owner)
    worked = {
        name: (scans - before[name][0], entries - before[name][1])
        for name, (scans, entries) in after.items()
        if scans - before[name][0] >= SOME / 2
    }
    assert {"counter_pkey", "run_pkey", "inbox_pkey", "position_pkey", "answer_pkey"} <= set(worked)
    assert {name: each for name, each in worked.items() if each[1] > 3 * each[0]} == {}
    owner.same()


EXPIRED = """
INSERT INTO history (name, generation, first, last, verb, at, caller, worker, expires)
SELECT 'numbers', 1, n, n, 'taken', 1, '', '', n FROM generate_series(1, %s) AS n (n)
"""
KEYS = "INSERT INTO item_key SELECT %s, 1, n::text::bytea, n, 9e15 FROM generate_series(1, %s) AS n (n)"


@pytest.mark.usefixtures("held")
def test_what_is_removed_by_slices_is_not_walked_over_by_each_of_them(ledger_url, own):
    slices = 20
    with Ledger(ledger_url).connect() as session:
        session.execute(EXPIRED, (slices * PRUNE_MOST,))
    owner = own(ledger_url)
    owner.do(KEYS, owner.jobs, slices * SLICE_ROWS)
    owner.engine.apply([Delete(owner.jobs)])
    before = read(owner)
    while owner.do("SELECT 1 FROM history LIMIT 1") or owner.do("SELECT 1 FROM item_key LIMIT 1"):
        owner.engine.apply([Sweep(owner.jobs)])
    after = read(owner)
    for name, rows in (("history_expires", PRUNE_MOST), ("item_key_item", SLICE_ROWS)):
        looked_at = after[name][1] - before[name][1]
        assert slices * rows <= looked_at < 6 * slices * rows, name
