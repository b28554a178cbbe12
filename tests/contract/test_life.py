"""The life of a queue: endings stay, a retry lifts a failure, a tombstone goes on, a reset begins anew."""

from __future__ import annotations

import pytest
from asks import take
from dibs.ledger.ops import Advance, Close, Define, Delete, Fail, Pause, Retry
from dibs.ledger.serve import Drawn, End, Key, Keyed, Serve
from dibs.ledger.work import Parcel, Push
from words import apply, drawn

EXHAUSTED = End("exhausted")
FAILED = End("failed", "ValueError", "item 4 is bad")


def ended(row) -> tuple:
    return row.ending, row.failure_type, row.failure_message


@pytest.fixture
def ends(ledger):
    """Let the source of a queue end, with or without last items."""

    def ends(queue: int, end: End | None, count: int = 0) -> None:
        texts = tuple(map(str, range(count)))
        ledger.round(queue, *[take(count)] * bool(count), drawn=drawn(ledger.engine, queue, *texts, end=end))

    return ends


@pytest.mark.parametrize(
    ("end", "seen"),
    [(EXHAUSTED, ("exhausted", None, None)), (FAILED, ("failed", "ValueError", "item 4 is bad"))],
)
@pytest.mark.parametrize("count", [0, 2])
def test_a_source_ends_with_or_without_last_items(ledger, ends, end, seen, count):
    queue = ledger.define().id
    ledger.take(queue, 3)
    ends(queue, end, count)
    row = ledger.engine.row(queue)
    assert ended(row) == seen
    assert row.cursor == row.taken == 3 + count


@pytest.mark.parametrize("end", [EXHAUSTED, FAILED, "closed"])
def test_nothing_is_taken_or_jumped_after_an_ending(ledger, ends, end):
    queue = ledger.define(source="lines").id
    if end == "closed":
        ledger.do(Close(queue))
    else:
        ends(queue, end)
    [served] = ledger.round(queue, take(), drawn=Drawn(1, ("1",)))
    assert served.why == ("failed" if end is FAILED else "exhausted")
    ledger.conflicts(Advance(queue, 4), "ended")


@pytest.mark.parametrize(("first", "second"), [(EXHAUSTED, FAILED), (FAILED, EXHAUSTED), (FAILED, FAILED)])
def test_an_ending_is_not_exchanged_for_another(ledger, ends, first, second):
    queue = ledger.define().id
    ends(queue, first)
    before = ledger.all()
    ends(queue, second)
    assert ledger.all() == before


@pytest.mark.parametrize("end", [None, EXHAUSTED, FAILED])
def test_closed_is_the_last_word(ledger, ends, end):
    queue = ledger.define().id
    ends(queue, end)
    assert ended(ledger.do(Close(queue))) == ("closed", None, None)
    ledger.conflicts(Retry(queue), "not-failed")
    ends(queue, EXHAUSTED)
    assert ended(ledger.do(Close(queue))) == ("closed", None, None)


def test_a_retry_lifts_a_failure_and_the_queue_goes_on_after_its_cursor(ledger):
    queue = ledger.define(source="lines").id
    ledger.round(queue, take(3), drawn=Drawn(1, ("1", "2", '"m"'), FAILED, "text"))
    row = ledger.do(Retry(queue))
    assert ended(row) == (None, None, None)
    assert (row.cursor, row.mark, row.edition) == (3, "m", 2)
    [served] = ledger.round(queue, take(), drawn=Drawn(4, ("4",)))
    assert served.handed.spans == ((4, 4, 1),)


@pytest.mark.parametrize("end", [None, EXHAUSTED])
def test_only_a_failure_can_be_retried(ledger, ends, end):
    queue = ledger.define().id
    ends(queue, end)
    ledger.conflicts(Retry(queue), "not-failed")


@pytest.mark.parametrize("end", [EXHAUSTED, FAILED])
def test_a_pause_lifts_no_ending(ledger, ends, end):
    queue = ledger.define().id
    ends(queue, end)
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
    ledger.take(queue, 3)
    ledger.time.pass_(50)
    row = ledger.do(Delete(queue))
    assert (row.name, row.cursor, row.taken, row.generation) == ("old", 3, 3, 1)
    assert row.deleted_at == ledger.engine.now()
    assert ledger.engine.rows() == [row]


def test_nothing_happens_in_a_deleted_queue(ledger, ends):
    queue = ledger.define().id
    ends(queue, FAILED, 1)
    ledger.do(Delete(queue))
    for op in (Pause(queue, True), Close(queue), Retry(queue), Advance(queue, 5), Delete(queue)):
        ledger.conflicts(op, "deleted")
    before = ledger.all()
    ends(queue, EXHAUSTED)
    [served] = ledger.round(queue, take(), drawn=Drawn(2, ("2",)))
    assert (served.why, ledger.all()) == ("deleted", before)


def test_an_op_on_a_queue_that_never_was_is_told_so(ledger):
    for op in (Pause(9, True), Close(9), Retry(9), Advance(9, 5), Delete(9)):
        ledger.conflicts(op, "deleted")


