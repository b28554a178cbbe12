"""A long purge or redrive goes in slices, each its own transaction; a repeat goes on from the last one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asks import lease, settle
from dibs.ledger.ops import Define, Delete
from dibs.ledger.serve import Key, Keyed, Replay
from dibs.ledger.state.moving import SLICE_ITEMS, SLICE_ROWS
from dibs.ledger.work import Moved, Nack, Parcel, Purge, Push, Redrive, Sweep
from words import apply, served

MANY = 2 * SLICE_ITEMS + 10


def slices(ledger, make, part: Moved | None = None) -> list[Moved]:
    """Slice by slice, each balanced."""
    found = []
    while part is None or part.rest is not None:
        part = ledger.do(make(part))
        found.append(part)
        assert len(found) < 100
    return found


def texts(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(1, count + 1)))


@pytest.fixture
def scattered(ledger) -> int:
    """A dead item, a waiting one, and so on: each a run of its own."""
    queue = ledger.jobs(*texts(3 * SLICE_ROWS), max_attempts=1)
    served(ledger.engine, queue, *[lease(f"t{n}", ttl=60_000) for n in range(3 * SLICE_ROWS)])
    served(ledger.engine, queue, *[settle(Nack(f"t{n}")) for n in range(0, 3 * SLICE_ROWS, 2)])
    ledger.time.pass_(60_000)
    return queue


def test_a_purge_moves_so_many_at_once_and_leaves_the_queue_whole_in_between(ledger):
    queue = ledger.jobs(*texts(MANY))
    found = slices(ledger, lambda part: Purge(queue, ("waiting",), part=part))
    assert [moved.count for moved in found] == [SLICE_ITEMS, 2 * SLICE_ITEMS, MANY]
    assert [moved.rest for moved in found] == [SLICE_ITEMS, 2 * SLICE_ITEMS, None]
    ledger.balanced(queue)
    assert ledger.engine.row(queue).purged == MANY


def test_what_comes_after_the_first_slice_stays(ledger):
    queue = ledger.jobs(*texts(MANY))
    first = ledger.do(Purge(queue, ("waiting",)))
    ledger.balanced(queue)
    ledger.push(queue, "late", priority=3)
    assert slices(ledger, lambda part: Purge(queue, ("waiting",), part=part), first)[-1].count == MANY
    assert ledger.inside(queue) == {MANY + 1: "waiting"}


def test_keys_and_values_go_with_each_slice(ledger):
    queue = ledger.jobs()
    keys = texts(MANY)
    ledger.push(queue, *keys, keys=keys)
    ledger.do(Purge(queue, ("waiting",)))
    again = ledger.push(queue, "1", str(MANY), keys=("1", str(MANY)))
    assert again.known == (1,)
    assert again.seqs == (MANY + 1, MANY)
    assert ledger.claim(queue, 1).values == (str(SLICE_ITEMS + 1),)


@pytest.mark.parametrize("states", [("dead",), ("waiting",), ("waiting", "dead")], ids="+".join)
def test_a_purge_over_many_runs(ledger, scattered, states):
    ledger.time.pass_(0)
    dead = len(ledger.dead(scattered))
    found = slices(ledger, lambda part: Purge(scattered, states, part=part))
    assert found[-1].count == (dead if "dead" in states else 0)
    assert len(found) >= 3
    ledger.balanced(scattered)
    assert len(ledger.dead(scattered)) == (0 if "dead" in states else dead)


@pytest.mark.parametrize(
    "seqs", [None, ((1, 10**6),), tuple((n, n) for n in range(1, 601))], ids=["all", "one", "each"]
)
def test_a_redrive_over_many_runs(ledger, scattered, seqs):
    found = slices(ledger, lambda part: Redrive(scattered, seqs, part=part))
    assert len(found) >= 3
    assert found[-1].count == 3 * SLICE_ROWS
    ledger.balanced(scattered)
    assert set(ledger.inside(scattered).values()) == {"waiting"}
    assert {item.attempt for item in ledger.items(scattered)} == {0}


def test_a_limit_counts_over_all_slices(ledger, scattered):
    found = slices(ledger, lambda part: Redrive(scattered, None, SLICE_ROWS + 7, part=part))
    assert found[-1].count == SLICE_ROWS + 7
    assert [item.seq for item in ledger.items(scattered, "waiting")] == list(range(1, SLICE_ROWS + 8))


def test_a_rate_goes_on_where_the_slice_before_ended(ledger, scattered):
    start = ledger.engine.now()
    part = ledger.do(Redrive(scattered, rate=10.0))
    while part.rest is not None:
        ledger.time.pass_(1)  # a slice later than it began
        part = ledger.do(Redrive(scattered, rate=10.0, part=part))
    dues = sorted(item.due - start for item in ledger.items(scattered))
    assert dues == [int(n / 10.0 * 1_000) for n in range(3 * SLICE_ROWS)]


@pytest.mark.parametrize("kind", [Purge, Redrive])
def test_a_keyed_one_files_how_far_it_is_and_goes_on_from_there_after_a_crash(ledger, scattered, kind):
    op = Keyed(kind(scattered, *(("dead",),) if kind is Purge else ()), Key("k", "r"))
    slices = []
    while not slices or slices[-1].rest is not None:
        slices.append(ledger.do(op))
        ledger.restart()
        ledger.balanced(scattered)
    assert len(slices) >= 3
    assert (slices[-1].count, ledger.do(op)) == (3 * SLICE_ROWS, Replay(slices[-1]))


# -- no more than its caller has seen

DYING = 2 * SLICE_ROWS + 20


@pytest.fixture
def dying(ledger) -> int:
    """A dead item, a leased one, and so on: each a run of its own. ``t1`` has item 2, ``t3`` item 4, ..."""
    queue = ledger.jobs(*texts(2 * DYING), max_attempts=1)
    served(ledger.engine, queue, *[lease(f"t{n}", ttl=60_000) for n in range(2 * DYING)])
    served(ledger.engine, queue, *[settle(Nack(f"t{n}")) for n in range(0, 2 * DYING, 2)])
    return queue


LONG = [
    pytest.param(Redrive, id="redrive"),
    pytest.param(lambda queue, **more: Redrive(queue, ((1, 2 * DYING),), **more), id="redrive of seqs"),
    pytest.param(lambda queue, **more: Purge(queue, ("dead",), **more), id="purge"),
]


@pytest.mark.parametrize("op", LONG)
@pytest.mark.parametrize("later", [0, 1, 60_000], ids="{} ms later".format)
def test_what_dies_between_two_slices_is_left_alone_where_a_number_was_expected(ledger, dying, op, later):
    begun = ledger.do(op(dying, expect=DYING))
    assert begun.rest is not None
    ledger.time.pass_(later)
    late = [2 * DYING - 2 * n for n in range(3)]
    ledger.settle(dying, *[Nack(f"t{seq - 1}") for seq in late])  # where that is late, they expired by now
    assert set(late) <= set(ledger.dead(dying))
    found = slices(ledger, lambda part: op(dying, expect=DYING, part=part), begun)
    assert found[-1].count == DYING
    assert set(ledger.dead(dying)) == set(range(2, 2 * DYING + 1, 2) if later == 60_000 else late)
    ledger.balanced(dying)
    assert slices(ledger, lambda part: op(dying, part=part))[-1].count >= len(late)  # without a number


@pytest.mark.parametrize("op", LONG)
def test_where_others_are_dead_than_was_expected_nothing_moves(ledger, dying, op):
    before = ledger.items(dying)
    ledger.settle(dying, Nack("t1"))
    assert ledger.do(op(dying, expect=DYING)) == Moved(0, found=DYING + 1)
    assert ledger.do(op(dying, expect=0)) == Moved(0, found=DYING + 1)
    assert len(ledger.dead(dying)) == DYING + 1
    assert [item for item in ledger.items(dying) if item.seq > 2] == before[2:]
    ledger.time.pass_(60_000)  # the others expire
    assert ledger.do(op(dying, expect=2 * DYING - 1)).found in {None, 2 * DYING}
    assert slices(ledger, lambda part: op(dying, expect=2 * DYING, part=part))[-1].count == 2 * DYING


@pytest.mark.parametrize(
    ("seqs", "found"),
    [((), 0), (((1, 1),), 1), (((2, 4),), 1), (((1, 3), (7, 8)), 3), (((3, 10**9),), DYING - 1)],
)
def test_of_some_seqs_those_that_are_dead_are_expected(ledger, dying, seqs, found):
    assert ledger.do(Redrive(dying, seqs, expect=found + 1)) == Moved(0, found=found)
    moved = slices(ledger, lambda part: Redrive(dying, seqs, expect=found, part=part))
    assert moved[-1].count == found


def test_what_is_counted_is_redriven_though_some_were_pushed_before_that(ledger, dying):
    ledger.time.pass_(60_000)
    begun = ledger.do(Redrive(dying, expect=2 * DYING + 1))
    assert begun.count == 0  # what has expired is written as dead: some of it
    ledger.push(dying, "late")
    served(ledger.engine, dying, lease("late", most=1, ttl=60_000))
    ledger.settle(dying, Nack("late"))
    found = slices(ledger, lambda part: Redrive(dying, expect=2 * DYING + 1, part=part), begun)
    assert (found[-1].count, ledger.dead(dying)) == (2 * DYING + 1, [])


def test_of_a_long_run_the_part_that_is_named_is_counted(ledger):
    queue = ledger.jobs(*texts(100), max_attempts=1)
    served(ledger.engine, queue, lease("t", most=100, ttl=60_000))
    served(ledger.engine, queue, settle(Nack("t")))
    for seqs, found in ((((1, 100),), 100), (((20, 29), (40, 40)), 11), (((99, 200),), 2)):
        assert ledger.do(Redrive(queue, seqs, expect=0)) == Moved(0, found=found)


def test_no_more_is_purged_than_was_expected_though_leases_expire_meanwhile(ledger):
    queue = ledger.jobs(*texts(3 * SLICE_ITEMS))
    served(ledger.engine, queue, lease("t", most=2 * SLICE_ITEMS, ttl=1_000))
    op = Purge(queue, ("waiting", "dead"), expect=SLICE_ITEMS, seen=SLICE_ITEMS)
    ledger.time.pass_(1_000)  # after it was counted: what was leased waits
    assert slices(ledger, lambda part: replace(op, part=part))[-1].count == SLICE_ITEMS
    assert ledger.engine.row(queue).inside == 2 * SLICE_ITEMS
    assert ledger.do(Purge(queue, ("waiting",), expect=1, seen=2)) == Moved(0, found=2)


def test_a_repeat_that_expects_less_than_was_dropped_drops_no_more_and_tells_all(ledger):
    queue = ledger.jobs(*texts(MANY))
    purge = Purge(queue, ("waiting",), expect=MANY, seen=MANY)
    assert ledger.do(Keyed(purge, Key("k", "r"))).count == SLICE_ITEMS
    again = ledger.do(Keyed(replace(purge, expect=10, seen=10), Key("k", "r")))
    assert (again.count, again.rest) == (SLICE_ITEMS, None)
    assert ledger.engine.row(queue).purged == SLICE_ITEMS


@pytest.mark.parametrize("op", LONG)
def test_a_repeat_goes_on_after_a_crash_whatever_is_dead_by_then(ledger, dying, op):
    keyed = Keyed(op(dying, expect=DYING), Key("k", "r"))
    assert ledger.do(keyed).rest is not None
    ledger.restart()
    ledger.time.pass_(1)
    ledger.settle(dying, Nack(f"t{2 * DYING - 1}"))
    moved = ledger.do(keyed)
    while moved.rest is not None:
        moved = ledger.do(keyed)
    assert (moved.count, moved.found, ledger.dead(dying)) == (DYING, None, [2 * DYING])
    assert ledger.do(keyed) == Replay(moved)


def test_a_queue_that_is_deleted_in_between_ends_it(ledger):
    queue = ledger.jobs(*texts(MANY))
    part = ledger.do(Purge(queue, ("waiting",)))
    ledger.do(Delete(queue))
    assert ledger.do(Purge(queue, ("waiting",), part=part)) == Moved(SLICE_ITEMS, None, None, part.upto)
    assert ledger.do(Push(queue, (Parcel(("1",)),))).refused == "unknown"


# -- what a deleted queue has left


@pytest.fixture
def deleted(ledger) -> int:
    """A queue that was deleted with many items inside: leased, waiting and dead ones."""
    queue = ledger.jobs(max_attempts=1)
    keys = texts(MANY)
    ledger.push(queue, *keys, keys=keys)
    served(ledger.engine, queue, *[lease(f"t{n}", ttl=60_000) for n in range(SLICE_ROWS)])
    served(ledger.engine, queue, settle(Nack("t0"), Nack("t1")))
    ledger.do(Delete(queue))
    return queue


def test_a_deletion_is_one_small_step_and_nothing_is_seen_of_what_it_left(ledger, deleted):
    engine = ledger.engine
    row = engine.row(deleted)
    assert (row.purged, row.inside) == (MANY, 0)
    assert ledger.items(deleted) == ledger.items(deleted, "dead") == []
    assert engine.glance(deleted) == (0, 0, 0)
    ledger.balanced(deleted)
    assert engine.unswept() == [deleted]


def test_it_is_swept_in_slices_after_a_restart_too(ledger, deleted):
    found = [ledger.do(Sweep(deleted))]
    ledger.restart()
    assert ledger.engine.unswept() == [deleted]
    while found[-1].rest is not None:
        assert found[-1].count <= 4 * SLICE_ROWS
        found.append(ledger.do(Sweep(deleted)))
    assert len(found) > MANY // SLICE_ROWS
    assert ledger.engine.unswept() == []
    assert ledger.do(Sweep(deleted)) == Moved(0)


@pytest.mark.parametrize("reset", [False, True])
def test_one_that_is_created_in_its_place_has_none_of_it(ledger, deleted, reset):
    ledger.do(Sweep(deleted))
    row = ledger.define("jobs", "", reset=reset)
    assert ledger.inside(deleted) == ledger.inside(row.id) == {}
    pushed = ledger.push(row.id, "1", keys=("1",))
    assert (pushed.seqs, pushed.known) == (range(row.cursor + 1, row.cursor + 2), ())
    assert ledger.engine.unswept() == [deleted]
    slices(ledger, lambda part: Sweep(deleted))
    assert ledger.engine.unswept() == []
    assert ledger.seqs(ledger.claim(row.id)) == [row.cursor + 1]
    ledger.balanced(deleted)
    ledger.balanced(row.id)


@pytest.mark.parametrize("how", ["reset", "deleted and created again"])
def test_what_comes_in_the_place_of_a_large_queue_is_one_small_transaction(ledger, how):
    """Only rows of the queue itself are changed, however many items are inside: at most 6 rows."""
    queue = ledger.jobs()
    texts = tuple(map(str, range(1_000)))
    apply(ledger.engine, *[Push(queue, (Parcel(texts, delay=at),)) for at in range(300)])
    assert ledger.engine.row(queue).inside == 300_000
    changes = ledger.engine.files.writer.total_changes
    before = changes()
    if how == "reset":
        row = ledger.define("jobs", "", reset=True)
    else:
        _, row = apply(ledger.engine, Delete(queue), Define("jobs", "", "{}"))
    assert changes() - before <= 6
    assert ledger.engine.row(queue).purged == 300_000
    assert row.inside == 0
    assert list(ledger.push(row.id, "1").seqs) == [row.cursor + 1]


def test_rows_that_were_replaced_go_when_they_are_swept_but_for_the_first_of_the_name(ledger):
    first = ledger.jobs("1")
    second = ledger.define("jobs", "", reset=True).id
    ledger.push(second, "2")
    ledger.do(Delete(second))
    third = ledger.define("jobs", "").id
    assert ledger.engine.unswept() == [first, second]
    ledger.restart()
    assert ledger.engine.unswept() == [first, second]
    for queue in (first, second):
        slices(ledger, lambda part, queue=queue: Sweep(queue))
    assert ledger.engine.unswept() == []
    assert ledger.engine.row(second) is None
    assert (ledger.engine.row(first).id, ledger.engine.row(third).root) == (first, first)
    assert ledger.do(Sweep(third)) == Moved(0)  # it lives
    assert ledger.engine.row(third).deleted_at is None
    assert ledger.define("other").id > third


def test_what_a_queue_gets_in_the_transaction_of_its_reset_goes_with_it(ledger):
    queue = ledger.jobs("1")
    more = Push(queue, (Parcel(("2",)),))
    late = Push(queue, (Parcel(("3",)),))
    _, row, refused = apply(ledger.engine, more, Define("jobs", "", "{}", reset=True), late)
    assert (ledger.engine.row(queue).purged, refused.refused) == (2, "unknown")
    assert (row.cursor, ledger.inside(row.id)) == (0, {})
    slices(ledger, lambda part: Sweep(queue))
    ledger.balanced(queue)
