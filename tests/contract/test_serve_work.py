"""Serve: entries, waiting items, and asks of all kinds in one batch."""

from __future__ import annotations

import pytest
from asks import LENGTH, block, lease, seqs, settle, take, verdicts
from dibs.ledger.clock import LedgerClock
from dibs.ledger.looks import FailureRow
from dibs.ledger.ops import Close, Define, Pause
from dibs.ledger.serve import Drawn, End, Serve
from dibs.ledger.sqlite.engine import SqliteEngine
from dibs.ledger.work import Ack, Extend, Nack, Parcel, Push, QueueSettings, Release, Result

HALF_A_MINUTE = 30_000


def handed(outcomes) -> list:
    return [seqs(served) for served in outcomes]


# -- entries, then hand-outs


def test_what_entries_free_goes_to_asks_that_stood_in_line_before(ledger):
    queue = ledger.jobs("1", "2")
    ledger.round(queue, lease("t", 2))
    first, freed = ledger.round(queue, lease("u"), settle(Release("t", ((2, 2),)), Ack("t", ((1, 1),))))
    assert (seqs(first), verdicts(freed)) == ([2], ["released", "acked"])
    assert [item.attempt for item in ledger.items(queue)] == [1]


def test_each_ask_settles_its_own_entries_in_their_order(ledger):
    queue = ledger.jobs(*"123456", max_attempts=1)
    ledger.round(queue, lease("t", 3), lease("u", 3))
    outcomes = ledger.round(
        queue,
        settle(Ack("t", ((1, 1),)), Nack("t", ((2, 2),), 5, "no"), Extend("t", 60_000, ((3, 3),))),
        settle(Ack("t"), Ack("t")),
        settle(Ack("u", ((4, 9),))),
        settle(Release("u", ((4, 4), (5, 5)))),
    )
    assert [verdicts(served) for served in outcomes] == [
        ["acked", "dead", "extended"],
        ["acked", "stale"],
        ["acked", "stale"],
        ["stale"],
    ]
    assert ledger.inside(queue) == {2: "dead"}


def test_whole_acks_of_all_queues_are_one_statement(ledger, monkeypatch):
    queues = [ledger.jobs(*"1234", name=name) for name in "ab"]
    for queue in queues:
        ledger.round(queue, *[lease(f"t{n}") for n in range(4)])
    acks = []
    runs = ledger.store.runs
    monkeypatch.setattr(runs, "ack", lambda held, now: acks.append(held) or type(runs).ack(runs, held, now))
    asks = [settle(Ack("t0")), settle(Ack("t1"), Ack("t2")), settle(Ack("t3", ((4, 4),)), Ack("t3"))]
    outcomes = ledger.engine.apply([Serve(queue, 1, tuple(asks)) for queue in queues]).outcomes
    assert [[verdicts(served) for served in each] for each in outcomes] == [
        [["acked"], ["acked", "acked"], ["acked", "stale"]]
    ] * 2
    assert acks == [[(queue, token) for queue in queues for token in ("t0", "t1", "t2")]]


def test_results_are_there_for_other_asks_of_the_batch(ledger):
    jobs, done = ledger.jobs("1"), ledger.jobs(name="done")
    ledger.round(jobs, lease("t"))
    ack = settle(Ack("t", None, (Result("done", '"r"', key="k"), Result("done", '"late"', 1_000))))
    applied = ledger.engine.apply([Serve(done, 1, (take(9),)), Serve(jobs, 1, (ack,))])
    [[got], [acked]] = applied.outcomes
    assert (got.handed.values, verdicts(acked)) == (('"r"',), ["acked"])
    assert applied.after[done].next_due == ledger.engine.now() + 1_000


def test_a_queue_that_only_got_results_is_told_too(ledger):
    jobs, done = ledger.jobs("1"), ledger.jobs(name="done")
    ledger.round(jobs, lease("t"))
    ack = settle(Ack("t", None, (Result("done", '"r"', 500),)))
    applied = ledger.engine.apply([Serve(jobs, 1, (ack,))])
    assert (applied.after[done].cursor, applied.after[done].next_due) == (1, ledger.engine.now() + 500)


