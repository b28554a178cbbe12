"""``next``: its endings, and coming back in while inside."""

import gc
import itertools
import threading

import pytest
from dibs.errors import ReentrantPull, SourceFailed
from dibs.iterators import ThreadSafeIterator


class GoesOn:
    """Says that it has ended, and goes on: legal enough for an iterator, not for ours."""

    def __init__(self):
        self.calls = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.calls += 1
        if self.calls == 2:
            raise StopIteration
        return self.calls


def test_values_come_in_order():
    assert list(ThreadSafeIterator([1, 2, 3])) == [1, 2, 3]


def test_an_iterator_over_itself():
    shared = ThreadSafeIterator("ab")
    assert iter(shared) is shared
    assert shared.__aiter__() is shared


def test_what_is_not_iterable_is_refused():
    with pytest.raises(TypeError, match="not iterable"):
        ThreadSafeIterator(42)


def test_exhausted_is_latched():
    goes_on = GoesOn()
    shared = ThreadSafeIterator(goes_on)
    assert next(shared) == 1
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(shared)
    assert goes_on.calls == 2
    assert (shared.state, shared.cause) == ("exhausted", None)


def test_a_failure_without_a_message_is_never_taken_for_an_end():
    class Speechless(Exception):
        def __str__(self) -> str:
            raise StopIteration

    def raising():
        raise Speechless
        yield

    shared = ThreadSafeIterator(raising())
    with pytest.raises(Speechless):
        next(shared)
    with pytest.raises(SourceFailed, match="Speechless"):
        next(shared)


def test_a_failure_reaches_one_caller_as_it_is_and_every_later_one_as_the_cause(source):
    source.raises[3] = boom = KeyError("boom")
    shared = ThreadSafeIterator(source())
    assert [next(shared), next(shared)] == [1, 2]
    with pytest.raises(KeyError) as first:
        next(shared)
    assert first.value is boom
    for _ in range(3):
        with pytest.raises(SourceFailed, match="KeyError: 'boom'") as later:
            next(shared)
        assert later.value.__cause__ is boom
    assert (shared.state, shared.cause) == ("failed", boom)


def test_control_a_bare_generator_takes_its_failure_for_an_end(source):
    source.raises[1] = KeyError("boom")
    bare = source()
    with pytest.raises(KeyError):
        next(bare)
    with pytest.raises(StopIteration):
        next(bare)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_latches_too(source, kind):
    source.raises[1] = kind()
    shared = ThreadSafeIterator(source())
    with pytest.raises(kind):
        next(shared)
    with pytest.raises(SourceFailed) as later:
        next(shared)
    assert isinstance(later.value.__cause__, kind)


def test_a_failure_wakes_the_next_with_the_cause(source, spawn, in_line):
    gate, source.raises[1] = source.gate(1), OSError("gone")
    shared = ThreadSafeIterator(source())
    first = spawn(next, shared)
    gate.reached()
    second = spawn(next, shared)
    in_line(shared, 1)
    gate.open()
    assert isinstance(first.error(), OSError)
    assert isinstance(second.error(), SourceFailed)


@pytest.mark.parametrize("fair", [False, True])
def test_a_generator_that_pulls_itself_is_told_so(fair):
    def selfish():
        with pytest.raises(ReentrantPull):
            next(shared)
        with pytest.raises(ReentrantPull):
            shared.take(1)
        with pytest.raises(ReentrantPull):
            shared.pull(timeout=0)
        with pytest.raises(ReentrantPull), shared.hold():
            pass
        yield 1
        yield 2

    shared = ThreadSafeIterator(selfish(), fair=fair)
    assert list(shared) == [1, 2]
    assert shared.stats().waiting == 0


def test_uncaught_it_fails_the_source():
    def selfish():
        yield next(shared)

    shared = ThreadSafeIterator(selfish())
    with pytest.raises(ReentrantPull):
        next(shared)
    assert isinstance(shared.cause, ReentrantPull)


def test_an_inner_pull_gives_the_outer_lock_back_neither_early_nor_late(spawn, gate, in_line):
    def selfish():
        with pytest.raises(ReentrantPull):
            next(shared)
        gate()
        yield 1
        yield 2

    shared = ThreadSafeIterator(selfish())
    first = spawn(next, shared)
    gate.reached()
    second = spawn(next, shared)
    in_line(shared, 1)
    gate.open()
    assert (first.result(), second.result()) == (1, 2)


def test_a_finalizer_that_pulls_is_told_so():
    refused = []

    class Finalized:
        def __del__(self):
            try:
                next(shared)
            except ReentrantPull as error:
                refused.append(error)

    def drops():
        thing = Finalized()
        del thing
        gc.collect()
        yield 1

    shared = ThreadSafeIterator(drops())
    assert next(shared) == 1
    assert len(refused) == 1


def test_two_iterators_may_pull_from_each_other():
    numbers = ThreadSafeIterator(itertools.count(1))
    doubled = ThreadSafeIterator(2 * number for number in numbers)
    assert [next(doubled), next(numbers), next(doubled)] == [2, 2, 6]


def test_a_shared_iterator_may_be_shared_again(source):
    source.raises[3] = KeyError("boom")
    outer = ThreadSafeIterator(ThreadSafeIterator(source()))
    assert outer.take(5) == [1, 2]
    assert outer.state == "failed"


def test_it_is_dropped_with_its_source():
    seen = threading.Event()

    class Seen:
        def __del__(self):
            seen.set()

    def holds(thing):
        yield thing

    shared = ThreadSafeIterator(holds(Seen()))
    del shared
    gc.collect()
    assert seen.is_set()


def test_its_repr_says_its_state():
    shared = ThreadSafeIterator([])
    assert "ThreadSafeIterator open" in repr(shared)
    list(shared)
    assert "exhausted" in repr(shared)
