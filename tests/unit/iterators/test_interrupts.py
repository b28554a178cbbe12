"""A Ctrl-C at every point where one can land: no lock stays held, and nothing is lost in silence.

The interpreter looks for signals when a function begins, after a call and at a jump back. Each call below
is run again and again with a KeyboardInterrupt at the first such point inside `dibs.iterators`, then at the
second, until there is none left.
"""

import contextlib
import dis
import inspect
import itertools
import pathlib
import sys
import threading

import dibs.iterators
import pytest
from dibs.errors import ReentrantPull, SourceFailed
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator

HERE = str(pathlib.Path(dibs.iterators.__file__).parent)
LOOKS = ("CALL", "JUMP_BACKWARD")


class Interrupter:
    """Raises a KeyboardInterrupt at the n-th point; `where` says which that was, None if there were fewer."""

    def __init__(self, n, *, spare=(), act=None):
        self.left = n
        self._act = act
        self.where = None
        self._spare = spare
        self._names = {}
        self._before = {}

    def run(self, function):
        traced = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return function()
        finally:
            sys.settrace(traced)

    def _trace(self, frame, event, _):
        code = frame.f_code
        if event == "call":
            if not code.co_flags & inspect.CO_GENERATOR and not code.co_name.startswith("__"):
                self._before.pop(frame.f_back, None)  # Python calling Python: no look after the return
            if not code.co_filename.startswith(HERE) or self.where:
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            if code.co_name not in self._spare:
                self._point(f"{code.co_qualname} entered")
        elif event == "exception":
            self._before.pop(frame, None)  # nor on the way to a handler
        elif event == "opcode" and not self.where:
            before = self._before.get(frame)
            self._before[frame] = frame.f_lasti
            if before is not None and self._name(code, before).startswith(LOOKS):
                self._point(f"{code.co_qualname}:{frame.f_lineno} before offset {frame.f_lasti}")
        return self._trace

    def _name(self, code, offset):
        if code not in self._names:
            self._names[code] = {step.offset: step.opname for step in dis.get_instructions(code)}
        return self._names[code].get(offset, "")

    def _point(self, where):
        if self.left == 0:
            self.where = where
            self._before.clear()
            sys.settrace(None)
            if not self._act:
                raise KeyboardInterrupt
            self._act()
        self.left -= 1


def held(shared):
    with shared.hold() as hold:
        return hold.take(3)


CALLS = {
    "next": (lambda shared: [next(shared)], 1),
    "take": (lambda shared: shared.take(3), 3),
    "pull": (lambda shared: [shared.pull(timeout=60)], 1),
    "send": (lambda shared: [shared.send(None)], 1),
    "hold": (held, 3),
}


def numbers(last=10):
    yield from range(1, last + 1)


def breaks():
    yield 1
    raise KeyError("boom")


def each_point(**options):
    """Interrupters for the first point, the second, and so on; the last one finds no point any more."""
    for n in itertools.count():
        if sys.version_info >= (3, 13):  # it shows no opcodes in the first run, nor after one that raised
            yield Interrupter(sys.maxsize, **options)
        interrupter = Interrupter(n, **options)
        yield interrupter
        if interrupter.where is None:
            assert n >= 4, "hardly a point was found: does the tracing work on this Python?"
            return


