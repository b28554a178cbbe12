"""The store of SQLite: verbs on rows; what is written is collected, and is there for whoever reads."""

from __future__ import annotations

from dataclasses import replace

import apsw
import pytest
from dibs.ledger.looks import Kept
from dibs.ledger.ops import OpFailed, QueueRow
from dibs.ledger.sqlite.collected import ROWS, Collected
from dibs.ledger.sqlite.migration import create
from dibs.ledger.sqlite.store import Store
from dibs.ledger.state.rows import DEAD, LEASED, WAITING, Acked, Answer, Failed, Name, Run

NOW = 1_000
KEPT = Kept(NOW, "")
ANSWER = Answer(0, "digest", "{}", None, 2_000, sound=True)


@pytest.fixture
def connection():
    connection = apsw.Connection(":memory:")
    create(connection)
    yield connection
    connection.close()


@pytest.fixture
def store(connection):
    store = Store(connection)
    for name in ("a", "b"):
        store.queues.create(QueueRow(0, name, 1, "", "{}", NOW, None, False, None, None, None, None, 0, 0, 0))
    return store


@pytest.fixture
def statements(connection):
    """The statements that were executed, each as often as it was, without what it was given."""
    seen: list[str] = []
    connection.exec_trace = lambda cursor, statement, values: seen.append(statement.split()[0]) or True
    return seen


def run(first, last, state=WAITING, token=None, due=NOW + 1, **more):
    parts = {"ttl": 1, "attempt": 1, "worker": "w", "priority": 0, "history": 0, "kept": 0, "most": 1}
    return Run(first, last, state, due, token=token, **{**parts, **more})


def leased(first, last, token, **more):
    return run(first, last, LEASED, token, **more)


# -- what is collected


def test_nothing_is_written_before_somebody_reads(store, statements):
    for first in (1, 2, 3):
        store.runs.insert(1, leased(first, first, "t"))
    assert statements == []
    assert [held.first for held in store.runs.held(1, "t", NOW)] == [1, 2, 3]
    assert statements == ["INSERT", "SELECT"]


def test_a_row_is_removed_before_another_takes_its_place(store):
    store.runs.insert(1, leased(1, 5, "t"))
    store.write()
    store.runs.insert(1, leased(1, 2, "u"))
    store.runs.remove(1, 1)
    assert store.runs.held(1, "t", NOW) == []
    assert store.runs.held(1, "u", NOW) == [leased(1, 2, "u")]


def test_a_change_keeps_what_a_run_never_changes(store):
    store.runs.insert(1, leased(1, 5, "t", priority=3, kept=1))
    store.write()
    store.runs.change(1, leased(1, 2, "u", due=NOW + 9, attempt=2, history=1, most=4))
    expected = leased(1, 2, "u", due=NOW + 9, attempt=2, history=1, most=4, priority=3, kept=1)
    assert store.runs.held(1, "u", NOW) == [expected]


def test_what_must_change_a_row_and_does_not_fails(connection, store):
    collected = Collected(connection, "DELETE FROM run WHERE queue = ?", "nothing of it is there")
    collected.add((1,))
    with pytest.raises(OpFailed, match="nothing of it is there"):
        collected.write()


# -- runs


def test_tokens_of_many_queues_are_acked_by_one_statement(store, statements):
    store.runs.insert(1, leased(1, 2, "t", kept=1))
    store.runs.insert(1, leased(5, 5, "t", history=2))
    store.runs.insert(1, leased(6, 6, "late", due=NOW))
    store.runs.insert(2, leased(1, 1, "u"))
    store.runs.insert(2, leased(2, 2, "t"))  # of the other queue: not meant
    acked = store.runs.ack([(1, "t"), (2, "u"), (1, "late"), (1, "never")], NOW)
    assert sorted(acked) == [
        Acked(1, "t", 1, 2, 0, 1, "w"),
        Acked(1, "t", 5, 5, 2, 0, "w"),
        Acked(2, "u", 1, 1, 0, 0, "w"),
    ]
    assert statements.count("DELETE") == 1
    assert [row.first for row in store.runs.within(1, 1, 9, 9)] == [6]
    assert [row.first for row in store.runs.within(2, 1, 9, 9)] == [2]


