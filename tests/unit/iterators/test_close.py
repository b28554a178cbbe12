"""``close``: nothing more comes, waiters learn it at once, the source is finalized once."""

import itertools
import sys

import pytest
from dibs.errors import PullTimeout, SourceClosed, SourceFailed
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator


def test_an_idle_source_is_finalized_right_away(source):
    shared = ThreadSafeIterator(source())
    next(shared)
    shared.close()
    assert (source.finalized, shared.state) == (1, "closed")
    for call in (
        shared.pull,
        lambda: next(shared),
        lambda: shared.take(1),
        lambda: shared.take(0) or next(shared),
    ):
        with pytest.raises(SourceClosed):
            call()


def test_again_does_nothing(source):
    shared = ThreadSafeIterator(source())
    next(shared)
    shared.close()
    shared.close(timeout=0)
    assert source.finalized == 1


@pytest.mark.parametrize("fair", [False, True])
def test_while_a_pull_runs_waiters_are_woken_at_once_and_the_source_is_finalized_after(
    source, spawn, in_line, until, fair
):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(), fair=fair)
    pull = spawn(next, shared)
    gate.reached()
    waiters = [spawn(next, shared), spawn(shared.take, 3), spawn(shared.pull), spawn(shared.hold().__enter__)]
    in_line(shared, 4)
    closer = spawn(shared.close)
    for waiter in waiters:
        assert isinstance(waiter.error(), SourceClosed)
    with pytest.raises(SourceClosed):  # who comes now neither waits
        next(shared)
    assert not pull.done
    assert not closer.done
    assert source.finalized == 0
    gate.open()
    assert pull.result() == 1  # it was drawn, so it has an owner
    closer.result()
    assert source.finalized == 1
    assert shared.stats().waiting == 0


def test_it_is_bounded_and_the_pull_finalizes_when_it_returns(source, spawn):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    pull = spawn(next, shared)
    gate.reached()
    for timeout in (0, 0.01):
        with pytest.raises(PullTimeout):
            shared.close(timeout=timeout)
    assert (source.finalized, shared.state) == (0, "closed")
    gate.open()
    assert pull.result() == 1
    assert source.finalized == 1
    shared.close(timeout=0)
    assert source.finalized == 1


def test_many_closers_finalize_once(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source())
    pull = spawn(next, shared)
    gate.reached()
    closers = [spawn(shared.close) for _ in range(4)]
    in_line(shared, 4)
    gate.open()
    for closer in closers:
        closer.result()
    assert pull.result() == 1
    assert source.finalized == 1


def test_from_inside_the_pull_it_takes_effect_when_the_pull_returns():
    finalized = []

    def closes_itself():
        try:
            shared.close()
            finalized.append("not yet")
            yield 1
            yield 2
        finally:
            finalized.append("now")

    shared = ThreadSafeIterator(closes_itself())
    assert next(shared) == 1
    assert finalized == ["not yet", "now"]
    with pytest.raises(SourceClosed):
        next(shared)


def test_from_inside_a_pull_that_then_fails():
    def closes_itself():
        shared.close()
        raise KeyError("boom")
        yield

    shared = ThreadSafeIterator(closes_itself())
    with pytest.raises(KeyError):
        next(shared)
    assert shared.state == "closed"
    with pytest.raises(SourceClosed) as later:
        next(shared)
    assert isinstance(later.value.__cause__, KeyError)


def test_a_finalizer_may_close_and_may_not_pull(source):
    refused = []

    def finalizer():
        shared.close()
        try:
            next(shared)
        except RuntimeError as error:
            refused.append(type(error).__name__)

    shared = ThreadSafeIterator(source(), finalizer=finalizer)
    shared.close()
    assert refused == ["ReentrantPull"]


def test_a_finalizer_is_called_instead_of_close_and_once(source):
    generator = source()
    finalized = []
    shared = ThreadSafeIterator(map(str, generator), finalizer=lambda: finalized.append(generator.close()))
    assert next(shared) == "1"
    shared.close()
    shared.close()
    assert len(finalized) == 1
    assert source.finalized == 1


def test_a_chain_that_failed_in_the_middle_is_finalized_by_its_finalizer(source):
    generator = source()
    shared = ThreadSafeIterator(map(len, generator), finalizer=generator.close)
    with pytest.raises(TypeError):
        next(shared)
    assert source.finalized == 0
    shared.close()
    assert source.finalized == 1
    assert isinstance(shared.cause, TypeError)


