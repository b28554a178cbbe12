"""What SQLite's file has of work: rows a run, blocks a page, statements that don't read the backlog."""

from __future__ import annotations

import re
import threading

import apsw
import pytest
from asks import LENGTH, lease, settle, take, verdicts
from dibs.errors import LedgerUnavailable
from dibs.ledger.ops import Define
from dibs.ledger.serve import Ask, Key, Serve
from dibs.ledger.sqlite import answers, blocks, queues, records, runs, store
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import Ack, Extend, Nack, Parcel, Purge, Push, QueueSettings, Redrive
from words import apply, define

HOUR = 3_600_000


class File:
    """An engine with a queue that is pushed to and one with a source, and a look at its file from outside."""

    def __init__(self, folder, time) -> None:
        self.engine = SqliteEngine(folder, clock=time.clock)
        self.jobs, self.numbers = define(self.engine, "jobs", ""), define(self.engine, "numbers")
        self._outside = apsw.Connection(str(folder / "dibs.db"), flags=apsw.SQLITE_OPEN_READONLY)

    def see(self, statement: str) -> list:
        return self._outside.execute(statement).fetchall()

    def runs(self) -> list:
        return self.see("SELECT first, last, state FROM run ORDER BY queue, first")

    def do(self, *ops):
        return apply(self.engine, *ops)[-1]

    def push(self, *texts: str, **options):
        return self.do(Push(self.jobs, (Parcel(texts, **options),)))

    def ask(self, queue: int, *asks: Ask):
        length = LENGTH if queue == self.numbers else None
        return self.do(Serve(queue, 1, asks, length=length))

    def claim(self, most: int, token: str = "t"):
        return self.ask(self.jobs, lease(token, most, ttl=HOUR))[0].handed

    def ack(self, queue: int, *seqs, token: str = "t"):
        return self.ask(queue, settle(Ack(token, seqs or None)))

    def close(self) -> None:
        self._outside.close()
        self.engine.close()


@pytest.fixture
def file(tmp_path, time):
    opened = File(tmp_path / "data", time)
    yield opened
    opened.close()


# -- runs, not items


def test_a_lease_of_a_thousand_fresh_items_is_a_row_and_an_ack_of_it_deletes_one(file):
    file.ask(file.numbers, lease("t", 1_000, ttl=HOUR))
    assert file.runs() == [(1, 1_000, 1)]
    file.ack(file.numbers)
    assert file.runs() == []


def test_an_ack_of_some_splits_the_row(file):
    file.ask(file.numbers, lease("t", 1_000, ttl=HOUR))
    file.ack(file.numbers, (1, 10), (500, 500))
    assert file.runs() == [(11, 499, 1), (501, 1_000, 1)]


def test_many_entries_of_one_lease_write_its_row_once(file):
    file.ask(file.numbers, lease("t", 100, ttl=HOUR))
    nacks = tuple(Nack("t", ((seq, seq),), delay=5) for seq in (3, 2, 1, *range(50, 40, -1)))
    acks = tuple(Ack("t", ((seq, seq),)) for seq in range(90, 60, -1))
    file.ask(file.numbers, settle(*nacks, *acks))
    assert file.runs() == [(1, 3, 0), (4, 40, 1), (41, 50, 0), (51, 60, 1), (91, 100, 1)]
    file.ask(file.numbers, settle(*[Ack("t", ((seq, seq),)) for seq in range(4, 41)]))
    assert file.runs() == [(1, 3, 0), (41, 50, 0), (51, 60, 1), (91, 100, 1)]


def test_items_taken_for_good_leave_no_row(file):
    file.ask(file.numbers, take(1_000))
    assert file.runs() == []


def test_pushes_of_one_transaction_that_are_alike_are_one_run_and_as_few_blocks(file):
    file.do(*[Push(file.jobs, (Parcel((str(n),)),)) for n in range(64)])
    assert file.runs() == [(1, 64, 0)]
    assert file.see("SELECT first, last FROM block") == [(1, 64)]


def test_pushes_that_differ_in_due_or_priority_are_runs_of_their_own(file):
    file.do(
        Push(file.jobs, (Parcel(("1", "2")), Parcel(("3",), delay=5), Parcel(("4",), delay=5, priority=2))),
        Push(file.jobs, (Parcel(("5",), delay=5, priority=2),)),
    )
    assert file.runs() == [(1, 2, 0), (3, 3, 0), (4, 5, 0)]


def test_neighbours_that_are_claimed_together_become_one_run(file):
    for n in range(5):
        file.push(str(n))
    assert len(file.runs()) == 5
    assert file.claim(4).values == ("0", "1", "2", "3")
    assert file.runs() == [(1, 4, 1), (5, 5, 0)]


# -- blocks


