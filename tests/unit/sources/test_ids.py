from __future__ import annotations

import threading
from itertools import pairwise
from uuid import RFC_4122, UUID

import pytest
from dibs.errors import SourceChanged, SourceInvalid
from dibs.marks import plain
from dibs.sources import Registry, SourceSpec
from hypothesis import given, settings
from hypothesis import strategies as st

TWITTER_EPOCH = 1_288_834_974_657


def value(text: str) -> int:
    """The number of either kind of identifier; its JSON is text."""
    assert text[0] == text[-1] == '"'
    return UUID(text[1:-1]).int if "-" in text else int(text[1:-1])


@pytest.fixture(params=["snowflake(node=5)", "uuid7"])
def text(request):
    return request.param


@pytest.fixture
def go(ids, check):
    """Open with the clock that stands still."""
    return lambda text, **position: ids.open(check(text), **position)


@pytest.fixture
def restarted(clock, check):
    """The same in another process."""
    return lambda text, **position: Registry(clock=clock).open(check(text), **position)


def test_sources_of_one_process_never_make_the_same(go, text):
    """Not even where a source is opened again without its mark, within the same millisecond."""
    sources = [go(text) for _ in range(3)]
    drawn = [value(next(source.iterator)) for _ in range(50) for source in sources]
    drawn += map(value, go(text, cursor=50).iterator.take(50))
    assert all(a < b for a, b in pairwise(drawn))


def test_threads_on_several_sources_never_get_the_same(go, text):
    gate = threading.Barrier(4)
    drawn: list[list[int]] = [[] for _ in range(4)]

    def draw(mine: list[int]) -> None:
        source = go(text)
        gate.wait()
        mine += map(value, source.iterator.take(300))

    threads = [threading.Thread(target=draw, args=(mine,)) for mine in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({number for mine in drawn for number in mine}) == 1200


def test_each_is_above_the_one_before_whatever_the_clock_does(go, clock, text):
    source = go(text)
    drawn = []
    for step in (0, 1, -5_000, 3, 10_000, -1_000_000_000):
        clock.now += step
        drawn += map(value, source.iterator.take(200))
    assert all(a < b for a, b in pairwise(drawn))
    assert source.wide is (text != "uuid7")
    assert not source.arithmetic


def test_a_restart_goes_on_above_the_last_value_also_with_the_clock_set_back(go, restarted, clock, text):
    source = go(text)
    last = source.iterator.take(5)[-1]
    assert source.resume == "after"
    mark = plain(last)
    assert mark == last[1:-1]
    clock.now -= 86_400_000
    again = restarted(text, cursor=5, mark=mark).iterator.take(10_000)
    assert value(again[0]) > value(last)
    assert all(value(a) < value(b) for a, b in pairwise(again))


def test_a_restart_after_a_while_begins_with_the_time(go, restarted, clock):
    source = go("snowflake(node=5)")
    mark = plain(next(source.iterator))
    clock.now += 1000
    after = restarted("snowflake(node=5)", cursor=1, mark=mark)
    assert value(next(after.iterator)) == (clock.now - TWITTER_EPOCH) << 22 | 5 << 12


def test_a_snowflake_is_time_node_and_sequence(go, clock):
    source = go("snowflake(node=1023)")
    drawn = [*map(value, source.iterator.take(4097))]
    first = (clock.now - TWITTER_EPOCH) << 22 | 1023 << 12
    assert drawn[:4096] == [first + n for n in range(4096)]
    assert drawn[4096] == (clock.now + 1 - TWITTER_EPOCH) << 22 | 1023 << 12
    clock.now += 1
    assert value(next(source.iterator)) == drawn[4096] + 1
    assert drawn[-1] < 2**63


def test_snowflakes_of_an_own_epoch_end_after_69_years(go, clock):
    clock.now = 2**41 + 5000
    epoch = clock.now - 2**41 + 1
    source = go(f"snowflake(node=0, epoch={epoch})")
    drawn = [*map(value, source.iterator)]
    assert len(drawn) == 4096
    assert drawn[-1] == 2**63 - 1 - (1023 << 12)
    assert list(go(f"snowflake(node=0, epoch={epoch - 1})").iterator) == []


def test_a_clock_before_the_epoch_counts_from_the_epoch(go, clock):
    clock.now = 0
    assert list(map(value, go("snowflake(node=1)").iterator.take(2))) == [4096, 4097]


def test_uuids_are_of_version_7_with_the_time_in_front(go, clock):
    for text in go("uuid7").iterator.take(100):
        uuid = UUID(text[1:-1])
        assert (uuid.version, uuid.variant) == (7, RFC_4122)
        assert uuid.int >> 80 == clock.now


def test_uuids_borrow_a_millisecond_when_one_is_full(clock, check):
    """The largest of all random numbers: 2^73-1 first, then steps of 2^32."""
    registry = Registry(clock=clock, random_bits=lambda bits: 2**bits - 1)
    full = UUID(int=(clock.now << 80) | (7 << 76) | (0xFFF << 64) | (2 << 62) | (2**62 - 1))
    source = registry.open(check("uuid7"), cursor=1, mark=str(full))
    following = [UUID(text[1:-1]) for text in source.iterator.take(3)]
    assert [uuid.int >> 80 for uuid in following] == [clock.now + 1] * 3
    assert following == sorted(following)
    assert {uuid.version for uuid in following} == {7}


STEP = st.tuples(st.integers(-(10**6), 10**6), st.integers(1, 30), st.booleans())
SPEC = st.sampled_from([SourceSpec("snowflake", {"node": 1}), SourceSpec("uuid7")])


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=12), SPEC)
def test_no_history_of_clocks_and_restarts_repeats_or_goes_back(steps, spec):
    now = [1_750_000_000_000]

    def process() -> Registry:
        return Registry(clock=lambda: now[0] * 1_000_000, random_bits=lambda bits: 2 ** (bits - 1))

    source = process().open(spec)
    drawn = [next(source.iterator)]
    for step, count, restart in steps:
        now[0] += step
        if restart:
            source = process().open(spec, cursor=len(drawn), mark=plain(drawn[-1]))
        drawn += source.iterator.take(count)
    assert all(value(a) < value(b) for a, b in pairwise(drawn))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("snowflake", "snowflake.node: missing"),
        ("snowflake(node=1024)", "snowflake.node: must be from 0 to 1023"),
        ("snowflake(node=-1)", "snowflake.node: must be from 0 to 1023"),
        ("snowflake(node=true)", "snowflake.node: must be an integer"),
        ("snowflake(1, epoch=-1)", "snowflake.epoch: must be from 0"),
        ("snowflake(1, epoch=2**62)", "snowflake.epoch: must be from 0"),
        ("uuid7(1)", "uuid7: takes no arguments by position"),
        ("uuid7(node=1)", "uuid7.node: no such argument; it takes no arguments"),
    ],
)
def test_what_is_refused(text, why, check):
    with pytest.raises(SourceInvalid, match=why):
        check(text)


@pytest.mark.parametrize("mark", ["", "x", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"])
def test_a_last_value_of_another_source_is_refused(go, text, mark):
    with pytest.raises(SourceChanged, match="not of this source"):
        go(text, cursor=1, mark=mark)


def test_the_real_clock_and_random_numbers(start):
    drawn = start("uuid7").iterator.take(50)
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == 50
    assert value(next(start("snowflake(node=1)").iterator)) > 2**60
