"""The limit of recursion at every depth: no lock stays held, nothing is lost, no failure seems an end."""

import contextlib
import threading

import pytest
from dibs.errors import SourceClosed, SourceFailed
from dibs.iterators import ThreadSafeGenerator

DEPTHS = range(30)


def echoing(last, end=None):
    for number in range(1, last + 1):
        with contextlib.suppress(KeyError):
            yield number
    if end:
        raise end


def held(shared):
    with shared.hold() as hold:
        return list(hold.take(3))


CALLS = {
    "next": lambda shared: [next(shared)],
    "take": lambda shared: list(shared.take(3)),
    "pull": lambda shared: [shared.pull()],
    "send": lambda shared: [shared.send(None)],
    "throw": lambda shared: [shared.throw(KeyError())],
    "hold": held,
}
ENDS = {"goes on": (10, None), "ends": (2, None), "fails": (2, OSError("disk"))}


def at_depth(left, call):
    """Call it where so many frames are left before the limit, in a thread of its own."""
    got = [RecursionError()]

    def descend(more):
        if more > 0:
            return descend(more - 1)
        try:
            got[0] = call()
        except BaseException as error:
            got[0] = error
        return None

    def run():
        descend(room() - left)

    in_thread(run)
    return got[0]


def room():
    """How many frames deeper this thread can go."""
    depth = 0

    def down():
        nonlocal depth
        depth += 1
        down()

    with contextlib.suppress(RecursionError):
        down()
    return depth


def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "a lock stays held"


def rest(shared):
    """What the others get."""
    got = []

    def drain():
        try:
            while True:
                got.append(shared.pull(timeout=60))
        except BaseException as error:
            got.append(error)

    in_thread(drain)
    return got[:-1], got[-1]


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", CALLS)
def test_a_call_at_every_depth(name, end, fair):
    last, error = ENDS[end]
    hit = 0
    for left in DEPTHS:
        shared = ThreadSafeGenerator(echoing(last, error), fair=fair)
        assert next(shared) == 1
        came = at_depth(left, lambda shared=shared: CALLS[name](shared))
        hit += isinstance(came, RecursionError)
        state = shared.state
        values, ending = rest(shared)
        values = (came if isinstance(came, list) else []) + values
        assert values == list(range(2, 2 + len(values))), left  # nothing skipped, nothing twice
        if shared.state == "exhausted":
            assert len(values) == last - 1, left
            assert isinstance(ending, StopIteration)
            assert error is None
        else:
            assert shared.state == "failed", left
            assert isinstance(ending, RecursionError | SourceFailed | OSError), left
            assert isinstance(shared.cause, RecursionError | OSError)
        assert state in ("open", shared.state)
        assert shared.stats().waiting == 0
    assert hit, "the limit was never hit: does this test still test anything?"


@pytest.mark.parametrize("fair", [False, True])
def test_close_at_every_depth(fair):
    for left in DEPTHS:
        finalized = []

        def source(finalized=finalized):
            try:
                yield from range(1, 4)
            finally:
                finalized.append(1)

        shared = ThreadSafeGenerator(source(), fair=fair)
        assert next(shared) == 1
        at_depth(left, shared.close)
        values, ending = rest(shared)
        assert values in ([], [2], [2, 3]), left
        assert isinstance(ending, SourceClosed | StopIteration)
        shared.close()
        assert finalized == [1], left


@pytest.mark.parametrize("name", CALLS)
def test_with_others_in_line_at_every_depth(name, gate, spawn, in_line):
    """Who has no room to wake the next one keeps the value, and the next one looks for itself."""
    for left in range(2, 14):
        shared = ThreadSafeGenerator(echoing(10))
        assert next(shared) == 1
        stop = type(gate)()
        holder = spawn(hold_until, shared, stop)
        stop.reached()
        waiter = spawn(shared.pull, 10)
        in_line(shared, 1)
        caller = spawn(at_depth, left, lambda shared=shared: CALLS[name](shared))
        opener = spawn(open_soon, shared, stop, caller)
        came = caller.result()
        opener.result()
        holder.result()
        values = sorted((came if isinstance(came, list) else []) + take_error(waiter) + rest(shared)[0])
        assert values == list(range(2, 2 + len(values))), left
        assert shared.state == "failed" or values[-1] == 10, left


def hold_until(shared, stop):
    with shared.hold():
        stop()


def open_soon(shared, stop, caller):
    while shared.stats().waiting < 2 and not caller.done:
        threading.Event().wait(0.0005)
    stop.open()


def take_error(call):
    return [] if isinstance(call.error(), BaseException) else [call.result()]
