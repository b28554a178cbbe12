"""Answers that formats 1 to 3 have filed are given again as today's answers."""

from __future__ import annotations

import json

import apsw
import pytest
from asks import lease, settle, take
from dibs.ledger.ops import Define, QueueRow
from dibs.ledger.serve import Handed, Key, Keyed, Replay, Serve, Served
from dibs.ledger.sqlite.checksum import of_answer
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import Ack, Moved, Parcel, Purge, Push, Pushed, Settled, Span

NEVER = 2**63 - 1
COUNT = ["count", '{"step":5}']


@pytest.fixture
def filed(folder):
    """File answers under keys, as rows had them, in the queue of the folder; open it then."""
    engines = []

    def file(*answers: tuple[str, dict, list[str] | None]) -> SqliteEngine:
        with apsw.Connection(str(folder / "dibs.db")) as file:
            for key, outcome, values in answers:
                texts = None if values is None else json.dumps(values)
                row = (1, 1, "", key, "d", json.dumps({"wide": False, **outcome}), texts, NEVER)
                columns = "queue, generation, caller, key, request, outcome, item_values, expires, crc"
                file.execute(
                    f"INSERT INTO answer ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*row, of_answer(*row)),
                )
        file.close()
        engines.append(SqliteEngine(folder))
        return engines[-1]

    yield file
    for engine in engines:
        engine.close()


def numbers(start: int, stop: int, step: int) -> tuple[str, str]:
    return "range", json.dumps({"start": start, "stop": stop, "step": step})


HANDED = {
    "numbers taken": (
        {"first": 4, "ending": None, "start": 25, "stop": 40, "step": 5},
        None,
        Handed((Span(4, 6),), source=numbers(10, 40, 5)),
    ),
    "numbers that go down": (
        {"first": 3, "ending": "exhausted", "start": -7, "stop": -19, "step": -3},
        None,
        Handed((Span(3, 6),), source=numbers(-1, -19, -3)),
    ),
    "texts taken": (
        {"first": 7, "ending": None},
        ['"a"', "1"],
        Handed((Span(7, 8),), ('"a"', "1")),
    ),
    "numbers leased": (
        {
            "first": 5,
            "ending": None,
            "due": 1_000,
            "work": ["claimed", [], 1_000, None],
            "token": "t",
            "start": 30,
            "stop": 40,
            "step": 5,
        },
        None,
        Handed((Span(5, 6),), None, "t", 1_000, numbers(10, 40, 5)),
    ),
    "texts claimed": (
        {"work": ["claimed", [[1, 2, 1], [5, 5, 3]], 1_000, 0], "given": True, "token": "t"},
        ["1", "2", "3"],
        Handed((Span(1, 2), Span(5, 5, 3)), ("1", "2", "3"), "t", 1_000),
    ),
    "numbers claimed for good": (
        {"work": ["claimed", [[5, 5, 2]], None, 0], "computed": COUNT},
        [],
        Handed((Span(5, 5, 2),), source=tuple(COUNT)),
    ),
}


@pytest.mark.parametrize(("outcome", "values", "handed"), HANDED.values(), ids=HANDED)
def test_what_was_handed_out_is_told_again(filed, outcome, values, handed):
    engine = filed(("k", outcome, values))
    [[again]] = engine.apply([Serve(1, 1, (take(1, Key("k", "d")),))]).outcomes
    assert again == Served((), handed, None, outcome.get("ending") or "open", True)


def test_wide_numbers_are_those_of_a_wide_count(filed):
    outcome = {"first": 4, "ending": None, "wide": True, "start": 25, "stop": 26, "step": 5}
    [[again]] = filed(("k", outcome, None)).apply([Serve(1, 1, (take(1, Key("k", "d")),))]).outcomes
    assert again.handed.source == ("count", json.dumps({"start": 10, "step": 5, "max": 2**53}))


