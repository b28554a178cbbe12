"""``fair=True``: in the order of arrival."""

import signal
import threading

import pytest
from dibs.errors import PullTimeout, ReentrantPull
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator, threadsafe_generator


def test_waiters_are_served_in_the_order_they_came(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=True)
    calls = [spawn(next, shared)]
    gate.reached()
    for waiting in range(1, 9):
        calls.append(spawn(next, shared))
        in_line(shared, waiting)
    gate.open()
    assert [call.result() for call in calls] == list(range(1, 10))


def test_who_comes_again_goes_behind_those_who_wait(source, spawn, in_line):
    """Where an unfair lock would let the running thread take all it wants."""
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=True)
    greedy = spawn(lambda: [next(shared) for _ in range(3)])
    gate.reached()
    patient = spawn(lambda: [next(shared) for _ in range(3)])
    in_line(shared, 1)
    gate.open()
    assert greedy.result()[:1] + patient.result()[:1] == [1, 2]


def test_turns_alternate_between_two(source, spawn, in_line):
    stops = [source.gate(number) for number in range(1, 7)]
    shared = ThreadSafeIterator(source(6), fair=True)
    one = spawn(list, shared)
    stops[0].reached()
    two = spawn(list, shared)
    for stop in stops:
        stop.reached()
        in_line(shared, 1)  # the other one is back in line before the next value
        stop.open()
    assert (one.result(), two.result()) == ([1, 3, 5], [2, 4, 6])


def test_one_who_gives_up_leaves_the_order_of_the_others(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=True)
    calls = [spawn(next, shared)]
    gate.reached()
    hasty = spawn(shared.pull, 0.2)
    in_line(shared, 1)
    for waiting in (2, 3, 4):
        calls.append(spawn(next, shared))
        in_line(shared, waiting)
    assert isinstance(hasty.error(), PullTimeout)
    gate.open()
    assert [call.result() for call in calls] == [1, 2, 3, 4]


def test_mixed_callers_keep_the_order(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=True)

    def hold():
        with shared.hold() as held:
            return list(held.take(2))

    first = spawn(next, shared)
    gate.reached()
    calls = []
    for waiting, call in enumerate((hold, lambda: list(shared.take(2)), lambda: [shared.pull(100)]), 1):
        calls.append(spawn(call))
        in_line(shared, waiting)
    gate.open()
    assert first.result() == 1
    assert [call.result() for call in calls] == [[2, 3], [4, 5], [6]]


def test_the_decorator_takes_it_too(spawn, source, in_line):
    shared = threadsafe_generator(fair=True)(Numbers.numbers)()
    assert next(shared) == 1
    with pytest.raises(StopIteration):
        next(shared)


def held(shared):
    with shared.hold() as held:
        return held.take(1)[0]


CALLS = {
    "next": next,
    "take": lambda shared: shared.take(1)[0],
    "pull": lambda shared: shared.pull(timeout=30),
    "hold": held,
    "send": lambda shared: shared.send(None),
}


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs a signal to this thread")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fair", [False, True])
def test_a_signal_handler_that_pulls_while_its_thread_waits(name, fair, source, spawn, in_line):
    """In a fair line it would wait behind the very call that it interrupted, for ever."""
    gate = source.gate(1)
    shared = ThreadSafeGenerator(source(), fair=fair)
    heard = []

    def handler(*_):
        try:
            heard.append(CALLS[name](shared))
        except ReentrantPull as error:
            heard.append(error)
        finally:
            gate.open()

    def signal_when_waiting():
        in_line(shared, 1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        if not fair:  # there it may wait: nobody needs the other call to be first
            in_line(shared, 2)
            gate.open()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        slow = spawn(next, shared)
        gate.reached()
        killer = spawn(signal_when_waiting)
        assert CALLS[name](shared) in (2, 3)
        killer.result()
        assert slow.result() == 1
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert len(heard) == 1
    if fair:
        assert isinstance(heard[0], ReentrantPull)
    assert shared.stats().waiting == 0


class Numbers:
    @staticmethod
    def numbers():
        yield 1
