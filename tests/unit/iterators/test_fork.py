"""A forked child is refused: it would hand out what its parent hands out."""

import copy
import os
import pickle
import threading
import warnings

import pytest
from dibs.errors import ForkedIterator
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def in_child(function):
    """Run `function` in a forked child; what it returned, as text."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # 3.12: a fork while threads run, which is the point
        pid = os.fork()
    if pid == 0:
        try:
            answer = repr(function())
        except BaseException as error:
            answer = type(error).__name__
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def every_use(shared):
    """Each way to use it, and what came of it; twice, so that no refusal leaves a lock behind."""
    uses = [
        lambda: next(shared),
        lambda: shared.take(2),
        lambda: shared.pull(timeout=0),
        lambda: shared.hold(timeout=0).__enter__(),
        lambda: shared.close(timeout=0),
        lambda: shared.send(None),
        lambda: shared.throw(KeyError()),
    ]
    errors = []
    for use in uses * 2:
        try:
            use()
        except BaseException as error:
            errors.append(type(error))
    return set(errors), len(errors)


@needs_fork
def test_the_childs_every_use_is_refused_and_the_parent_goes_on():
    shared = ThreadSafeGenerator(number for number in range(10))
    assert next(shared) == 0
    assert in_child(lambda: every_use(shared) == ({ForkedIterator}, 14)) == "True"
    assert in_child(lambda: threading_in_child(shared)) == "True"
    assert next(shared) == 1
    assert shared.state == "open"


def threading_in_child(shared):
    """Another thread of the child is refused as well, not stuck behind a lock."""
    errors = []

    def use():
        try:
            next(shared)
        except ForkedIterator as error:
            errors.append(error)

    use()
    thread = threading.Thread(target=use)
    thread.start()
    thread.join(60)
    return len(errors) == 2


@needs_fork
@pytest.mark.parametrize("fair", [False, True])
def test_a_lock_held_by_another_thread_at_the_fork_does_not_hang_the_child(source, spawn, in_line, fair):
    gate = source.gate(1)
    shared = ThreadSafeGenerator(source(), fair=fair)
    pull = spawn(next, shared)
    gate.reached()
    waiting = spawn(next, shared)
    in_line(shared, 1)
    assert in_child(lambda: every_use(shared) == ({ForkedIterator}, 14)) == "True"
    gate.open()
    assert (pull.result(), waiting.result()) == (1, 2)


@needs_fork
@pytest.mark.parametrize("use", ["next", "take", "hold"])
def test_a_source_that_forks_gives_its_value_to_the_parent_only(use):
    answers = []

    def forks():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            reading, writing = os.pipe()
            pid = os.fork()
        answers.append((pid, reading, writing))
        yield 1
        yield 2

    shared = ThreadSafeIterator(forks())

    def held():
        with shared.hold() as held:
            return held.take(1)

    calls = {"next": lambda: [next(shared)], "take": lambda: shared.take(1), "hold": held}
    result, error = None, None
    try:
        result = calls[use]()
    except BaseException as raised:
        error = raised
    pid, reading, writing = answers[0]
    if pid == 0:
        os.write(writing, type(error).__name__.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        child = pipe.read()
    os.waitpid(pid, 0)
    assert (result, error, child) == ([1], None, "ForkedIterator")
    assert next(shared) == 2


@needs_fork
def test_the_child_does_not_run_the_parents_finally_blocks(source):
    shared = ThreadSafeIterator(source())
    next(shared)

    def child():
        refused = in_child_next(shared)
        return refused, source.finalized

    assert in_child(child) == "('ForkedIterator', 0)"
    shared.close()
    assert source.finalized == 1


def in_child_next(shared):
    try:
        return next(shared)
    except ForkedIterator as error:
        return type(error).__name__


@needs_fork
def test_an_iterator_of_the_childs_own_is_fine():
    assert in_child(lambda: list(ThreadSafeIterator(range(3)))) == "[0, 1, 2]"


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [ThreadSafeIterator, ThreadSafeGenerator])
def test_it_can_not_be_pickled_or_copied_and_names_the_way_across(copying, kind):
    shared = kind(number for number in range(3))
    with pytest.raises(TypeError, match=r"dibs\.Client"):
        copying(shared)
    assert next(shared) == 0