def test_blocks_fill_pages_and_no_value_is_cut(file):
    texts = [f'"{"é" * (n % 700)}"' for n in range(3_000)]
    texts[1_500] = f'"{"x" * 100_000}"'
    file.push(*texts)
    sizes = file.see("SELECT last - first + 1, length(CAST(texts AS BLOB)) FROM block ORDER BY first")
    assert sum(count for count, _ in sizes) == 3_000
    assert all(size <= 3_900 or count == 1 for count, size in sizes)
    assert sum(size <= 3_900 for _, size in sizes) == len(sizes) - 1
    file._outside.execute("SELECT count(*) FROM block").fetchall()
    [(spilled,)] = file.see("SELECT count(*) FROM dbstat WHERE name = 'block' AND pagetype = 'overflow'")
    assert spilled == 100_002 // 4_092  # pages of the one value that is larger than a page
    assert file.claim(3_000).values == tuple(texts)


def test_a_block_goes_with_its_last_item_whichever_way_that_leaves(file):
    texts = [f'"{"x" * 900}"' for _ in range(16)]  # four a block
    file.push(*texts)
    blocks = file.see("SELECT first, last FROM block ORDER BY first")
    assert blocks == [(1, 4), (5, 8), (9, 12), (13, 16)]
    file.claim(8)
    file.ack(file.jobs, (1, 3), (5, 5))
    assert len(file.see("SELECT 1 FROM block")) == 4
    file.ack(file.jobs, (4, 4))
    assert file.see("SELECT first FROM block ORDER BY first") == [(5,), (9,), (13,)]
    file.ask(file.jobs, take(4))
    assert file.see("SELECT first FROM block ORDER BY first") == [(5,), (13,)]
    file.do(Purge(file.jobs, ("waiting",)))
    assert file.see("SELECT first FROM block ORDER BY first") == [(5,)]
    file.ack(file.jobs)
    assert file.see("SELECT first FROM block") == []


# -- what a request costs follows what it touches, not what lies about


def steps(file: File, *ops) -> int:
    """Steps of SQLite's machine that a transaction takes: its work, without a clock."""
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return False

    file.engine.files.writer.set_progress_handler(step, 1)
    apply(file.engine, *ops)
    file.engine.files.writer.set_progress_handler(None)
    return count


def leased(file: File, *tokens: str) -> Serve:
    """A lease of one item for each of these tokens."""
    return Serve(file.jobs, 1, tuple(lease(token, ttl=HOUR) for token in tokens))


def settled(file: File, *entries) -> Serve:
    return Serve(file.jobs, 1, (settle(*entries),))


def test_a_claim_costs_the_same_with_a_backlog_behind_it(file):
    file.push("1", "2")
    alone = steps(file, leased(file, "a"))
    for level in (0, 0, 5, 9):
        parcels = [Parcel((str(n),), delay=HOUR + n, priority=level) for n in range(500)]
        file.do(Push(file.jobs, (*parcels, Parcel(("0",) * 500, priority=level))))
    file.do(leased(file, *[f"x{n}" for n in range(200)]))
    assert steps(file, leased(file, "b")) < alone * 1.5


def test_a_claim_in_vain_costs_the_same_with_a_thousand_delayed_ones(file):
    file.push("1", delay=HOUR)
    alone = steps(file, leased(file, "a"))
    file.do(Push(file.jobs, tuple(Parcel((str(n),), delay=HOUR + n) for n in range(1_000))))
    assert steps(file, leased(file, "b")) < alone * 1.5


def test_a_settle_costs_the_same_with_a_thousand_leases_beside_it(file):
    file.push(*map(str, range(2_000)))
    file.claim(10, "a")
    file.claim(10, "b")
    alone = steps(file, settled(file, Ack("a", ((2, 2), (4, 6))), Nack("a", error="no")))
    file.do(leased(file, *[f"x{n}" for n in range(1_000)]))
    assert steps(file, settled(file, Ack("b", ((12, 12), (14, 16))), Nack("b", error="no"))) < alone * 1.5


def test_a_bounded_push_and_a_glance_cost_the_same_with_a_thousand_dead(file):
    file.do(Define("jobs", "", "{}", settings=QueueSettings(max_attempts=1, max_ready=1)))

    def full() -> int:
        return steps(file, Push(file.jobs, (Parcel(("0",)),)))

    file.push("1")
    alone = full()
    assert file.engine.glance(file.jobs) == (1, 0, 0)
    for n in range(1_000):
        file.do(leased(file, f"t{n}"))
        file.do(settled(file, Nack(f"t{n}")))
        file.push("1")
    assert file.engine.glance(file.jobs) == (1, 0, 1_000)
    assert full() < alone * 1.5


SORTS = {"CROWD", "FAILURES", "HELD", "HISTORY_OF_ITEM", "HISTORY_OF_ITEM_BEFORE", "INSIDE", "TRIM_FAILURES"}
"""Statements that may sort what they found: of one token, leased, failed; or a row a generation."""


def statements():
    for module in (answers, blocks, queues, records, runs, store):
        for name, value in vars(module).items():
            several = tuple(value.values()) if isinstance(value, dict) else value
            for one in several if isinstance(several, tuple) else [value]:
                if name.isupper() and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|PRAGMA)\b", str(one)):
                    yield name, one