def outcome(shared):
    """What the others get now, in a thread that a leaked lock would stop: the rest, or the error."""
    got = []

    def drain():
        try:
            while True:
                got.append(shared.pull(timeout=60))
        except BaseException as error:
            got.append(error)

    thread = threading.Thread(target=drain)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    return got[:-1], got[-1]


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_while_pulling(name, fair):
    call, size = CALLS[name]
    for interrupter in each_point(spare=("__exit__",)):  # its entry is the one gap that hold() admits
        shared = ThreadSafeGenerator(numbers(), fair=fair)
        with contextlib.suppress(KeyboardInterrupt):
            interrupter.run(lambda shared=shared: call(shared))
        rest, last = outcome(shared)
        if isinstance(last, StopIteration):  # all came back, or all went to the interrupted caller
            assert rest in (list(range(1, 11)), list(range(size + 1, 11))), interrupter.where
        else:  # a value was on its way: said, not hidden
            assert isinstance(last, SourceFailed), (interrupter.where, last)
            assert isinstance(last.__cause__, KeyboardInterrupt)
        assert shared.stats().waiting == 0


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("make", [lambda: numbers(0), breaks])
def test_while_the_source_ends(name, make):
    call, _ = CALLS[name]
    for interrupter in each_point(spare=("__exit__",)):
        shared = ThreadSafeGenerator(make())
        if make is breaks:
            next(shared)
        with contextlib.suppress(KeyboardInterrupt, StopIteration, KeyError):
            interrupter.run(lambda shared=shared: call(shared))
        rest, last = outcome(shared)
        assert rest == [], interrupter.where
        if make is breaks:  # whatever happened, a failure never looks like an end
            assert isinstance(last, KeyError | SourceFailed), (interrupter.where, last)
        else:
            assert isinstance(last, StopIteration | SourceFailed), (interrupter.where, last)
        assert shared.state in ("exhausted", "failed")


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("name", CALLS)
def test_while_waiting(name, fair, gate, spawn, in_line):
    call, size = CALLS[name]

    def stops(stop):
        stop()
        yield from numbers()

    for interrupter in each_point(spare=("__exit__",)):
        stop = type(gate)()
        shared = ThreadSafeGenerator(stops(stop), fair=fair)
        slow = spawn(next, shared)
        stop.reached()
        opener = spawn(open_when_waiting, shared, stop, slow)
        with contextlib.suppress(KeyboardInterrupt):
            interrupter.run(lambda shared=shared: call(shared))
        stop.open()
        assert slow.result() == 1
        opener.result()
        rest, last = outcome(shared)
        if isinstance(last, StopIteration):
            assert rest in (list(range(2, 11)), list(range(size + 2, 11))), interrupter.where
        else:
            assert isinstance(last.__cause__, KeyboardInterrupt), (interrupter.where, last)
        assert shared.stats().waiting == 0, interrupter.where


@pytest.mark.parametrize("name", CALLS)
def test_a_finalizer_that_pulls_at_each_point_of_a_fair_call(name, gate, spawn):
    """As a signal handler, it runs on top of whatever its thread was doing, with others in line or not."""
    call, _ = CALLS[name]

    def stops(stop):
        stop()
        yield from numbers(6)

    got = []

    def finalizer():
        try:
            got.append(shared.pull(timeout=60))
        except ReentrantPull as error:
            got.append(error)

    for interrupter in each_point(act=finalizer):
        got.clear()
        stop = type(gate)()
        shared = ThreadSafeGenerator(stops(stop), fair=True)
        slow = spawn(next, shared)
        stop.reached()
        opener = spawn(open_when_waiting, shared, stop, slow)
        mine = list(interrupter.run(lambda shared=shared: call(shared)))
        assert slow.result() == 1
        opener.result()
        rest, last = outcome(shared)
        refused = [value for value in got if isinstance(value, ReentrantPull)]
        values = [value for value in got if value not in refused]
        assert isinstance(last, StopIteration), interrupter.where
        assert sorted(mine + values + rest) == [2, 3, 4, 5, 6], interrupter.where
        assert len(got) == (interrupter.where is not None), interrupter.where
        assert shared.stats().waiting == 0


def open_when_waiting(shared, stop, slow):
    while not shared.stats().waiting and not slow.done:
        threading.Event().wait(0.0005)
    stop.open()


def test_while_closing():
    for interrupter in each_point():
        finalized = []
        shared = ThreadSafeIterator(numbers(), finalizer=lambda finalized=finalized: finalized.append(1))
        with contextlib.suppress(KeyboardInterrupt):
            interrupter.run(shared.close)
        shared.close()
        assert finalized == [1], interrupter.where
        assert shared.state == "closed"


def test_a_source_that_fails_of_an_interrupt_says_so():
    def interrupted():
        yield 1
        raise KeyboardInterrupt

    shared = ThreadSafeIterator(interrupted())
    assert next(shared) == 1
    with pytest.raises(KeyboardInterrupt):
        next(shared)
    with pytest.raises(SourceFailed):
        next(shared)
