"""``hold``: several steps as one."""

import itertools

import pytest
from dibs.errors import PullTimeout, ReentrantPull, SourceClosed, SourceFailed
from dibs.iterators import ThreadSafeIterator


def test_others_wait_until_the_end(spawn, in_line):
    shared = ThreadSafeIterator(itertools.count(1))
    line = []
    with shared.hold() as held:
        first = held.take(2)
        other = spawn(next, shared)
        in_line(shared, 1)
        line += first + list(held.take(2))
        assert not other.done
    assert line == [1, 2, 3, 4]
    assert other.result() == 5


def test_to_draw_and_to_enqueue_are_one_step(spawn, gate, in_line):
    """The order of the line is the order of the source, whoever comes between."""
    shared = ThreadSafeIterator(itertools.count(1))
    line = []

    def slowly():
        with shared.hold() as held:
            values = held.take(3)
            gate()
            line.extend(values)

    def quickly():
        with shared.hold() as held:
            line.extend(held.take(3))

    slow = spawn(slowly)
    gate.reached()
    quick = spawn(quickly)
    in_line(shared, 1)
    gate.open()
    slow.result()
    quick.result()
    assert line == [1, 2, 3, 4, 5, 6]


def test_the_holder_can_not_pull_past_itself():
    shared = ThreadSafeIterator(itertools.count())
    with shared.hold():
        for call in (
            shared.pull,
            lambda: next(shared),
            lambda: shared.take(1),
            lambda: shared.hold().__enter__(),
        ):
            with pytest.raises(ReentrantPull):
                call()
    assert next(shared) == 0


def test_it_is_bounded(spawn, gate):
    shared = ThreadSafeIterator(itertools.count())

    def keep():
        with shared.hold():
            gate()

    keeper = spawn(keep)
    gate.reached()
    with pytest.raises(PullTimeout), shared.hold(timeout=0.01):
        pass
    gate.open()
    keeper.result()
    with shared.hold(timeout=0) as held:
        assert held.take(1) == [0]


def test_an_exhausted_iterator_can_be_held():
    shared = ThreadSafeIterator([1])
    with shared.hold() as held:
        assert held.take(5) == [1]
        assert shared.state == "exhausted"
        assert held.take(5) == []
    with shared.hold() as held:
        assert held.take(5) == []


def test_a_failing_source_never_raises_here_and_says_so_at_once(source):
    source.raises[3] = boom = KeyError("boom")
    shared = ThreadSafeIterator(source())
    with shared.hold() as held:
        assert held.take(5) == [1, 2]
        assert (shared.state, shared.cause) == ("failed", boom)
        assert held.take(5) == []
    with shared.hold() as held:
        assert held.take(5) == []
    with pytest.raises(KeyError):  # nobody was given it yet
        next(shared)
    with shared.hold() as held:
        assert held.take(5) == []
    with pytest.raises(SourceFailed):
        next(shared)


def test_a_source_that_exits_is_a_failure_in_a_worker_thread(source, spawn):
    source.raises[1] = SystemExit(3)
    shared = ThreadSafeIterator(source())

    def draw():
        with shared.hold() as held:
            return held.take(5), shared.state

    assert spawn(draw).result() == ([], "failed")
    assert isinstance(shared.cause, SystemExit)


def test_an_interrupt_on_the_main_thread_goes_through_and_loses_nothing(source):
    source.raises[3] = KeyboardInterrupt()
    shared = ThreadSafeIterator(source())
    with pytest.raises(KeyboardInterrupt), shared.hold() as held:
        held.take(5)
    with shared.hold() as held:
        assert held.take(5) == [1, 2]


def test_a_closed_iterator_can_not_be_held():
    shared = ThreadSafeIterator([1])
    shared.close()
    with pytest.raises(SourceClosed), shared.hold():
        pass


def test_a_close_meanwhile_takes_effect_at_the_end(source, spawn, until):
    shared = ThreadSafeIterator(source())
    with shared.hold() as held:
        held.take(1)
        closer = spawn(shared.close)
        until(lambda: shared.state == "closed")
        assert held.take(1) == [2]
        assert source.finalized == 0
    closer.result()
    assert source.finalized == 1


def test_the_holder_may_close(source):
    shared = ThreadSafeIterator(source())
    with shared.hold() as held:
        held.take(1)
        shared.close()
        assert source.finalized == 0
    assert source.finalized == 1
    with pytest.raises(SourceClosed):
        next(shared)


def test_an_exception_inside_frees_it(spawn):
    shared = ThreadSafeIterator(itertools.count())
    with pytest.raises(ZeroDivisionError), shared.hold() as held:
        held.take(1 // (held.take(1)[0]))
    assert spawn(next, shared).result() == 1


def test_it_is_good_for_its_thread_and_its_time_only(spawn):
    shared = ThreadSafeIterator(itertools.count())
    with shared.hold() as held:
        assert isinstance(spawn(held.take, 1).error(), RuntimeError)
        with pytest.raises(ValueError, match="-1"):
            held.take(-1)
    with pytest.raises(RuntimeError, match="not held"):
        held.take(1)
    assert next(shared) == 0


def test_a_range_stays_a_range():
    class Counting:
        def __iter__(self):
            return self

        def __next__(self):
            return 0

        def take(self, n):
            return range(n)

    with ThreadSafeIterator(Counting()).hold() as held:
        assert held.take(10**12) == range(10**12)


def test_its_time_is_counted(spawn):
    shared = ThreadSafeIterator(itertools.count())
    with shared.hold() as held:
        held.take(3)
        held.take(2)
    stats = shared.stats()
    assert (stats.pulls, stats.values) == (2, 5)
    assert stats.held_seconds > 0
