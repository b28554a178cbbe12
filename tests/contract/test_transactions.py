"""Together or not at all; counters that each move by their own."""

from __future__ import annotations

import pytest
from asks import take
from dibs.ledger.ops import Advance, Define, OpFailed
from dibs.ledger.serve import Drawn, End
from words import apply, serve


def test_all_of_a_batch_is_there_with_an_outcome_each(ledger):
    outcomes = apply(ledger.engine, Define("a", "count", "{}"), Define("b", "range", '{"stop": 3}'))
    assert [(row.id, row.name, row.source, row.args) for row in outcomes] == [
        (1, "a", "count", "{}"),
        (2, "b", "range", '{"stop": 3}'),
    ]
    assert tuple(ledger.engine.rows()) == outcomes


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


def test_a_batch_of_nothing_is_nothing(ledger):
    assert apply(ledger.engine) == ()


def test_a_jump_is_counted_as_jumped_and_the_counters_add_up(ledger):
    queue = ledger.define().id
    ledger.take(queue, 3)
    apply(ledger.engine, serve(ledger.engine, queue, take(2), length=99), Advance(queue, 10))
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.jumped) == (12, 5, 7)


@pytest.mark.parametrize("to_seq", [3, 2, 0])
def test_a_jump_goes_forward_only(ledger, to_seq):
    queue = ledger.define().id
    ledger.take(queue, 3)
    ledger.conflicts(Advance(queue, to_seq), "not-forward")


def test_what_no_engine_can_store_is_the_op_s_fault_and_the_engine_works_on(ledger):
    queue = ledger.define(source="lines").id
    for drawn in (Drawn(1, ("1",), End("failed", "E", "\ud800")), Drawn(1, ('"\ud800"',), None, "text")):
        ledger.refuses(serve(ledger.engine, queue, take(), drawn=drawn))
    with pytest.raises((OpFailed, OverflowError)):
        ledger.do(Advance(queue, 2**63))
    assert ledger.round(queue, take(), drawn=Drawn(1, ("1",)))[0].handed.values == ("1",)


def test_a_queue_ends_at_the_last_seq_that_every_reader_of_json_keeps(ledger):
    queue = ledger.define().id
    assert ledger.take(queue, 2**63).handed.spans == ((1, 2**53 - 1, 1),)
    row = ledger.engine.row(queue)
    assert (row.taken, row.ending) == (2**53 - 1, "exhausted")
