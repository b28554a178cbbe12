"""The gate's table: what a queue's state says to who asks, and what an op in the line already takes away."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dibs.errors import QueueExhausted, QueueFailed, QueuePaused, QueueStarting, QueueUnknown
from dibs.ledger.ops import Advance, Close, Define, Delete, Pause, QueueRow, Retry, Take
from dibs.queue.gate import Gate

ROW = QueueRow(1, "q", 1, "count", "{}", 0, None, False, None, None, None, None, 7, 7, 0)
FAILED = replace(ROW, ending="failed", failure_type="ValueError", failure_message="bad")


def gate(row: QueueRow = ROW, *, starting: bool = False) -> Gate:
    return Gate.of(row, starting=starting)


@pytest.mark.parametrize(
    ("row", "starting", "state", "refusal", "comes_back"),
    [
        (ROW, False, "open", None, False),
        (ROW, True, "starting", QueueStarting, True),
        (replace(ROW, paused=True), False, "paused", QueuePaused, True),
        (replace(ROW, paused=True), True, "paused", QueuePaused, True),
        (replace(ROW, ending="exhausted"), False, "exhausted", QueueExhausted, False),
        (replace(ROW, ending="exhausted", paused=True), True, "exhausted", QueueExhausted, False),
        (replace(ROW, ending="closed"), False, "closed", QueueExhausted, False),
        (FAILED, False, "failed", QueueFailed, False),
        (replace(FAILED, paused=True), True, "failed", QueueFailed, False),
        (replace(ROW, deleted_at=5), False, "open", QueueUnknown, False),
        (replace(FAILED, deleted_at=5), False, "failed", QueueUnknown, False),
    ],
)
def test_the_table(row, starting, state, refusal, comes_back):
    seen = gate(row, starting=starting)
    assert seen.state == state
    answer = seen.refusal()
    assert type(answer) is (refusal or type(None))
    if answer is not None:
        assert (answer.retry_after is not None) == comes_back


def test_a_failure_is_told_with_its_cause_and_the_seq_that_was_not_given():
    answer = gate(FAILED).refusal()
    assert (answer.cause_type, answer.cause_message, answer.seq) == ("ValueError", "bad", 8)
    assert str(answer) == "the source of q failed at item 8: ValueError: bad"


def test_each_caller_gets_a_refusal_of_its_own():
    shut = gate(replace(ROW, paused=True))
    assert shut.refusal() is not shut.refusal()


STATES = [
    ROW,
    replace(ROW, paused=True),
    replace(ROW, ending="exhausted"),
    FAILED,
    replace(ROW, deleted_at=5),
]
OPS = [
    Pause(1, True),
    Pause(1, False),
    Close(1),
    Delete(1),
    Retry(1),
    Define("q", "count", "{}"),
    Advance(1, 7, 9),
    Take(1, 8, 1),
]


@pytest.mark.parametrize("op", OPS, ids=lambda op: f"{type(op).__name__}-{getattr(op, 'paused', '')}")
@pytest.mark.parametrize("starting", [False, True])
@pytest.mark.parametrize("row", STATES)
def test_an_op_in_the_line_never_opens_a_gate(row, starting, op):
    before = gate(row, starting=starting)
    assert before.refusal() is None or before.foreseen(op).refusal() is not None


@pytest.mark.parametrize("op", [Pause(1, True), Close(1), Delete(1), Define("q", "count", "{}")])
def test_an_op_in_the_line_shuts_it_at_once(op):
    assert gate().foreseen(op).refusal() is not None


@pytest.mark.parametrize("op", [Pause(1, False), Advance(1, 7, 9), Take(1, 8, 1)])
def test_others_leave_it_open(op):
    assert gate().foreseen(op).refusal() is None