SETTLED = {
    "with a lease of texts": (
        {
            "work": ["settlement", [[["acked", 1, 2, None]]], ["claimed", [[3, 3, 1]], 1_000, 0], []],
            "given": True,
            "token": "t",
        },
        ["3"],
        Handed((Span(3, 3),), ("3",), "t", 1_000),
    ),
    "with a lease of numbers": (
        {
            "work": [
                "settlement",
                [[["acked", 1, 2, None]]],
                ["claimed", [[5, 5, 2]], 1_000, 0],
                [[1, 0, 1]],
            ],
            "token": "t",
            "computed": COUNT,
        },
        [],
        Handed((Span(5, 5, 2),), None, "t", 1_000, tuple(COUNT)),
    ),
    "with a lease of fresh numbers": (
        {
            "first": 4,
            "ending": None,
            "due": 1_000,
            "work": ["settlement", [[["acked", 1, 2, None]]], ["claimed", [], 1_000, None], []],
            "token": "t",
            "start": 4,
            "stop": 6,
            "step": 1,
        },
        None,
        Handed((Span(4, 5),), None, "t", 1_000, numbers(1, 6, 1)),
    ),
}


@pytest.mark.parametrize(("outcome", "values", "handed"), SETTLED.values(), ids=SETTLED)
def test_what_was_settled_is_told_again_with_its_lease(filed, outcome, values, handed):
    engine = filed(("k", outcome, values))
    want = settle(Ack("t"), key=Key("k", "d"), then=lease("u"))
    [[again]] = engine.apply([Serve(1, 1, (want,))]).outcomes
    assert again == Served(((Settled("acked", 1, 2),),), handed, None, "open", True)


def test_a_lease_that_a_settling_had_waited_for_stands_beside_it(filed):
    alone = {"work": ["settlement", [[["nacked", 1, 1, 7], ["refused", 2, 2, None, "full", "b"]]], None, []]}
    lent = {"work": ["claimed", [[4, 4, 1]], 1_000, 0], "given": True, "token": "t"}
    engine = filed(("k", alone, []), ("k\n", lent, ["4"]), ("l", alone, []))
    entries = ((Settled("nacked", 1, 1, 7), Settled("refused", 2, 2, None, "full", "b")),)
    asks = [settle(Ack("t"), key=Key(key, "d"), then=then) for key in "kl" for then in (None, lease("u"))]
    for ask, handed in zip(asks, (None, Handed((Span(4, 4),), ("4",), "t", 1_000), None, None), strict=True):
        [[again]] = engine.apply([Serve(1, 1, (ask,))]).outcomes
        assert (again.entries, again.handed, again.replayed) == (entries, handed, True)


def test_what_was_pushed_and_moved_and_defined_is_told_again(filed):
    row = {"id": 1, "name": "q", "generation": 1, "source": "count", "args": "{}", "created_at": 5}
    row |= dict.fromkeys(("deleted_at", "ending", "failure_type", "failure_message", "mark"))
    row |= {"paused": False, "cursor": 0, "taken": 0, "jumped": 0, "settings": {"max_attempts": 3}}
    engine = filed(
        ("push", {"work": ["pushed", {"from": 1, "to": 7}, [], 5, None, 0]}, []),
        ("keys", {"work": ["pushed", [4, 9, 4], [2], 5, None, 0]}, []),
        ("purge", {"work": ["moved", 2, None]}, []),
        ("define", {**row, "start": 0, "stop": 0, "step": 1}, None),
    )
    push = Push(1, (Parcel(("1",)),))
    ops = {"push": push, "keys": push, "purge": Purge(1, ("dead",)), "define": Define("q", "count", "{}")}
    found = engine.apply([Keyed(op, Key(key, "d")) for key, op in ops.items()]).outcomes
    assert found == (
        Replay(Pushed(range(1, 7), (), 5)),
        Replay(Pushed((4, 9, 4), (2,), 5)),
        Replay(Moved(2)),
        Replay(QueueRow.of(row)),
    )


def test_an_unfinished_purge_goes_on(filed):
    engine = filed(("purge", {"work": ["moved", 7, None, 2, 3]}, []))
    purge = Keyed(Purge(1, ("waiting",)), Key("purge", "d"))
    assert engine.apply([purge]).outcomes == (Moved(7),)
    assert engine.apply([purge]).outcomes == (Replay(Moved(7)),)