def test_a_source_without_close_is_just_left():
    shared = ThreadSafeIterator(itertools.count())
    shared.close()
    assert shared.state == "closed"


def test_what_finalizing_raises_reaches_the_closer_once():
    def stubborn():
        try:
            yield 1
        finally:
            raise KeyError("boom")

    shared = ThreadSafeIterator(stubborn())
    next(shared)
    with pytest.raises(KeyError):
        shared.close()
    shared.close()
    assert isinstance(shared.cause, KeyError)


def test_what_finalizing_raises_after_a_timeout_waits_for_the_next_close(spawn, gate):
    def stubborn():
        try:
            gate()
            yield 1
        finally:
            raise KeyError("boom")

    shared = ThreadSafeIterator(stubborn())
    pull = spawn(next, shared)
    gate.reached()
    with pytest.raises(PullTimeout):
        shared.close(timeout=0)
    gate.open()
    assert pull.result() == 1
    with pytest.raises(KeyError):
        shared.close()


@pytest.mark.parametrize("make", [ThreadSafeIterator, ThreadSafeGenerator])
def test_an_exhausted_one_stays_exhausted(source, make):
    shared = make(source(2))
    assert list(shared) == [1, 2]
    for _ in range(2):
        assert shared.close() is None
        assert shared.state == "exhausted"
        with pytest.raises(StopIteration):
            next(shared)
        assert shared.take(3) == []
        with pytest.raises(StopIteration):
            shared.pull(timeout=1)
        with shared.hold() as held:
            assert held.take(1) == []


@pytest.mark.parametrize("make", [ThreadSafeIterator, ThreadSafeGenerator])
def test_a_failed_one_stays_failed(source, make):
    boom = source.raises[2] = KeyError("boom")
    shared = make(source())
    assert next(shared) == 1
    with pytest.raises(KeyError):
        next(shared)
    shared.close()
    assert (shared.state, shared.cause) == ("failed", boom)
    with pytest.raises(SourceFailed) as later:
        next(shared)
    assert later.value.__cause__ is boom


def test_an_ended_one_is_finalized_all_the_same():
    finalized = []
    shared = ThreadSafeIterator(iter(()), finalizer=lambda: finalized.append(1))
    assert list(shared) == []
    shared.close()
    shared.close()
    assert (finalized, shared.state) == ([1], "exhausted")


def test_an_ended_one_whose_values_are_dropped_is_closed(source):
    """An interrupted take put them back: "exhausted" would say that somebody was given them."""
    source.raises[4] = KeyboardInterrupt()
    shared = ThreadSafeIterator(source())
    with pytest.raises(KeyboardInterrupt):
        shared.take(10)
    assert shared.state == "failed"
    shared.close()
    assert shared.state == "closed"
    with pytest.raises(SourceClosed):
        next(shared)


def test_one_that_was_closed_while_it_ended_is_closed(source, spawn, in_line):
    gate = source.gate(1)
    shared = ThreadSafeIterator(source(1))
    pull = spawn(shared.take, 2)
    gate.reached()
    closer = spawn(shared.close)
    in_line(shared, 1)
    gate.open()
    closer.result()
    assert pull.result() == [1]  # and the source's end
    assert shared.state == "closed"
    with pytest.raises(SourceClosed):
        next(shared)


def test_it_gives_what_closing_the_source_gave():
    """From Python 3.13 on a generator's ``close`` gives the value that it returns."""

    def returning():
        try:
            yield 1
        except GeneratorExit:
            return "done"

    plain = returning()
    next(plain)
    shared = ThreadSafeGenerator(returning())
    next(shared)
    assert shared.close() == plain.close() == ("done" if sys.version_info >= (3, 13) else None)
    assert shared.close() is plain.close() is None
    assert ThreadSafeIterator(iter([1]), finalizer=lambda: "mine").close() == "mine"


def test_a_generator_too(source):
    shared = ThreadSafeGenerator(source())
    next(shared)
    shared.close()
    for call in (lambda: shared.send(None), lambda: shared.throw(KeyError()), lambda: next(shared)):
        with pytest.raises(SourceClosed):
            call()
    assert source.finalized == 1
