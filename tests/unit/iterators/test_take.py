"""``take``: consecutive values under one lock, none lost at an ending."""

import itertools

import pytest
from dibs.errors import SourceFailed
from dibs.iterators import ThreadSafeIterator


class Arithmetic:
    """An iterator with a batch of its own, as the counting sources have."""

    def __init__(self, last):
        self._rest = range(1, last + 1)
        self.batches = []

    def __iter__(self):
        return self

    def __next__(self):
        batch = self.take(1)
        if not batch:
            raise StopIteration
        return batch[0]

    def take(self, n):
        self.batches.append(n)
        batch, self._rest = self._rest[:n], self._rest[n:]
        return batch


def test_up_to_n_then_what_is_left_then_nothing():
    shared = ThreadSafeIterator(range(5))
    assert shared.take(3) == [0, 1, 2]
    assert shared.state == "open"
    assert shared.take(3) == [3, 4]
    assert shared.state == "exhausted"
    assert shared.take(3) == []
    with pytest.raises(StopIteration):
        next(shared)


def test_nothing_asked_nothing_drawn(source):
    shared = ThreadSafeIterator(source())
    assert shared.take(0) == []
    assert (source.drawn, shared.state) == (0, "open")
    assert ThreadSafeIterator(Arithmetic(3)).take(0) == []


@pytest.mark.parametrize(
    ("n", "error"), [(-1, ValueError), (1.5, TypeError), ("3", TypeError), (None, TypeError)]
)
def test_what_is_no_size_is_refused(source, n, error):
    shared = ThreadSafeIterator(source())
    with pytest.raises(error):
        shared.take(n)
    assert source.drawn == 0
    assert next(shared) == 1


def test_control_a_list_keeps_what_it_got_before_an_exception(source):
    """What take() stands on: true of CPython 3.11 and later, with the GIL and without."""
    source.raises[4] = KeyError("boom")
    got = []
    with pytest.raises(KeyError):
        got.extend(itertools.islice(source(), 1000))
    assert got == [1, 2, 3]


def test_values_before_an_exception_are_returned_and_it_shows_at_once(source):
    source.raises[4] = boom = KeyError("boom")
    shared = ThreadSafeIterator(source())
    assert shared.take(10) == [1, 2, 3]
    assert (shared.state, shared.cause) == ("failed", boom)
    with pytest.raises(KeyError) as first:
        shared.take(10)
    assert first.value is boom
    with pytest.raises(SourceFailed) as later:
        shared.take(10)
    assert later.value.__cause__ is boom


def test_the_exception_comes_at_the_next_call_whichever_it_is(source):
    source.raises[2] = KeyError("boom")
    shared = ThreadSafeIterator(source())
    assert shared.take(2) == [1]
    with pytest.raises(KeyError):
        next(shared)
    with pytest.raises(SourceFailed):
        next(shared)


def test_an_exception_before_the_first_value_comes_at_once(source):
    source.raises[1] = KeyError("boom")
    shared = ThreadSafeIterator(source())
    with pytest.raises(KeyError):
        shared.take(10)
    with pytest.raises(SourceFailed):
        next(shared)


def test_an_interrupt_on_the_main_thread_comes_at_once_and_loses_nothing(source):
    source.raises[4] = KeyboardInterrupt()
    shared = ThreadSafeIterator(source())
    with pytest.raises(KeyboardInterrupt):
        shared.take(10)
    assert shared.state == "failed"
    assert shared.stats().values == 0
    assert next(shared) == 1
    assert shared.take(10) == [2, 3]
    with pytest.raises(SourceFailed):
        next(shared)
    assert shared.stats().values == 3


def test_in_other_threads_it_is_the_sources_own(source, spawn):
    source.raises[4] = SystemExit(1)
    shared = ThreadSafeIterator(source())
    assert spawn(shared.take, 10).result() == [1, 2, 3]
    assert isinstance(spawn(shared.take, 10).error(), SystemExit)
    assert isinstance(spawn(shared.take, 10).error(), SourceFailed)


def test_a_batch_is_not_broken_into(source, spawn, in_line):
    gate = source.gate(3)
    shared = ThreadSafeIterator(source())
    batch = spawn(shared.take, 4)
    gate.reached()
    single = spawn(next, shared)
    in_line(shared, 1)
    gate.open()
    assert batch.result() == [1, 2, 3, 4]
    assert single.result() == 5


def test_a_source_with_batches_of_its_own_is_asked_for_them():
    source = Arithmetic(1_000_000)
    shared = ThreadSafeIterator(source)
    assert shared.take(900_000) == range(1, 900_001)
    assert next(shared) == 900_001
    assert shared.take(500_000) == range(900_002, 1_000_001)
    assert shared.state == "exhausted"
    assert shared.take(1) == []
    assert source.batches == [900_000, 1, 500_000]


def test_a_take_of_the_instance_alone_is_none_of_our_business():
    class Plain:
        def __init__(self):
            self.take = None

        def __iter__(self):
            return self

        def __next__(self):
            return 1

    assert ThreadSafeIterator(Plain()).take(2) == [1, 1]
