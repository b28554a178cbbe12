"""What the lock is for: the unlocked versions fail, on this Python, each time; the locked ones do not."""

import threading

import pytest
from dibs.iterators import ThreadSafeIterator


class Counter:
    """``self.i += 1`` with a call in the middle of the update, as a property has."""

    def __init__(self, gate):
        self._i = 0
        self._gate = gate
        self._first = True

    @property
    def i(self):
        seen = self._i
        if self._first:  # the first update stops between its read and its write
            self._first = False
            self._gate()
        return seen

    @i.setter
    def i(self, value):
        self._i = value

    def __iter__(self):
        return self

    def __next__(self):
        value = self.i + 1
        self.i = value
        return value


def test_control_a_bare_generator_refuses_two_threads(source, spawn):
    gate = source.gate(1)
    bare = source()
    first = spawn(next, bare)
    gate.reached()
    with pytest.raises(ValueError, match="generator already executing"):
        next(bare)
    gate.open()
    assert first.result() == 1


def test_a_shared_generator_serves_two_threads(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    first = spawn(next, shared)
    gate.reached()
    second = spawn(next, shared)
    in_line(shared, 1)
    gate.open()
    assert (first.result(), second.result()) == (1, 2)


def test_control_an_unlocked_counter_hands_out_one_number_twice(gate, spawn):
    counter = Counter(gate)
    first = spawn(next, counter)
    gate.reached()
    assert [next(counter), next(counter)] == [1, 2]
    gate.open()
    assert first.result() == 1  # a second time
    assert next(counter) == 2  # and 2 as well: two updates are lost


def test_a_shared_counter_hands_out_each_number_once(gate, spawn, in_line):
    shared = ThreadSafeIterator(Counter(gate))
    first = spawn(next, shared)
    gate.reached()
    second = spawn(next, shared)
    in_line(shared, 1)
    third = spawn(next, shared)
    in_line(shared, 2)
    gate.open()
    assert first.result() == 1
    assert sorted([second.result(), third.result()]) == [2, 3]
    assert next(shared) == 4


@pytest.mark.parametrize("fair", [False, True])
def test_many_threads_get_every_value_once_and_in_order(source, spawn, fair):
    """Under load, with the exact multiset and the exact order of what was handed out."""
    threads, last = 8, 4000
    shared = ThreadSafeIterator(source(last), fair=fair)
    start = threading.Barrier(threads)
    order = []  # filled while holding: the order of the hand-outs themselves

    def by_next():
        start.wait()
        return list(shared)

    def by_take():
        start.wait()
        mine = []
        while batch := shared.take(7):
            mine += batch
        return mine

    def by_hold():
        start.wait()
        mine = []
        while True:
            with shared.hold() as held:
                batch = held.take(3)
                order.extend(batch)
            if not batch:
                return mine
            mine += batch

    calls = [spawn((by_next, by_take, by_hold)[n % 3]) for n in range(threads)]
    got = [call.result() for call in calls]
    for mine in got:
        assert mine == sorted(mine)
    assert order == sorted(order)
    assert sorted(value for mine in got for value in mine) == list(range(1, last + 1))
    assert shared.stats().values == last
    assert shared.state == "exhausted"
