"""Together or not at all; the prefix rule; counters that each move by their own."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Advance, Close, Define, Delete, OpFailed, Pause, Retry, SourceEnd, Take


def test_all_of_a_batch_is_there_with_an_outcome_each(ledger):
    outcomes = ledger.engine.apply([Define("a", "count", "{}"), Define("b", "range", '{"stop": 3}')])
    assert [(row.id, row.name, row.source, row.args) for row in outcomes] == [
        (1, "a", "count", "{}"),
        (2, "b", "range", '{"stop": 3}'),
    ]
    assert ledger.engine.rows() == outcomes


def test_a_take_has_no_outcome_who_drew_knows(ledger):
    queue = ledger.define().id
    assert ledger.engine.apply([Take(queue, 1, 2), Pause(queue, True)])[0] is None


def test_a_new_queue_is_open_at_zero(ledger):
    row = ledger.define("jobs", "lines", '{"path": "f"}')
    assert (row.generation, row.cursor, row.taken, row.jumped) == (1, 0, 0, 0)
    assert (row.paused, row.ending, row.failure_type, row.mark, row.deleted_at) == (
        False,
        None,
        None,
        None,
        None,
    )
    assert row.created_at == ledger.engine.now()


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_one_op_at_fault_undoes_its_whole_batch_wherever_it_stands(ledger, under, place):
    a, b = ledger.define("a").id, ledger.define("b").id
    batch = [Take(a, 1, 2, remember=under("k")), Pause(b, True), Define("c", "count", "{}")]
    batch.insert(place, Take(b, 7, 1))
    ledger.refuses(*batch)
    assert ledger.engine.recall(a, 1, "", "k") is None
    ledger.do(Take(a, 1, 1))  # and the engine works on


def test_an_op_on_a_queue_that_is_not_there_is_at_fault(ledger):
    for op in (
        Take(9, 1, 1),
        Take(9, 1, 0, end=SourceEnd("exhausted")),
        Pause(9, True),
        Close(9),
        Retry(9),
        Advance(9, 5),
        Delete(9),
    ):
        ledger.refuses(op)


def test_nothing_to_apply_is_nothing(ledger):
    assert ledger.engine.apply([]) == []


@pytest.mark.parametrize("first", [0, 1, 2, 4, 100])
def test_a_take_starts_where_the_cursor_stands_and_nowhere_else(ledger, first):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 2))
    ledger.refuses(Take(queue, first, 1))
    ledger.do(Take(queue, 3, 1))
    assert ledger.engine.row(queue).cursor == 3


def test_a_second_take_of_the_same_items_undoes_the_first_in_one_batch(ledger):
    queue = ledger.define().id
    ledger.refuses(Take(queue, 1, 1), Take(queue, 1, 1))


def test_a_hole_between_two_takes_undoes_both(ledger):
    queue = ledger.define().id
    ledger.refuses(Take(queue, 1, 2), Take(queue, 4, 1))


def test_a_take_moves_the_cursor_and_what_is_taken_by_its_count(ledger):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1_000_000, mark="m"))
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.jumped, row.mark) == (1_000_000, 1_000_000, 0, "m")


def test_the_mark_is_that_of_the_last_take(ledger):
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 1, mark="a"), Take(queue, 2, 1, mark="b")])
    assert ledger.engine.row(queue).mark == "b"
    ledger.do(Take(queue, 3, 1))
    assert ledger.engine.row(queue).mark is None


def test_a_jump_is_counted_as_jumped_and_the_counters_add_up(ledger):
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 3), Advance(queue, 10), Take(queue, 11, 2, mark="n")])
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.jumped, row.mark) == (12, 5, 7, "n")


@pytest.mark.parametrize("to_seq", [3, 2, 0])
def test_a_jump_goes_forward_only(ledger, to_seq):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3))
    ledger.refuses(Advance(queue, to_seq))


def test_takes_that_share_a_transaction_equal_takes_one_by_one(new_ledger, under):
    """Takes of one queue that follow each other move its cursor once; nobody can tell from outside."""

    def batch(a: int, b: int) -> list:
        return [
            Take(a, 1, 1, mark="x"),
            Take(b, 1, 5, remember=under("k")),
            Take(a, 2, 3, mark="y", remember=under("k")),
            Pause(a, True),
            Take(a, 5, 1, mark="z"),
            Advance(b, 9),
            Take(b, 10, 2, end=SourceEnd("failed", "ValueError", "no")),
            Take(a, 6, 0),
            Take(a, 6, 1, end=SourceEnd("exhausted")),
        ]

    together, singly = new_ledger(), new_ledger()
    results = []
    for ledger in (together, singly):
        a, b = ledger.define("a").id, ledger.define("b").id
        ops = batch(a, b)
        if ledger is together:
            ledger.engine.apply(ops)
        else:
            for op in ops:
                ledger.do(op)
        results.append((ledger.engine.rows(), [ledger.engine.recall(q, 1, "", "k") for q in (a, b)]))
        ledger.close()
    assert results[0] == results[1]


def test_a_take_behind_the_end_in_the_same_batch_is_at_fault(ledger):
    queue = ledger.define().id
    ledger.refuses(Take(queue, 1, 1, end=SourceEnd("exhausted")), Take(queue, 2, 1))


def test_a_count_below_zero_is_at_fault_and_does_not_move_the_cursor_back(ledger):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3))
    ledger.refuses(Take(queue, 4, -1))


def test_what_no_engine_can_store_is_the_op_s_fault_and_the_engine_works_on(ledger):
    queue = ledger.define().id
    with pytest.raises((OpFailed, ValueError, OverflowError)):
        ledger.do(Take(queue, 1, 2**63))
    with pytest.raises((OpFailed, ValueError)):
        ledger.do(Take(queue, 1, 0, end=SourceEnd("failed", "E", "\ud800")))
    with pytest.raises(OpFailed):
        ledger.do(Take(queue, 1, 2**53))
    ledger.do(Take(queue, 1, 2**53 - 1))
    assert ledger.engine.row(queue).taken == 2**53 - 1
