"""Serve: fresh items of computed sources, and of what was drawn."""

from __future__ import annotations

import pytest
from asks import block, lease, take
from dibs.ledger.ops import Advance, Close, Delete, Fail, OpFailed, Pause, Retry
from dibs.ledger.serve import Ask, Drawn, End, Handed, Key, Serve, Served
from dibs.ledger.work import Ack, Span, Sweep
from dibs.marks import digest


def spans(outcomes) -> list:
    return [None if served.handed is None else tuple(served.handed.spans[0][:2]) for served in outcomes]


def whys(outcomes) -> list:
    return [served.why for served in outcomes]


# -- computed sources


def test_fresh_items_go_to_the_asks_in_their_order(ledger):
    queue = ledger.define().id
    now = ledger.engine.now()
    first, second, third = ledger.round(queue, take(), lease("t", 3), block(5), length=100)
    assert first == Served((), Handed((Span(1, 1),), fresh=True))
    assert second == Served((), Handed((Span(2, 4),), None, "t", now + 30_000, fresh=True))
    assert third == Served((), Handed((Span(5, 9),), fresh=True))
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.mark) == (9, 6, None)
    assert ledger.inside(queue) == {2: "leased", 3: "leased", 4: "leased"}


def test_exhausted_is_recorded_with_the_last_item_and_told_when_nothing_is_inside(ledger):
    queue = ledger.define().id
    outcomes = ledger.round(queue, take(2), lease("t"), take(), length=3)
    assert (spans(outcomes), whys(outcomes)) == ([(1, 2), (3, 3), None], [None, None, "empty"])
    assert [served.state for served in outcomes] == ["open", "exhausted", "exhausted"]
    assert ledger.engine.row(queue).ending == "exhausted"
    acked, gone = ledger.round(queue, Ask(None, (Ack("t"),)), take(), length=3)
    assert (acked.entries[0][0].verdict, gone.why, gone.state) == ("acked", "exhausted", "exhausted")


def test_a_source_of_no_values_is_exhausted_at_once_and_asked_or_not(ledger):
    queue = ledger.define().id
    assert ledger.round(queue, length=0) == ()
    assert ledger.engine.row(queue).ending == "exhausted"


def test_an_ask_gets_what_is_left_and_the_next_one_nothing(ledger):
    queue = ledger.define().id
    assert spans(ledger.round(queue, take(10), take(10), length=12)) == [(1, 10), (11, 12)]
    assert whys(ledger.round(queue, take(), block(1), length=12)) == ["exhausted", "exhausted"]


def test_the_edition_does_not_matter_where_nothing_is_drawn(ledger):
    queue = ledger.define().id
    ledger.do(Advance(queue, 7))
    assert spans(ledger.round(queue, take(), edition=1, length=100)) == [(8, 8)]


@pytest.mark.parametrize(
    ("op", "why", "state"),
    [(Pause, "paused", "paused"), (Close, "exhausted", "closed"), (Delete, "deleted", "open")],
)
def test_a_queue_that_gives_nothing_says_why(ledger, op, why, state):
    queue = ledger.define().id
    ledger.do(op(queue, True) if op is Pause else op(queue))
    outcomes = ledger.round(queue, take(), block(1), Ask(None, (Ack("t"),)), length=100)
    assert whys(outcomes)[:2] == [why, why]
    assert [served.state for served in outcomes] == [state] * 3
    assert outcomes[2].entries[0][0].verdict == "stale"
    assert ledger.engine.row(queue).cursor == 0


def test_a_block_is_of_computed_values_only(ledger):
    queue = ledger.define(source="lines").id
    with pytest.raises(OpFailed):
        ledger.engine.apply([Serve(queue, 1, (block(3),), Drawn(1, ("1", "2")))])
    assert ledger.engine.row(queue).cursor == 0


# -- drawn sources


def test_a_prefix_of_what_was_drawn_is_granted(ledger):
    queue = ledger.define(source="lines").id
    outcomes = ledger.round(
        queue, take(2), lease("t", 2), take(), drawn=Drawn(1, ('"a"', '"b"', '"c"', '"d"'))
    )
    assert spans(outcomes) == [(1, 2), (3, 4), None]
    assert [served.handed and served.handed.values for served in outcomes] == [
        ('"a"', '"b"'),
        ('"c"', '"d"'),
        None,
    ]
    assert outcomes[2] == Served(why="dry")
    assert [item.text for item in ledger.items(queue)] == ['"c"', '"d"']


