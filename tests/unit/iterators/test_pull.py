"""``pull(timeout=)``: a bound on waiting for others; nothing is consumed when it runs out."""

import itertools

import pytest
from dibs.errors import PullTimeout, SourceFailed
from dibs.iterators import ThreadSafeIterator


def test_it_is_next_when_nobody_else_pulls():
    shared = ThreadSafeIterator([1, 2])
    assert [shared.pull(), shared.pull(timeout=0)] == [1, 2]
    with pytest.raises(StopIteration):
        shared.pull(timeout=1)


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("timeout", [0, 0.02])
def test_it_gives_up_while_another_pulls_and_consumes_nothing(source, spawn, fair, timeout):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=fair)
    slow = spawn(next, shared)
    gate.reached()
    with pytest.raises(PullTimeout):
        shared.pull(timeout=timeout)
    assert isinstance(spawn(shared.pull, timeout).error(), TimeoutError)
    assert shared.stats().waiting == 0
    gate.open()
    assert slow.result() == 1
    assert shared.pull(timeout=1) == 2


def test_it_waits_for_its_turn(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    slow = spawn(next, shared)
    gate.reached()
    patient = spawn(shared.pull, 1000)
    in_line(shared, 1)
    gate.open()
    assert (slow.result(), patient.result()) == (1, 2)


@pytest.mark.parametrize("fair", [False, True])
def test_who_gives_up_passes_the_turn_on(source, spawn, in_line, fair):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=fair)
    slow = spawn(next, shared)
    gate.reached()
    hasty = spawn(shared.pull, 0.05)
    in_line(shared, 1)
    behind = spawn(next, shared)
    assert isinstance(hasty.error(), PullTimeout)
    in_line(shared, 1)
    gate.open()
    assert (slow.result(), behind.result()) == (1, 2)


@pytest.mark.parametrize("timeout", [-1, float("nan"), -0.001])
def test_what_is_no_timeout_is_refused(timeout):
    shared = ThreadSafeIterator(itertools.count())
    for call in (shared.pull, shared.close, lambda timeout: shared.hold(timeout).__enter__()):
        with pytest.raises(ValueError, match="timeout"):
            call(timeout)
    assert next(shared) == 0


def test_any_length_of_time_will_do():
    shared = ThreadSafeIterator([1, 2])
    assert shared.pull(timeout=float("inf")) == 1
    assert shared.pull(timeout=10**12) == 2


def test_a_failure_latches(source):
    source.raises[1] = KeyError("boom")
    shared = ThreadSafeIterator(source())
    with pytest.raises(KeyError):
        shared.pull()
    with pytest.raises(SourceFailed):
        shared.pull()