@pytest.mark.parametrize(("name", "statement"), list(statements()))
def test_no_statement_reads_a_whole_table_or_sorts_a_backlog(file, name, statement):
    named = dict.fromkeys(re.findall(r":(\w+)", statement), 1)
    numbered = [int(found) for found in re.findall(r"\?(\d+)", statement)]
    values = named or (1,) * (max(numbered) if numbered else statement.count("?"))
    plan = [row[3] for row in file.engine.files.writer.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
    whole = [
        step
        for step in plan
        if re.match(
            r"SCAN (run|block|failure|queue|answer|history)\b(?! USING (COVERING )?INDEX run_lease)", step
        )
    ]
    assert (
        name in {"_ROWS", "ALL", "UNSWEPT"} or whole == []
    )  # asked once, at the start: a step for each queue
    if name not in SORTS:
        assert not any("TEMP B-TREE" in step for step in plan)


def test_no_statement_is_prepared_anew_from_one_large_batch_to_the_next(file):
    """Two statements with 64 rows each once drove all others out of those that are kept."""
    callers = range(64)
    file.ask(file.numbers, *[lease(f"t{at}", ttl=HOUR) for at in callers])

    def misses(n: int) -> int:
        extends = [settle(Extend(f"t{at}", HOUR), key=Key(f"s{at}", f"d{n}", n)) for at in callers]
        assert {*map(tuple, map(verdicts, file.ask(file.numbers, *extends)))} == {("extended",)}
        return file.engine.files.writer.cache_stats()["misses"]

    first = [misses(n) for n in (1, 2, 3)][-1]
    assert [misses(n) for n in range(4, 9)] == [first] * 5


# -- looking does not stand in the way


def test_a_look_up_does_not_wait_for_who_counts(file):
    file.push("1")
    begun, go_on = threading.Event(), threading.Event()

    def count(browser):
        begun.set()
        go_on.wait()
        return browser.execute("SELECT sum(last - first + 1) FROM run WHERE queue = ?", (file.jobs,)).get

    counted = []
    counting = threading.Thread(target=lambda: counted.append(file.engine.files.readers.browse(count)))
    counting.start()
    begun.wait()
    assert file.engine.row(file.jobs).cursor == 1
    assert file.engine.glance(file.jobs) == (1, 0, 0)
    file.push("2")
    go_on.set()
    counting.join()
    assert counted == [2]  # it began its reading with its first statement


def test_a_reopening_does_not_wait_for_who_counts_for_hours(file):
    begun = threading.Event()
    told = []

    def count(browser):
        begun.set()
        endless = "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        return browser.execute(endless).get

    def counting():
        try:
            file.engine.files.readers.browse(count)
        except LedgerUnavailable as error:
            told.append(str(error))

    thread = threading.Thread(target=counting)
    thread.start()
    begun.wait()
    file.engine.reopen()
    thread.join()
    assert len(told) == 1
    assert file.engine.counts(file.jobs).cursor == 0


# -- the last line of defence

RUN = "INSERT INTO run VALUES ({}, {}, {}, {}, 0, 0, {}, {}, '', {}, {}, {}, 0, 0)"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE counter SET acked = 1",
        "UPDATE counter SET purged = 1",
        "UPDATE counter SET acked = -1",
        "UPDATE counter SET purged = -1",
        "UPDATE counter SET dead = 1",
        "UPDATE counter SET dead = -1",
        RUN.format(1, 0, 3, 0, 0, "NULL", 0, 0, 0),
        RUN.format(1, 3, 2, 0, 0, "NULL", 0, 0, 0),
        RUN.format(1, 1, 1, 3, 0, "NULL", 0, 0, 0),
        RUN.format(1, 1, 1, 0, 0, "'t'", 0, 0, 0),
        RUN.format(1, 1, 1, 1, 1, "NULL", 0, 0, 0),
        RUN.format(1, 1, 1, 2, 1, "'t'", 0, 0, 0),
        RUN.format(1, 1, 1, 0, -1, "NULL", 0, 0, 0),
        RUN.format(1, 1, 1, 0, 0, "NULL", 10, 0, 0),
        RUN.format(1, 1, 1, 0, 0, "NULL", 0, 11, 0),
        RUN.format(1, 1, 1, 0, 0, "NULL", 0, 0, 2),
        "INSERT INTO block (queue, first, last, texts) VALUES (1, 5, 4, '')",
    ],
)
def test_what_can_not_be_true_of_work_is_refused_by_the_database_itself(file, statement):
    with pytest.raises(apsw.ConstraintError):
        file.engine.files.writer.execute(statement)


def test_a_redrive_at_a_rate_makes_no_more_than_ten_runs_a_second(file):
    file.do(Define("jobs", "", "{}"))
    file.push(*map(str, range(1_000)))
    file.claim(1_000)
    file.engine.files.writer.execute("UPDATE run SET state = 2, token = NULL")  # as a thousand burials would
    file.engine.files.writer.execute(f"UPDATE counter SET dead = 1000 WHERE queue = {file.jobs}")
    assert file.do(Redrive(file.jobs, rate=500.0)).count == 1_000
    dues = [due for (due,) in file.see("SELECT due FROM run ORDER BY first")]
    assert [due - dues[0] for due in dues] == [100 * n for n in range(20)]