def test_defined_again_it_goes_on_after_the_cursor(ledger):
    queue = ledger.define(source="snowflake").id
    ledger.round(queue, take(3), drawn=Drawn(1, ("1", "2", '"m"'), mark="text", opening=1))
    apply(ledger.engine, Advance(queue, 5, keeps_mark=True), Pause(queue, True), Close(queue), Delete(queue))
    ledger.time.pass_(50)
    row = ledger.define(source="snowflake")
    assert (row.id, row.root, row.generation, row.edition) == (queue + 1, queue, 1, 1)
    assert (row.base, row.cursor, row.taken, row.jumped) == (5, 5, 0, 0)
    assert (row.paused, row.ending, row.deleted_at) == (False, None, None)
    assert (row.mark, row.created_at) == ("m", ledger.engine.now())
    fresh = Drawn(1, ("1",), opening=2)
    assert [ledger.round(one, take(), drawn=fresh)[0].why for one in (queue, row.id)] == ["moved", None]
    assert ledger.engine.row(row.id).cursor == 6
    assert ledger.engine.rows() == [ledger.engine.row(row.id)]  # the newest row of a name is the queue


def test_a_mark_means_nothing_to_another_source(ledger):
    queue = ledger.define(source="jsonl").id
    ledger.round(queue, take(3), drawn=Drawn(1, ("1", "2", "3"), mark="digest"))
    assert ledger.do(Delete(queue)).mark is not None
    row = ledger.define("q", "lines", '{"path": "f"}')
    assert (row.source, row.args, row.cursor, row.mark) == ("lines", '{"path": "f"}', 3, None)


@pytest.mark.parametrize("deleted", [True, False])
def test_a_reset_begins_the_next_generation_at_zero(ledger, ends, deleted):
    queue = ledger.define().id
    ledger.round(queue, take(3), drawn=Drawn(1, ("1", "2", "3"), mark="text"))
    apply(ledger.engine, Advance(queue, 5, keeps_mark=True), Pause(queue, True))
    ends(queue, FAILED)
    if deleted:
        ledger.do(Delete(queue))
    ledger.time.pass_(50)
    row = ledger.define("q", "range", '{"stop": 4}', reset=True)
    assert (row.id, row.root, row.generation, row.edition) == (queue + 1, queue, 2, 1)
    assert (row.source, row.args) == ("range", '{"stop": 4}')
    assert (row.base, row.cursor, row.taken, row.jumped, row.mark) == (0, 0, 0, 0, None)
    assert (row.paused, row.deleted_at, row.created_at) == (False, None, ledger.engine.now())
    assert ended(row) == (None, None, None)
    assert ledger.take(row.id).handed.spans == ((1, 1, 1),)


def test_a_reset_of_what_never_was_is_a_first_generation(ledger):
    assert ledger.define("new", reset=True).generation == 1


def test_a_definition_may_change_while_nothing_was_handed_out(ledger):
    queue = ledger.define().id
    row = ledger.define("q", "range", '{"stop": 4}')
    assert (row.id, row.root, row.source, row.args) == (queue + 1, queue, "range", '{"stop": 4}')
    assert (row.generation, row.edition, row.cursor) == (1, 1, 0)


def test_a_source_that_was_empty_may_be_exchanged(ledger, ends):
    queue = ledger.define("q", "range", '{"stop": 0}').id
    ends(queue, EXHAUSTED)
    assert ended(ledger.define("q", "range", '{"stop": 4}')) == (None, None, None)


@pytest.mark.parametrize("spent", [Serve(1, 1, (take(),), length=9), Advance(1, 3)], ids=["taken", "jumped"])
def test_a_definition_stands_once_the_cursor_moved(ledger, spent):
    ledger.define()
    ledger.do(spent)
    ledger.conflicts(Define("q", "range", '{"stop": 4}'), "source-changed")


def test_names_are_told_apart_exactly(ledger):
    ids = {ledger.define(name).id for name in ("a", "a.", "a-", "a_", "b")}
    assert len(ids) == 5


@pytest.mark.parametrize("end", [None, EXHAUSTED, FAILED])
def test_whatever_is_not_closed_can_fail_and_be_retried(ledger, ends, end):
    queue = ledger.define().id
    ends(queue, end, 3)
    row = ledger.do(Fail(queue, "source-changed", "it is another one"))
    assert (*ended(row), row.cursor) == ("failed", "source-changed", "it is another one", 3)
    assert ledger.take(queue).why == "failed"
    assert ended(ledger.do(Retry(queue))) == (None, None, None)
    ledger.do(Close(queue))
    ledger.conflicts(Fail(queue, "source-changed", "closed is the last word"), "ended")
    ledger.do(Delete(queue))
    ledger.conflicts(Fail(queue, "source-changed", "there is none"), "deleted")


def test_what_is_not_confirmed_deletes_nothing_that_is_inside(ledger):
    queue = ledger.jobs("1")
    more = Push(queue, (Parcel(("2",)),))  # in the same transaction, too
    _, conflict = apply(ledger.engine, more, Delete(queue, confirmed=False))
    row = conflict.row
    assert (conflict.why, row.deleted_at, row.inside, row.cursor) == ("not-empty", None, 2, 2)
    ledger.claim(queue, 2, None)
    assert ledger.do(Delete(queue, confirmed=False)).deleted_at is not None


def test_what_is_not_confirmed_resets_nothing_that_is_inside(ledger):
    queue = ledger.jobs("1")
    reset = Define("jobs", "", "{}", reset=True, confirmed=False)
    keyed = Keyed(reset, Key("k", "reset"))
    more = Push(queue, (Parcel(("2",)),))  # in the same transaction, too
    _, conflict = apply(ledger.engine, more, keyed)
    row = conflict.row
    assert (conflict.why, row.generation, row.inside, row.cursor) == ("not-empty", 1, 2, 2)
    ledger.claim(queue, 2, None)
    row = ledger.do(keyed)  # a refusal is not filed
    assert (row.generation, row.cursor) == (2, 0)
    ledger.push(row.id, "1")
    ledger.do(Delete(row.id))
    assert ledger.do(reset).generation == 3  # nothing of a deleted queue is left to be dropped
