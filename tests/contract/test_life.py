"""The life of a queue: endings stay, a retry lifts a failure, a tombstone goes on, a reset begins anew."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Advance, Close, Define, Delete, Fail, Pause, Retry, SourceEnd, Take
from dibs.ledger.work import Parcel, Push

EXHAUSTED = SourceEnd("exhausted")
FAILED = SourceEnd("failed", "ValueError", "item 4 is bad")


def ended(row) -> tuple:
    return row.ending, row.failure_type, row.failure_message


@pytest.mark.parametrize(
    ("end", "seen"),
    [(EXHAUSTED, ("exhausted", None, None)), (FAILED, ("failed", "ValueError", "item 4 is bad"))],
)
@pytest.mark.parametrize("count", [0, 2])
def test_a_source_ends_with_or_without_last_items(ledger, end, seen, count):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3))
    ledger.do(Take(queue, 4, count, end=end))
    row = ledger.engine.row(queue)
    assert ended(row) == seen
    assert row.cursor == row.taken == 3 + count


@pytest.mark.parametrize("first", [3, 5])
def test_an_end_is_recorded_at_the_cursor_only(ledger, first):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3))
    ledger.refuses(Take(queue, first, 0, end=EXHAUSTED))


@pytest.mark.parametrize("end", [EXHAUSTED, FAILED, "closed"])
def test_nothing_is_taken_or_jumped_after_an_ending(ledger, end):
    queue = ledger.define().id
    ledger.do(Close(queue) if end == "closed" else Take(queue, 1, 0, end=end))
    ledger.refuses(Take(queue, 1, 1))
    ledger.refuses(Advance(queue, 4))


@pytest.mark.parametrize(("first", "second"), [(EXHAUSTED, FAILED), (FAILED, EXHAUSTED)])
def test_an_ending_is_not_exchanged_for_another(ledger, first, second):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 0, end=first))
    ledger.refuses(Take(queue, 1, 0, end=second))


@pytest.mark.parametrize("end", [EXHAUSTED, FAILED])
def test_the_same_end_may_be_recorded_twice(ledger, end):
    """Two draws may both meet it before the first is on disk."""
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 0, end=end), Take(queue, 1, 0, end=end)])
    assert ledger.engine.row(queue).ending == end.ending


@pytest.mark.parametrize("end", [None, EXHAUSTED, FAILED])
def test_closed_is_the_last_word(ledger, end):
    queue = ledger.define().id
    if end:
        ledger.do(Take(queue, 1, 0, end=end))
    assert ended(ledger.do(Close(queue))) == ("closed", None, None)
    ledger.refuses(Retry(queue))
    ledger.refuses(Take(queue, 1, 0, end=EXHAUSTED))
    assert ended(ledger.do(Close(queue))) == ("closed", None, None)


def test_a_retry_lifts_a_failure_and_the_queue_goes_on_after_its_cursor(ledger):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3, mark="m", end=FAILED))
    row = ledger.do(Retry(queue))
    assert ended(row) == (None, None, None)
    assert (row.cursor, row.mark) == (3, "m")
    ledger.do(Take(queue, 4, 1))


@pytest.mark.parametrize("end", [None, EXHAUSTED])
def test_only_a_failure_can_be_retried(ledger, end):
    queue = ledger.define().id
    if end:
        ledger.do(Take(queue, 1, 0, end=end))
    ledger.refuses(Retry(queue))


@pytest.mark.parametrize("end", [EXHAUSTED, FAILED])
def test_a_pause_lifts_no_ending(ledger, end):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 0, end=end))
    ledger.do(Pause(queue, True))
    assert ledger.do(Pause(queue, False)).ending == end.ending


def test_pause_and_resume_may_be_said_twice(ledger):
    queue = ledger.define().id
    assert [ledger.do(Pause(queue, on)).paused for on in (True, True, False, False)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_tombstone_keeps_name_cursor_and_generation(ledger):
    queue = ledger.define("old", reset=True).id
    ledger.do(Take(queue, 1, 3))
    ledger.time.pass_(50)
    row = ledger.do(Delete(queue))
    assert (row.name, row.cursor, row.taken, row.generation) == ("old", 3, 3, 1)
    assert row.deleted_at == ledger.engine.now()
    assert ledger.engine.rows() == [row]


def test_nothing_happens_in_a_deleted_queue(ledger):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 1, end=FAILED))
    ledger.do(Delete(queue))
    for op in (
        Take(queue, 2, 1),
        Take(queue, 2, 0, end=FAILED),
        Pause(queue, True),
        Close(queue),
        Retry(queue),
        Advance(queue, 5),
        Delete(queue),
    ):
        ledger.refuses(op)


def test_defined_again_it_goes_on_after_the_cursor(ledger):
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 3, mark="m"), Advance(queue, 5, keeps_mark=True), Pause(queue, True)])
    ledger.engine.apply([Close(queue), Delete(queue)])
    ledger.time.pass_(50)
    row = ledger.define()
    assert (row.id, row.root, row.generation, row.edition) == (queue + 1, queue, 1, 1)
    assert (row.base, row.cursor, row.taken, row.jumped) == (5, 5, 0, 0)
    assert (row.paused, row.ending, row.deleted_at) == (False, None, None)
    assert (row.mark, row.created_at) == ("m", ledger.engine.now())
    ledger.refuses(Take(row.id, 1, 1))
    ledger.refuses(Take(queue, 6, 1))
    ledger.do(Take(row.id, 6, 1))
    ledger.balanced(row.id)
    assert ledger.engine.rows() == [ledger.engine.row(row.id)]  # the newest row of a name is the queue


def test_a_mark_means_nothing_to_another_source(ledger):
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 3, mark="m"), Delete(queue)])
    row = ledger.define("q", "lines", '{"path": "f"}')
    assert (row.source, row.args, row.cursor, row.mark) == ("lines", '{"path": "f"}', 3, None)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_reset_begins_the_next_generation_at_zero(ledger, deleted):
    queue = ledger.define().id
    ledger.engine.apply([Take(queue, 1, 3, mark="m"), Advance(queue, 5), Pause(queue, True)])
    ledger.do(Take(queue, 6, 0, end=FAILED))
    if deleted:
        ledger.do(Delete(queue))
    ledger.time.pass_(50)
    row = ledger.define("q", "range", '{"stop": 4}', reset=True)
    assert (row.id, row.root, row.generation, row.edition) == (queue + 1, queue, 2, 1)
    assert (row.source, row.args) == ("range", '{"stop": 4}')
    assert (row.base, row.cursor, row.taken, row.jumped, row.mark) == (0, 0, 0, 0, None)
    assert (row.paused, row.deleted_at, row.created_at) == (False, None, ledger.engine.now())
    assert ended(row) == (None, None, None)
    ledger.do(Take(row.id, 1, 1))


def test_a_reset_of_what_never_was_is_a_first_generation(ledger):
    assert ledger.define("new", reset=True).generation == 1


def test_a_definition_may_change_while_nothing_was_handed_out(ledger):
    queue = ledger.define().id
    row = ledger.define("q", "range", '{"stop": 4}')
    assert (row.id, row.root, row.source, row.args) == (queue + 1, queue, "range", '{"stop": 4}')
    assert (row.generation, row.edition, row.cursor) == (1, 1, 0)


def test_a_source_that_was_empty_may_be_exchanged(ledger):
    queue = ledger.define("q", "range", '{"stop": 0}').id
    ledger.do(Take(queue, 1, 0, end=EXHAUSTED))
    assert ended(ledger.define("q", "range", '{"stop": 4}')) == (None, None, None)


@pytest.mark.parametrize("spent", [Take(1, 1, 1), Advance(1, 3)], ids=["taken", "jumped"])
def test_a_definition_stands_once_the_cursor_moved(ledger, spent):
    ledger.define()
    ledger.do(spent)
    ledger.refuses(Define("q", "range", '{"stop": 4}'))


def test_names_are_told_apart_exactly(ledger):
    ids = {ledger.define(name).id for name in ("a", "a.", "a-", "a_", "b")}
    assert len(ids) == 5


@pytest.mark.parametrize("end", [None, EXHAUSTED, FAILED])
def test_whatever_is_not_closed_can_fail_and_be_retried(ledger, end):
    queue = ledger.define().id
    ledger.do(Take(queue, 1, 3, end=end))
    row = ledger.do(Fail(queue, "source-changed", "it is another one"))
    assert (*ended(row), row.cursor) == ("failed", "source-changed", "it is another one", 3)
    ledger.refuses(Take(queue, 4, 1))
    assert ended(ledger.do(Retry(queue))) == (None, None, None)
    ledger.do(Close(queue))
    ledger.refuses(Fail(queue, "source-changed", "closed is the last word"))
    ledger.do(Delete(queue))
    ledger.refuses(Fail(queue, "source-changed", "there is none"))


def test_what_is_not_confirmed_deletes_nothing_that_is_inside(ledger):
    queue = ledger.jobs("1")
    more = Push(queue, (Parcel(("2",)),))  # in the same transaction, too
    _, conflict = ledger.engine.apply_batch([more, Delete(queue, confirmed=False)]).outcomes
    row = conflict.row
    assert (conflict.why, row.deleted_at, row.inside, row.cursor) == ("not-empty", None, 2, 2)
    ledger.claim(queue, 2, None)
    assert ledger.do(Delete(queue, confirmed=False)).deleted_at is not None


def test_what_is_not_confirmed_resets_nothing_that_is_inside(ledger, under):
    queue = ledger.jobs("1")
    reset = Define("jobs", "", "{}", reset=True, remember=under("k"), confirmed=False)
    more = Push(queue, (Parcel(("2",)),))  # in the same transaction, too
    _, conflict = ledger.engine.apply_batch([more, reset]).outcomes
    row = conflict.row
    assert (conflict.why, row.generation, row.inside, row.cursor) == ("not-empty", 1, 2, 2)
    assert ledger.engine.recall(queue, 1, "", "k") is None
    ledger.claim(queue, 2, None)
    row = ledger.do(reset)
    assert (row.generation, row.cursor) == (2, 0)
    ledger.push(row.id, "1")
    ledger.do(Delete(row.id))
    assert ledger.do(reset).generation == 3  # nothing of a deleted queue is left to be dropped
