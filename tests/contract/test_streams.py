"""A stream of pushes under one key: its sums are filed with each part, and it goes on from where it is."""

from __future__ import annotations

import pytest
from dibs.ledger.ops import Close, Define, Delete
from dibs.ledger.work import RANGES_KEPT, Parcel, Progress, Purge, Push, Streamed


@pytest.fixture
def part(ledger, under):
    """Push a part of the stream ``s`` that goes on from ``since`` bytes."""

    def part(queue: int, since: int, progress: Progress, *texts: str, keys=None, ttl=60_000, **options):
        parcels = (Parcel(texts, keys=keys),)
        remember = under("s", "stream", ttl=ttl)
        return Push(queue, parcels, since=since, progress=progress, remember=remember, **options)

    return part


@pytest.fixture
def sums(ledger):
    return lambda queue, generation=1: ledger.engine.recall(queue, generation, "", "s").work


def test_the_sums_of_a_stream_are_filed_with_each_part(ledger, part, sums):
    queue = ledger.jobs()
    pushed = ledger.do(part(queue, 0, Progress(10, 2, 111), "1", "2"))
    assert (list(pushed.seqs), pushed.refused) == ([1, 2], None)
    assert sums(queue) == Streamed(10, 2, 111, 2, 0, ((1, 2),))
    assert ledger.engine.recall(queue, 1, "", "s").request == "stream"
    assert list(ledger.do(part(queue, 10, Progress(35, 4, 222), "3")).seqs) == [3]
    assert sums(queue) == Streamed(35, 4, 222, 3, 0, ((1, 3),))
    ledger.restart()
    assert sums(queue) == Streamed(35, 4, 222, 3, 0, ((1, 3),))
    ledger.do(part(queue, 35, Progress(40, 5, 333), "4"))
    assert sums(queue) == Streamed(40, 5, 333, 4, 0, ((1, 4),))


@pytest.mark.parametrize("since", [0, 9, 11, 20])
def test_a_part_that_does_not_go_on_from_where_the_stream_is_is_refused(ledger, part, sums, since):
    queue = ledger.jobs()
    ledger.do(part(queue, 0, Progress(10, 1, 111), "1"))
    before = ledger.all()
    pushed = ledger.do(part(queue, since, Progress(20, 2, 222), "2", keys=("k",)))
    assert (list(pushed.seqs), pushed.refused) == ([], "moved")
    assert ledger.all() == before
    assert sums(queue) == Streamed(10, 1, 111, 1, 0, ((1, 1),))
    assert ledger.push(queue, "2", keys=("k",)).known == ()


def test_a_stream_that_is_not_known_begins_at_0(ledger, part):
    queue = ledger.jobs()
    assert ledger.do(part(queue, 5, Progress(10, 1, 111), "1")).refused == "moved"
    assert ledger.engine.recall(queue, 1, "", "s") is None
    assert ledger.do(part(queue, 0, Progress(10, 1, 111), "1")).refused is None


def test_two_parts_in_one_batch_follow_each_other(ledger, part, sums):
    queue = ledger.jobs()
    outcomes = ledger.engine.apply(
        [
            part(queue, 0, Progress(10, 1, 1), "1"),
            part(queue, 0, Progress(10, 1, 1), "1"),
            part(queue, 10, Progress(20, 2, 2), "2"),
        ]
    )
    assert [pushed.refused for pushed in outcomes] == [None, "moved", None]
    assert sums(queue) == Streamed(20, 2, 2, 2, 0, ((1, 2),))


def test_known_items_are_counted_as_duplicates_and_are_in_no_range(ledger, part, sums):
    queue = ledger.jobs()
    ledger.push(queue, "1", keys=("a",))
    pushed = ledger.do(part(queue, 0, Progress(10, 3, 1), "x", "2", "y", keys=("a", "b", "b")))
    assert (list(pushed.seqs), pushed.known) == ([1, 2, 2], (0, 2))
    assert sums(queue) == Streamed(10, 3, 1, 1, 2, ((2, 2),))
    ledger.do(part(queue, 10, Progress(20, 4, 2), "x", keys=("a",)))
    assert sums(queue) == Streamed(20, 4, 2, 1, 3, ((2, 2),))


def test_a_part_without_items_moves_the_stream(ledger, part, sums):
    """Blank lines are bytes too."""
    queue = ledger.jobs()
    ledger.do(Push(queue, (), since=0, progress=Progress(3, 3, 7), remember=part(queue, 0, None).remember))
    assert sums(queue) == Streamed(3, 3, 7, 0, 0, ())


def test_ranges_are_joined_where_nobody_pushed_between(ledger, part, sums):
    queue = ledger.jobs()
    ledger.do(part(queue, 0, Progress(1, 1, 1), "1", "2"))
    ledger.do(part(queue, 1, Progress(2, 2, 2), "3"))
    ledger.push(queue, '"another producer"')
    ledger.do(part(queue, 2, Progress(3, 3, 3), "5"))
    ledger.do(part(queue, 3, Progress(4, 4, 4), "6", "7"))
    assert sums(queue) == Streamed(4, 4, 4, 6, 0, ((1, 3), (5, 7)))