def test_one_token_is_acked_by_a_statement_of_its_own(store):
    store.runs.insert(2, leased(3, 4, "t"))
    assert store.runs.ack([(1, "t")], NOW) == []
    assert store.runs.ack([(2, "t")], NOW) == [Acked(2, "t", 3, 4, 0, 0, "w")]


@pytest.mark.parametrize("many", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_however_many_rows_are_inserted_and_tokens_acked_none_is_left_out(store, statements, many):
    for first in range(1, many + 1):
        store.runs.insert(1, leased(first, first, f"t{first}"))
    acked = store.runs.ack([(1, f"t{first}") for first in range(1, many + 1)], NOW)
    assert sorted(run.first for run in acked) == list(range(1, many + 1))
    assert store.runs.within(1, 1, many, 9) == []
    assert statements.count("INSERT") == statements.count("DELETE") == -(-many // ROWS)


@pytest.mark.parametrize(
    ("one", "spent"),
    [
        (leased(1, 1, "t", due=NOW, attempt=10), True),
        (leased(1, 1, "t", due=NOW, attempt=9), False),
        (leased(1, 1, "t", due=NOW + 1, attempt=10), False),
        (leased(1, 1, "t", due=NOW, attempt=10, most=2), False),
        (leased(1, 1, "t", due=NOW, attempt=10, most=0), True),
        (run(1, 1, due=NOW, attempt=10), False),
        (run(1, 1, DEAD, due=NOW, attempt=10), False),
    ],
)
def test_sql_and_python_agree_about_what_is_dead_and_not_written_so(store, one, spent):
    store.runs.insert(1, one)
    row, _ = store.queues.by_id(1)
    assert one.spent(NOW, row.settings) is spent
    assert store.runs.spent(1, NOW, 9) == ([one] if spent else [])
    assert bool(store.runs.leased_or_spent(1, NOW)) is (spent or (one.due > NOW and one.state == LEASED))
    assert list(store.runs.inside(1, "dead", 0, NOW)) == ([one] if spent or one.state == DEAD else [])


# -- blocks


def test_a_block_goes_with_the_last_run_that_overlaps_it(store):
    for first in (1, 11, 21):
        store.blocks.insert(1, first, first + 9, b"x", KEPT)
    store.runs.insert(1, run(1, 12))
    store.blocks.gone(1, 21, 30)
    store.blocks.gone(1, 13, 20)
    store.write()
    assert [block.first for block in store.blocks.read(1, 1)] == [1, 11]
    store.runs.remove(1, 1)
    store.blocks.gone(1, 1, 12)
    store.write()
    assert list(store.blocks.read(1, 1)) == []


def test_a_block_that_is_not_what_was_kept_is_not_sound(connection, store):
    store.blocks.insert(1, 1, 9, b"x", KEPT)
    store.blocks.insert(1, 10, 19, b"y", KEPT)
    store.write()
    connection.execute("UPDATE block SET texts = CAST('z' AS BLOB) WHERE first = 10")
    assert [block.sound for block in store.blocks.read(1, 5)] == [True, False]
    assert store.blocks.after(1, 5).sound is False
    assert store.blocks.after(1, 10) is None


# -- failures, keys of items


def test_an_item_that_failed_and_is_done_leaves_no_failure(connection, store):
    store.failures.add(1, Failed(1, 3, 1, NOW, "w", "boom", 0))
    store.failures.forget(1, 2, 2)
    store.failures.trim(1, 1, 3)
    store.write()
    assert connection.execute("SELECT seq FROM failure ORDER BY seq").fetchall() == [(1,), (3,)]


def test_of_an_item_the_last_ten_failures_stay(connection, store):
    for attempt in range(1, 13):
        store.failures.add(1, Failed(7, 7, attempt, NOW, "w", "boom", 0))
    store.failures.trim(1, 7, 7)
    store.write()
    assert [n for (n,) in connection.execute("SELECT attempt FROM failure ORDER BY id")] == [*range(3, 13)]


def test_keys_are_known_at_once_and_until_they_are_forgotten(store, statements):
    store.item_keys.learn(1, 1, [("x", 1), ("y", 2)], NOW + 1)
    assert store.item_keys.known(1, 1, ["x", "y", "z"], NOW) == {"x": 1, "y": 2}
    assert store.item_keys.known(2, 1, ["x"], NOW) == {}
    assert "INSERT" not in statements
    store.write()
    assert store.item_keys.known(1, 1, ["x"], NOW) == {"x": 1}
    assert store.item_keys.known(1, 1, ["x"], NOW + 1) == {}
    store.item_keys.learn(1, 1, [("z", 3)], NOW + 1)
    store.item_keys.forget(1, [(2, 3)])
    assert store.item_keys.known(1, 1, ["x", "y", "z"], NOW) == {"x": 1}


# -- answers


def test_many_keys_are_looked_up_at_once(store, statements):
    names = [Name(1, 1, "", "k"), Name(2, 1, "", "k"), Name(1, 2, "", "k"), Name(1, 1, "me", "7")]
    for name in names[:3]:
        store.answers.file(name, ANSWER._replace(outcome=f'"{name.queue}.{name.generation}"'))
    found = store.answers.find(names)
    assert {name: answer.outcome for name, answer in found.items()} == {
        names[0]: '"1.1"',
        names[1]: '"2.1"',
        names[2]: '"1.2"',
    }
    assert statements.count("SELECT") == 1
    assert store.answers.find(names[3:]) == store.answers.find([]) == {}


def test_of_two_answers_under_a_key_the_later_stays(store):
    name = Name(1, 1, "", "k")
    store.answers.file(name, ANSWER)
    store.write()
    store.answers.file(name, ANSWER._replace(outcome="1"))
    store.answers.file(name, ANSWER._replace(outcome="2", expires=9_000))
    answer = store.answers.find([name])[name]
    assert (answer.outcome, answer.expires, answer.sound) == ("2", 9_000, True)


@pytest.mark.parametrize("expires", [2_000, 5_000])
def test_an_answer_takes_the_place_of_another_by_its_row(store, expires):
    name = Name(1, 1, "", "k")
    store.answers.file(name, ANSWER)
    before = store.answers.find([name])[name]
    after = before._replace(request="next", outcome="[1]", values='["v"]', expires=expires)
    store.answers.refile(name, after, n=before.n, longer=expires != before.expires)
    assert store.answers.find([name]) == {name: after}
    assert before.id == after.id > 0
    assert after.sound


def test_an_answer_that_is_not_what_was_filed_is_not_sound(connection, store):
    name = Name(1, 1, "", "k")
    store.answers.file(name, ANSWER)
    store.write()
    connection.execute("UPDATE answer SET outcome = '[]'")
    assert store.answers.find([name])[name].sound is False


# -- queues, and all of it


def test_counters_move_only_from_where_they_were(store):
    store.queues.move((5, 1, 0, 0, 0, 0, "m", 7, 1, 0))
    store.write()
    row, dead = store.queues.by_id(1)
    assert (row.cursor, row.taken, row.mark, dead) == (5, 1, "m", 0)
    store.queues.move((9, 1, 0, 0, 0, 0, None, 8, 1, 4))
    with pytest.raises(OpFailed, match="the cursor of a queue is not where"):
        store.write()


def test_what_a_row_says_is_written_without_its_counters(store):
    row, _ = store.queues.by_name("b")
    changed = replace(row, paused=True, ending="failed", failure_type="T", failure_message="m", generation=2)
    store.queues.change(replace(changed, cursor=99))
    store.write()
    assert store.queues.by_id(row.id) == (changed, 0)


def test_a_deleted_queue_is_swept_slice_by_slice(store):
    for first in (1, 2, 3):
        store.runs.insert(1, run(first, first))
        store.blocks.insert(1, first, first, b"x", KEPT)
    assert store.sweep(1, 2) == [2, 2, 0, 0, 0]
    assert store.sweep(1, 2) == [1, 1, 0, 0, 0]
    assert store.sweep(1, 2) == [0, 0, 0, 0, 0]


def test_pruning_takes_what_has_expired_a_share_at_a_time(store):
    for key in "abc":
        store.answers.file(Name(1, 1, "", key), ANSWER)
    store.item_keys.learn(1, 1, [("x", 1)], 2_000)
    store.write()
    assert store.prune(1_999, 2) == 0
    assert [store.prune(2_000, 2) for _ in range(3)] == [2, 1, 0]