# -- a caller that hears stale hears of a change on disk


@pytest.mark.parametrize("entry", [Ack("t"), Nack("t"), Extend("t", 9_000), Release("t", ((1, 1),))])
def test_what_expired_alone_has_failed_once_its_holder_is_told(ledger, entry):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t", ttl=1_000))
    due = ledger.engine.now() + 1_000
    ledger.time.pass_(1_500)
    assert verdicts(ledger.round(queue, settle(entry))[0]) == ["stale"]
    [item] = ledger.items(queue)
    assert (item.state, item.attempt, item.due, item.worker) == ("waiting", 1, due, "ann")
    assert ledger.engine.failures(queue, 1) == [FailureRow(1, due, "ann", "the lease expired", due - 1_000)]
    assert handed(ledger.round(queue, lease("u"))) == [[1]]
    assert [item.attempt for item in ledger.items(queue)] == [2]
    assert len(ledger.engine.failures(queue, 1)) == 1


def test_what_expired_at_its_last_attempt_is_dead_once_its_holder_is_told(ledger):
    queue = ledger.jobs("1", max_attempts=1)
    ledger.round(queue, lease("t", ttl=1_000))
    ledger.time.pass_(1_000)
    [served] = ledger.round(queue, settle(Ack("t"), then=take()))
    assert (verdicts(served), served.why) == (["stale"], "empty")
    assert ledger.dead(queue) == [1]
    assert ledger.engine.row(queue).inside == 1


def test_what_expired_together_comes_back_in_halves_after_its_holder_is_told(ledger):
    queue = ledger.jobs(*"12345678")
    ledger.round(queue, lease("t", 8, ttl=1_000))
    ledger.time.pass_(1_000)
    [stale] = ledger.round(queue, settle(Ack("t", ((2, 2),)), Ack("t")))
    assert verdicts(stale) == ["stale", "stale"]
    outcomes = ledger.round(queue, lease("u", 9), lease("v", 2), take(1), lease("w", 9))
    assert handed(outcomes) == [[1, 2, 3, 4], [5, 6], [7], [8]]
    assert {span.attempt for served in outcomes[:2] for span in served.handed.spans} == {1}


def test_a_lease_that_was_told_stale_is_not_live_again_after_a_crash_that_lost_the_time(folder):
    """The clock on disk is that of the start, which would take the lease for live, were its token there."""
    now = [10**12]

    def clock(persisted):
        return LedgerClock(persisted, wall=lambda: now[0] * 10**6, monotonic=lambda: now[0] * 10**6)

    engine = SqliteEngine(folder, clock=clock)
    queue = engine.apply([Define("jobs", "", "{}"), Push(2, (Parcel(("1",)),))]).outcomes[0].id
    engine.apply([Serve(queue, 1, (lease("t", ttl=500),))])
    now[0] += 600  # less than a second: the clock was not written meanwhile
    [[stale]] = engine.apply([Serve(queue, 1, (settle(Ack("t")),))]).outcomes
    assert verdicts(stale) == ["stale"]
    copied = folder.parent / "copied"
    copied.mkdir()
    engine.backup(str(copied / "dibs.db"))
    now[0] -= 600
    again = SqliteEngine(copied, clock=clock)
    [[acked]] = again.apply([Serve(queue, 1, (settle(Ack("t")),))]).outcomes
    assert verdicts(acked) == ["stale"]
    again.close()
    engine.close()


# -- waiting items


def test_one_look_serves_asks_of_any_kind_in_claim_order(ledger):
    queue = ledger.jobs(*"123456789")
    outcomes = ledger.round(queue, lease("t", 2), take(3), lease("u"), take(), lease("v", 9), take())
    assert handed(outcomes) == [[1, 2], [3, 4, 5], [6], [7], [8, 9], None]
    assert outcomes[-1].why == "empty"
    row = ledger.engine.row(queue)
    assert (row.taken, row.inside) == (4, 5)
    assert [item.text for item in ledger.items(queue)] == ["1", "2", "6", "8", "9"]


