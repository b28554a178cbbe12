"""``stats``: exact counts, times where they are cheap to know."""

import itertools
import sys

import pytest
from dibs.iterators import IteratorStats, ThreadSafeIterator


def test_at_first_all_is_nought():
    stats = ThreadSafeIterator([]).stats()
    assert stats == IteratorStats(0, 0, 0, 0, 0.0, 0.0, "open")


def test_pulls_and_values():
    shared = ThreadSafeIterator(range(10))
    next(shared)
    next(shared)
    shared.take(5)
    shared.pull()
    shared.take(5)
    with pytest.raises(StopIteration):
        next(shared)
    stats = shared.stats()
    assert (stats.pulls, stats.values, stats.state) == (6, 10, "exhausted")
    assert (stats.contended, stats.waiting, stats.wait_seconds) == (0, 0, 0.0)


def test_next_reads_no_clock_and_the_others_do():
    shared = ThreadSafeIterator(itertools.count())
    next(shared)
    assert shared.stats().held_seconds == 0.0
    shared.take(10)
    taken = shared.stats().held_seconds
    assert taken > 0
    shared.pull()
    assert shared.stats().held_seconds > taken


def test_contention_is_counted_and_timed(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    slow = spawn(next, shared)
    gate.reached()
    waiting = [spawn(next, shared) for _ in range(3)]
    in_line(shared, 3)
    assert shared.stats().waiting == 3
    with pytest.raises(TimeoutError):
        shared.pull(timeout=0.01)
    stats = shared.stats()
    assert (stats.contended, stats.waiting) == (1, 3)
    assert stats.wait_seconds >= 0.01
    gate.open()
    assert sorted(call.result() for call in [slow, *waiting]) == [1, 2, 3, 4]
    stats = shared.stats()
    assert (stats.pulls, stats.values, stats.contended, stats.waiting) == (4, 4, 4, 0)


def test_no_update_is_lost_between_threads(spawn):
    """Exact under load; on a build without the GIL this is where an unlocked counter loses most."""
    shared = ThreadSafeIterator(itertools.count())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        calls = [
            spawn(lambda: [(next(shared), shared.take(2), shared.pull()) for _ in range(500)])
            for _ in range(4)
        ]
        for call in calls:
            call.result()
    finally:
        sys.setswitchinterval(interval)
    stats = shared.stats()
    assert (stats.pulls, stats.values) == (4 * 500 * 3, 4 * 500 * 4)
    assert next(shared) == stats.values


def test_it_does_not_wait_for_a_pull(source, spawn):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    slow = spawn(next, shared)
    gate.reached()
    assert shared.stats().values == 0
    assert shared.state == "open"
    gate.open()
    slow.result()