def test_the_first_ranges_are_kept_and_the_sums_go_on(ledger, part, sums):
    queue = ledger.jobs()
    ops: list = []
    for n in range(RANGES_KEPT + 5):
        ops += [part(queue, n, Progress(n + 1, n + 1, n), "1"), Push(queue, (Parcel(("2",)),))]
    ledger.engine.apply(ops)
    streamed = sums(queue)
    assert (streamed.accepted, streamed.bytes) == (RANGES_KEPT + 5, RANGES_KEPT + 5)
    assert streamed.ranges == tuple((seq, seq) for seq in range(1, 2 * RANGES_KEPT, 2))


@pytest.mark.parametrize("refusal", ["full", "closed", "source"])
def test_a_refused_part_leaves_the_stream_where_it_is(ledger, part, sums, refusal):
    queue = ledger.jobs(max_ready=2)
    ledger.do(part(queue, 0, Progress(10, 2, 1), "1", "2"))
    if refusal == "closed":
        ledger.do(Close(queue))
    if refusal == "source":
        ledger.do(Define("jobs", "count", "{}", reset=True))
        assert ledger.do(part(queue, 0, Progress(20, 3, 2), "3")).refused == "source"
        assert ledger.engine.recall(queue, 2, "", "s") is None
        return
    assert ledger.do(part(queue, 10, Progress(20, 3, 2), "3")).refused == refusal
    assert sums(queue) == Streamed(10, 2, 1, 2, 0, ((1, 2),))
    if refusal == "full":
        ledger.claim(queue)
        assert ledger.do(part(queue, 10, Progress(20, 3, 2), "3")).refused is None


def test_the_life_of_a_stream_s_key_begins_again_with_each_part(ledger, part, sums):
    queue = ledger.jobs()
    ledger.do(part(queue, 0, Progress(10, 1, 1), "1", ttl=1_000))
    ledger.time.pass_(900)
    ledger.do(part(queue, 10, Progress(20, 2, 2), "2", ttl=1_000))
    ledger.time.pass_(999)
    assert sums(queue).bytes == 20
    ledger.time.pass_(1)
    assert ledger.engine.recall(queue, 1, "", "s") is None
    assert ledger.do(part(queue, 20, Progress(30, 3, 3), "3")).refused == "moved"
    assert ledger.do(part(queue, 0, Progress(10, 1, 1), "1")).refused is None


def test_a_new_generation_begins_its_streams_at_0(ledger, part, sums):
    queue = ledger.jobs()
    ledger.do(part(queue, 0, Progress(10, 1, 1), "1"))
    ledger.do(Define("jobs", "", "{}", reset=True))
    assert ledger.do(part(queue, 0, Progress(7, 1, 5), "9")).refused is None
    assert sums(queue, 2) == Streamed(7, 1, 5, 1, 0, ((1, 1),))


@pytest.mark.parametrize("end", ["delete", "reset", "purge"])
def test_what_is_dropped_can_be_streamed_again(ledger, part, sums, end):
    queue, other = ledger.jobs(), ledger.jobs(name="other")
    for each in (queue, other):
        ledger.do(part(each, 0, Progress(10, 1, 111), "1", keys=("k",)))
    if end == "purge":
        ledger.do(Purge(queue, ("dead",)))
        assert sums(queue) is not None
        ledger.do(Purge(queue, ("waiting",)))
    else:
        if end == "delete":
            ledger.do(Delete(queue))
        ledger.define("jobs", "", reset=end == "reset")
    assert ledger.engine.recall(queue, 1, "", "s") is None
    assert ledger.do(part(queue, 0, Progress(10, 1, 111), "1", keys=("k",))).known == ()
    assert ledger.do(part(other, 10, Progress(20, 2, 222), "1", keys=("k",))).known == (0,)


def test_streams_are_found_by_how_their_keys_begin(ledger, under):
    queue, other = ledger.jobs(), ledger.jobs(name="other")
    item = (Parcel(("1",)),)

    def stream(queue, key, size, ttl=60_000):
        progress = Progress(size, 1, 111)
        ledger.do(Push(queue, item, progress=progress, remember=under(key, "stream", ttl=ttl)))

    for at, key in enumerate(("a-2", "a-1", "ab", "b", "A-1")):
        stream(queue, key, 10 + at)
    stream(other, "a-3", 1)
    stream(queue, "a-5", 9, ttl=5_000)
    ledger.do(Push(queue, item, remember=under("a-4", "push")))

    def found(prefix, after="", most=9, generation=1):
        shown = ledger.engine.streams(queue, generation, "", prefix, after=after, most=most)
        return [(key, sums.bytes) for key, sums in shown]

    assert found("a-") == [("a-1", 11), ("a-2", 10), ("a-5", 9)]
    assert found("a-", most=1) == [("a-1", 11)]
    assert found("a-", after="a-1") == [("a-2", 10), ("a-5", 9)]
    assert found("a%") == found("a-", generation=2) == []
    assert found("b") == [("b", 13)]
    ledger.time.pass_(5_000)
    assert found("a-") == [("a-1", 11), ("a-2", 10)]