def test_an_answer_of_neighbours_that_were_pushed_one_by_one_is_one_run(ledger):
    queue = ledger.jobs()
    for text in "1234":
        ledger.push(queue, text)
    first, second = ledger.round(queue, lease("t", 3), lease("u", 3))
    assert (first.handed.spans, second.handed.spans) == (((1, 3, 1),), ((4, 4, 1),))
    rows = ledger.engine.files.readers.look("SELECT first, last, most FROM run")
    assert rows == [(1, 3, 3), (4, 4, 1)]


def test_each_ask_has_room_of_its_own(ledger):
    queue = ledger.jobs('"aaaa"', '"bbbb"', '"cc"', '"ää"', '"e"')
    outcomes = ledger.round(queue, lease("t", 3, room=12), take(9, room=1), lease("u", 9, room=9))
    assert handed(outcomes) == [[1, 2], [3], [4, 5]]
    assert outcomes[2].handed.values == ('"ää"', '"e"')


def test_waiting_and_fresh_are_never_mixed_in_an_answer(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2", "3", "4", "5"))
    ledger.round(queue, lease("t", 2), drawn=drawn)
    outcomes = ledger.round(queue, settle(Release("t")), take(5), take(5), drawn=drawn)
    assert handed(outcomes) == [None, [1, 2], [3, 4, 5]]
    assert [served.handed.fresh for served in outcomes[1:]] == [False, True]


def test_a_block_is_fresh_even_where_something_waits(ledger):
    queue = ledger.define().id
    ledger.round(queue, lease("t", 2), length=10)
    outcomes = ledger.round(queue, settle(Release("t")), block(3), take(1), take(9), take(9), length=10)
    assert handed(outcomes) == [None, [3, 4, 5], [1], [2], [6, 7, 8, 9, 10]]


def test_takes_for_good_get_what_expired_together_and_leases_halves(ledger):
    queue = ledger.jobs(*"12345678")
    ledger.round(queue, lease("t", 6, ttl=1_000))
    ledger.time.pass_(1_000)
    outcomes = ledger.round(queue, lease("u", 9), take(1), take(1), lease("v", 9))
    assert handed(outcomes) == [[7, 8], [1], [2], [3, 4, 5]]  # what was pushed is due before what expired


def test_damaged_values_are_passed_by(ledger):
    queue = ledger.jobs()
    for n in range(3):
        ledger.push(queue, f'"{n}' + "x" * 3_000 + '"')
    ledger.change("UPDATE block SET texts = x'00' WHERE first = 1")
    first, second, third = ledger.round(queue, take(), lease("t"), take())
    assert (handed((first, second)), third.why) == ([[2], [3]], "empty")
    assert ledger.dead(queue) == [1]


# -- what is not asked for is not looked at


@pytest.fixture
def statements(ledger):
    """The statements that read, from here on; but not those that only collect what was changed."""
    seen: list[str] = []

    def trace(cursor, statement, values) -> bool:
        if statement.lstrip().startswith(("SELECT", "WITH")):
            seen.append(statement)
        return True

    ledger.engine.files.writer.exec_trace = trace
    return seen


def test_takes_from_a_queue_with_nothing_inside_read_nothing(ledger, statements):
    queue = ledger.define().id
    serve = Serve(queue, 1, (take(), lease("t"), block(3)), length=LENGTH)
    ledger.engine.apply([serve])
    statements.clear()
    ledger.engine.apply([serve._replace(asks=(take(), lease("u"), block(3)))])
    assert statements == []


def test_nothing_is_claimed_before_something_is_due(ledger, statements):
    queue = ledger.jobs("1", "2")
    ledger.engine.apply([Serve(queue, 1, (lease("t", 2), take()))])
    statements.clear()
    for _ in range(3):
        applied = ledger.engine.apply([Serve(queue, 1, (take(),))])
        assert applied.after[queue].next_due == applied.now + HALF_A_MINUTE
    assert statements == []
    ledger.time.pass_(HALF_A_MINUTE)
    assert handed(ledger.round(queue, take())) == [[1]]
    assert len([statement for statement in statements if "run_claim" in statement]) == 1


def test_what_comes_due_is_known_without_a_look(ledger):
    queue = ledger.jobs("1", "2", "3")
    now = ledger.engine.now()

    def due(*asks) -> int | None:
        return ledger.engine.apply([Serve(queue, 1, asks)]).after[queue].next_due

    assert due(lease("t", 3), take()) == now + HALF_A_MINUTE
    assert due(settle(Nack("t", ((1, 1),), 700))) == now + 700
    assert due(settle(Extend("t", 300, ((2, 2),)))) == now + 300
    assert due(settle(Release("t", ((3, 3),)))) == now
    assert due(take(), take()) == now + 300
    assert due(settle(Ack("t"))) <= now + 700  # it may be later than that
    ledger.time.pass_(700)
    assert due(take(), take()) is None


# -- endings and pauses


@pytest.mark.parametrize(
    ("inside", "why"),
    [("nothing", "exhausted"), ("delayed", "empty"), ("leased", "empty"), ("dead", "exhausted")],
)
def test_a_closed_queue_is_exhausted_once_nothing_but_the_dead_is_inside(ledger, inside, why):
    queue = ledger.jobs()
    if inside != "nothing":
        ledger.push(queue, "1", delay=1_000 if inside == "delayed" else 0)
    if inside in {"leased", "dead"}:
        ledger.round(queue, lease("t"))
    if inside == "dead":
        ledger.round(queue, settle(Nack("t", None, None, "", True)))
    ledger.do(Close(queue))
    applied = ledger.engine.apply([Serve(queue, 2, (take(),))])
    [[served]] = applied.outcomes
    assert (served.why, served.state, applied.after[queue].over) == (why, "closed", why == "exhausted")


def test_a_failed_source_is_told_before_what_is_leased_and_after_what_waits(ledger):
    queue = ledger.define(source="lines").id
    drawn = Drawn(1, ("1", "2"), End("failed", "E", "m"))
    ledger.round(queue, lease("t", 2), drawn=drawn)
    applied = ledger.engine.apply([Serve(queue, 1, (settle(Release("t", ((1, 1),))), take(), take()))])
    assert [served.why for served in applied.outcomes[0]] == [None, None, "failed"]
    after = applied.after[queue]
    assert (after.failure, after.ending, after.over, after.next_due) == (
        ("E", "m"),
        "failed",
        False,
        applied.now + HALF_A_MINUTE,
    )


def test_a_paused_queue_settles_and_hands_nothing_out(ledger):
    queue = ledger.jobs("1", "2")
    ledger.round(queue, lease("t"))
    ledger.do(Pause(queue, True))
    acked, waits = ledger.round(queue, settle(Ack("t"), then=lease("u")), take())
    assert (verdicts(acked), acked.why, waits.why) == (["acked"], "paused", "paused")
    ledger.do(Pause(queue, False))
    assert handed(ledger.round(queue, take())) == [[2]]


def test_mixed_asks_of_one_batch(ledger):
    """A take, a block, a lease, a settling with its next lease, and one that waits for what is freed."""
    queue = ledger.define(settings=QueueSettings(backoff=0, jitter=0)).id
    ledger.round(queue, lease("t", 2), lease("u", 2), length=9)
    outcomes = ledger.round(
        queue,
        take(1),
        block(2),
        settle(Nack("t", ((2, 2),)), Ack("t"), then=lease("v", 2)),
        settle(Release("u"), then=take(2)),
        lease("w", 9),
        take(1),
        length=9,
    )
    assert handed(outcomes) == [[2], [5, 6], [3, 4], [7, 8], [9], None]
    assert [served.state for served in outcomes[-2:]] == ["exhausted"] * 2
    assert outcomes[-1].why == "empty"
    assert ledger.inside(queue) == {3: "leased", 4: "leased", 9: "leased"}


def test_an_ask_that_took_more_bytes_than_it_has_room_for_takes_none_from_the_next(ledger):
    jobs = ledger.jobs(*[f'"{n:08d}"' for n in range(5)])
    served = ledger.round(jobs, take(1, room=5), take(1, room=5), take(2, room=25), lease("t", 2))
    assert list(map(seqs, served)) == [[1], [2], [3, 4], [5]]