def test_what_is_granted_already_is_passed_over_wherever_the_cursor_stands(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2", "3", "4"))
    assert ledger.round(queue, take(3), drawn=drawn)[0].handed.values == ("1", "2", "3")
    assert ledger.round(queue, take(3), drawn=drawn)[0].handed.values == ("4",)
    assert whys(ledger.round(queue, take(3), drawn=drawn)) == ["dry"]
    assert ledger.round(queue, take(), drawn=Drawn(4, ("4", "5")))[0].handed.values == ("5",)


def test_the_room_of_an_ask_bounds_its_values_and_one_always_fits(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ('"äää"', '"bbb"', '"c"'))
    outcomes = ledger.round(queue, take(3, room=8), lease("t", 3, room=1), take(3), drawn=drawn)
    assert [served.handed.values for served in outcomes] == [('"äää"',), ('"bbb"',), ('"c"',)]


@pytest.mark.parametrize(("mark", "kept"), [("digest", digest('"b"')), ("text", "b"), (None, None)])
def test_the_mark_is_of_the_last_that_was_granted(ledger, mark, kept):
    queue = ledger.define(source="lines").id
    ledger.round(queue, take(2), drawn=Drawn(1, ('"a"', '"b"', '"c"'), mark=mark))
    assert ledger.engine.row(queue).mark == kept
    ledger.round(queue, Ask(None, (Ack("t"),)), drawn=Drawn(1, ('"a"', '"b"', '"c"'), mark=mark))
    assert ledger.engine.row(queue).mark == kept


def test_the_end_counts_once_all_before_it_is_granted(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2"), End("failed", "ValueError", "no"))
    assert spans(ledger.round(queue, take(), drawn=drawn)) == [(1, 1)]
    assert ledger.engine.row(queue).ending is None
    outcomes = ledger.round(queue, take(), take(), drawn=drawn)
    assert (spans(outcomes), whys(outcomes)) == ([(2, 2), None], [None, "failed"])
    assert [served.state for served in outcomes] == ["failed", "failed"]
    row = ledger.engine.row(queue)
    assert (row.ending, row.failure_type, row.failure_message) == ("failed", "ValueError", "no")
    assert row.failure_place is None


def test_the_place_of_a_failure_is_kept_until_it_is_lifted(ledger):
    queue = ledger.define(source="lines").id
    ledger.round(queue, take(), drawn=Drawn(1, (), End("failed", "ValueError", "no", "jöbs.py:41, in rows")))
    assert ledger.engine.row(queue).failure_place == "jöbs.py:41, in rows"
    ledger.restart()
    assert ledger.engine.row(queue).failure_place == "jöbs.py:41, in rows"
    ledger.do(Fail(queue, "source-invalid", "another cause"))
    assert ledger.engine.row(queue).failure_place is None
    ledger.do(Retry(queue))
    ledger.round(queue, take(), drawn=Drawn(1, (), End("failed", "ValueError", "no", "jobs.py:1, in rows")))
    ledger.do(Retry(queue))
    row = ledger.engine.row(queue)
    assert (row.ending, row.failure_place) == (None, None)


def test_an_end_is_recorded_without_any_ask_and_on_a_paused_queue(ledger):
    queue = ledger.define(source="lines").id
    ledger.do(Pause(queue, True))
    assert whys(ledger.round(queue, take(), drawn=Drawn(1, (), End("exhausted")))) == ["paused"]
    assert ledger.engine.row(queue).ending == "exhausted"


@pytest.mark.parametrize("operate", [lambda q: Advance(q, 2), Close, Retry])
def test_values_drawn_for_another_edition_are_not_granted(ledger, operate):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2", "3"))
    ledger.round(queue, lease("t"), drawn=drawn)
    if operate is Retry:
        ledger.round(queue, drawn=Drawn(1, ("1",), End("failed", "E", "m")))
    ledger.do(operate(queue))
    why = "empty" if operate is Close else "moved"
    acked, refused = ledger.round(queue, Ask(None, (Ack("t"),)), take(), edition=1, drawn=drawn)
    assert (acked.entries[0][0].verdict, refused.why) == ("acked", "exhausted" if operate is Close else why)


def test_waiting_items_go_on_where_fresh_ones_are_of_another_edition(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2", "3"))
    ledger.round(queue, lease("t", ttl=1_000), drawn=drawn)
    ledger.do(Advance(queue, 5))
    ledger.time.pass_(1_000)
    outcomes = ledger.round(queue, take(), take(), edition=1, drawn=drawn)
    assert (spans(outcomes), whys(outcomes)) == ([(1, 1), None], [None, "moved"])


def test_values_without_seqs_are_granted_past_those_of_their_opening(ledger):
    queue = ledger.define(source="snowflake").id
    drawn = Drawn(1, ("11", "12", "13", "14"), mark="text", opening=1)
    assert ledger.round(queue, take(2), drawn=drawn)[0].handed == Handed(
        (Span(1, 2),), ("11", "12"), fresh=True
    )
    ledger.do(Advance(queue, 10))  # does not reopen such a source
    later = Drawn(2, ("12", "13", "14"), mark="text", opening=1)  # the buffer has dropped one so far
    [served] = ledger.round(queue, take(), drawn=later)
    assert served.handed == Handed((Span(11, 11),), ("13",), fresh=True)
    assert ledger.engine.row(queue).mark == "13"
    anew = Drawn(1, ("21",), mark="text", opening=2)
    assert ledger.round(queue, take(), drawn=anew)[0].handed.values == ("21",)
    assert whys(ledger.round(queue, take(), drawn=drawn)) == ["moved"]  # that opening is over


def test_a_batch_that_failed_has_granted_nothing_of_an_opening(ledger):
    queue = ledger.define(source="snowflake").id
    drawn = Drawn(1, ("11", "12", "13"), opening=1)
    ledger.round(queue, take(), drawn=drawn)
    with pytest.raises(OpFailed):
        ledger.engine.apply([Serve(queue, 1, (take(),), drawn), "no op"])
    assert ledger.round(queue, take(), drawn=drawn)[0].handed.values == ("12",)
    ledger.engine.reopen()
    assert ledger.round(queue, take(), drawn=drawn)[0].handed.values == ("13",)


# -- a row in whose place another has come


@pytest.mark.parametrize("again", ["reset", "created again", "another source"])
def test_asks_of_a_row_that_was_replaced_are_moved_also_when_it_has_gone(ledger, again):
    first = ledger.define("q", "lines").id
    ledger.do(Delete(first))
    queue = ledger.define("q", "lines").id
    drawn = Drawn(1, ("1",))
    if again != "another source":
        assert spans(ledger.round(queue, lease("t"), drawn=drawn)) == [(1, 1)]
    if again == "created again":
        ledger.do(Delete(queue))
        assert whys(ledger.round(queue, take(), drawn=drawn)) == ["deleted"]
    row = ledger.define("q", "count", reset=again == "reset")
    served = ledger.round(queue, take(), Ask(None, (Ack("t"),)), drawn=drawn)
    assert whys(served) == ["moved", "moved"]
    assert served[1].entries[0][0].verdict == "stale"
    while ledger.do(Sweep(queue)).rest is not None:
        pass
    assert ledger.engine.row(queue) is None
    asks = take(), Ask(None, (Ack("t"),))
    applied = ledger.engine.apply([Serve(queue, 1, asks, drawn), Serve(99, 1, asks)])
    assert [whys(outcomes) for outcomes in applied.outcomes] == [["moved", "moved"]] * 2
    assert applied.after == {}
    assert spans(ledger.round(row.id, take(), length=9)) == [(row.base + 1, row.base + 1)]


def test_the_keys_of_a_queue_are_those_of_the_one_created_in_its_place(ledger):
    queue = ledger.define().id
    ask = take()._replace(key=Key("k", "take"))
    [first] = ledger.round(queue, ask, length=9)
    ledger.do(Delete(queue))
    [again] = ledger.round(queue, ask, length=9)
    anew = ledger.define().id
    [and_again] = ledger.round(anew, ask, length=9)
    assert first.handed.spans == again.handed.spans == and_again.handed.spans == (Span(1, 1),)
    assert (again.replayed, and_again.replayed) == (True, True)
    [other] = ledger.round(ledger.define(reset=True).id, ask, length=9)
    assert (other.handed.spans, other.replayed) == ((Span(1, 1),), False)
