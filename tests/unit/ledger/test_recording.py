"""What a transaction has changed, as a store elsewhere is told of it, and how it is done again."""

from __future__ import annotations

import apsw
import pytest
from dibs.ledger.ops import OpFailed
from dibs.ledger.sqlite.recording import Changed, Recording

TABLES = """
CREATE TABLE pair (a INTEGER, b INTEGER, c TEXT, PRIMARY KEY (a, b)) STRICT, WITHOUT ROWID;
CREATE TABLE numbered (id INTEGER PRIMARY KEY, word TEXT UNIQUE, n INTEGER) STRICT;
CREATE TABLE other (x INTEGER) STRICT;
"""
PAIRS = [(1, 1, "one"), (1, 2, "two")]
NUMBERED = [(7, "seven", 0)]


@pytest.fixture
def memory():
    writer = apsw.Connection("")
    writer.execute(TABLES)
    writer.executemany("INSERT INTO pair VALUES (?, ?, ?)", PAIRS)
    writer.executemany("INSERT INTO numbered VALUES (?, ?, ?)", NUMBERED)
    return writer


@pytest.fixture
def recording(memory):
    """Of ``numbered`` another store knows the word, and has no id."""
    return Recording(memory, {"numbered": (("n", "word"), ("word",)), "pair": (("a", "b", "c"), ("a", "b"))})


def changes(memory, recording, *statements):
    recording.begin()
    for statement in statements:
        memory.execute(statement)
    return recording.changes()


def test_rows_that_came_went_and_changed_are_told_table_by_table(memory, recording):
    assert changes(
        memory,
        recording,
        "INSERT INTO pair VALUES (2, 1, 'new')",
        "UPDATE pair SET c = 'TWO' WHERE b = 2",
        "DELETE FROM pair WHERE c = 'one'",
        "INSERT INTO numbered (word, n) VALUES ('eight', 8)",
        "INSERT INTO other VALUES (1)",
    ) == [
        Changed("numbered", [], [(8, "eight")]),
        Changed("pair", [(1, 2), (1, 1)], [(2, 1, "new"), (1, 2, "TWO")]),
    ]


def test_what_is_as_before_in_the_end_is_no_change(memory, recording):
    told = changes(
        memory,
        recording,
        "INSERT INTO pair VALUES (2, 1, 'new')",
        "DELETE FROM pair WHERE a = 2",
        "UPDATE pair SET c = 'TWO' WHERE b = 2",
        "UPDATE pair SET c = 'two' WHERE b = 2",
        "DELETE FROM numbered",
        "INSERT INTO numbered VALUES (7, 'seven', 0)",
    )
    assert (told, recording.empty) == ([], False)
    assert changes(memory, recording) == []
    assert recording.empty


def test_a_row_that_is_replaced_or_gets_another_key_is_gone(memory, recording):
    told = changes(
        memory,
        recording,
        "INSERT OR REPLACE INTO numbered VALUES (9, 'seven', 1)",
        "UPDATE pair SET b = 3 WHERE b = 2",
    )
    assert told == [
        Changed("numbered", [("seven",)], [(1, "seven")]),
        Changed("pair", [(1, 2)], [(1, 3, "two")]),
    ]


def test_what_is_written_in_a_pause_is_not_told(memory, recording):
    recording.begin()
    with recording.paused() as writer:
        writer.execute("DELETE FROM pair")
    memory.execute("INSERT INTO pair VALUES (2, 1, 'new')")
    assert recording.changes() == [Changed("pair", [], [(2, 1, "new")])]
    recording.end()
    memory.execute("DELETE FROM pair")
    assert (recording.empty, recording.changes()) == (True, [])


def undone(memory, recording):
    """What was touched by a transaction that was rolled back."""
    memory.execute("BEGIN")
    changes(
        memory,
        recording,
        "DELETE FROM pair WHERE b = 1",
        "UPDATE pair SET c = 'TWO' WHERE b = 2",
        "INSERT OR REPLACE INTO numbered VALUES (9, 'seven', 1)",
    )
    touched = recording.touched()
    memory.execute("ROLLBACK")
    return touched


def test_what_was_undone_is_done_again_in_the_tables_that_are_named(memory, recording):
    touched = undone(memory, recording)
    assert list(memory.execute("SELECT * FROM pair")) == PAIRS
    recording.redo(touched, {"pair"})
    assert list(memory.execute("SELECT * FROM pair")) == [(1, 2, "TWO")]
    assert list(memory.execute("SELECT * FROM numbered")) == NUMBERED
    assert recording.empty
    recording.redo(touched, {"numbered"})
    assert list(memory.execute("SELECT * FROM numbered")) == [(9, "seven", 1)]


@pytest.mark.parametrize(
    "meanwhile",
    ["DELETE FROM pair WHERE b = 2", "UPDATE pair SET c = '' WHERE b = 1", "DELETE FROM numbered"],
)
def test_it_is_not_done_again_to_other_rows(memory, recording, meanwhile):
    touched = undone(memory, recording)
    memory.execute(meanwhile)
    with pytest.raises(OpFailed, match="not as it was"):
        recording.redo(touched, {"pair", "numbered"})
