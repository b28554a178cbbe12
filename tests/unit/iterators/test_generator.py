"""``ThreadSafeGenerator``: send and throw under the same lock."""

import inspect
import re
from collections.abc import Generator

import pytest
from dibs.errors import ReentrantPull, SourceFailed
from dibs.iterators import ThreadSafeGenerator, ThreadSafeIterator, threadsafe_iter


def echo():
    """Yields what it was sent; answers an exception with its name; returns at "stop"."""
    got = None
    while got != "stop":
        try:
            got = yield got
        except LookupError as error:
            got = type(error).__name__
    return "returned"


def started():
    shared = ThreadSafeGenerator(echo())
    assert next(shared) is None
    return shared


def test_it_is_a_generator():
    shared = ThreadSafeGenerator(echo())
    assert isinstance(shared, Generator)
    assert isinstance(shared, ThreadSafeIterator)


def test_it_wants_a_generator():
    with pytest.raises(TypeError, match="list is not a generator"):
        ThreadSafeGenerator([1])


def test_send_and_throw_and_return():
    shared = started()
    assert shared.send("a") == "a"
    assert shared.throw(KeyError("x")) == "KeyError"
    assert shared.throw(IndexError) == "IndexError"
    with pytest.raises(StopIteration) as end:
        shared.send("stop")
    assert end.value.value == "returned"
    assert shared.state == "exhausted"
    with pytest.raises(StopIteration) as end:
        shared.send("more")
    assert end.value.value is None


@pytest.mark.filterwarnings("ignore:the .* signature of throw.* is deprecated:DeprecationWarning")  # 3.12
def test_the_long_form_of_throw():
    assert started().throw(KeyError, "x", None) == "KeyError"


def test_yield_from_goes_through_it():
    def outer(inner):
        return (yield from inner)

    outside = outer(ThreadSafeGenerator(echo()))
    assert next(outside) is None
    assert outside.send("a") == "a"
    assert outside.throw(KeyError()) == "KeyError"
    with pytest.raises(StopIteration) as end:
        outside.send("stop")
    assert end.value.value == "returned"


def test_a_value_for_a_generator_not_started_changes_nothing():
    shared = ThreadSafeGenerator(echo())
    with pytest.raises(TypeError, match="just-started"):
        shared.send("early")
    assert shared.state == "open"
    assert shared.send(None) is None
    assert shared.send("a") == "a"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize(
    "args",
    [
        ("abc",),
        (42,),
        (None,),
        (int,),
        (object(),),
        (KeyError("x"), "y"),
        (KeyError, "x", "no traceback"),
        (KeyError("x"), None, 42),
    ],
)
@pytest.mark.filterwarnings("ignore:the .* signature of throw.* is deprecated:DeprecationWarning")
def test_what_is_no_exception_is_refused_as_ever_and_nothing_changes(args, begun):
    plain, shared = echo(), ThreadSafeGenerator(echo())
    if begun:
        next(plain), next(shared)
    pulls = shared.stats().pulls
    with pytest.raises(TypeError) as expected:
        plain.throw(*args)
    with pytest.raises(TypeError) as refused:
        shared.throw(*args)
    assert str(refused.value) == str(expected.value)
    assert (shared.state, shared.stats().pulls) == ("open", pulls)
    assert [shared.send(None), shared.send("a")] == [None, "a"]


class Wrapping(Generator):
    """A generator of one's own, which passes everything on; it can't be asked for its state."""

    def __init__(self, inner):
        self.inner = inner

    def send(self, value):
        return self.inner.send(value)

    def throw(self, *args):
        return self.inner.throw(*args)


@pytest.mark.parametrize("wrap", [ThreadSafeGenerator, Wrapping, lambda g: Wrapping(ThreadSafeGenerator(g))])
def test_a_first_value_that_any_source_refuses_changes_nothing(wrap):
    shared = ThreadSafeGenerator(wrap(echo()))
    for _ in range(2):
        with pytest.raises(TypeError, match="just-started"):
            shared.send("early")
    assert (shared.state, shared.cause, shared.stats().pulls) == ("open", None, 0)
    assert [shared.send(None), shared.send("a")] == [None, "a"]


@pytest.mark.parametrize("wrap", [iter, ThreadSafeGenerator, Wrapping])
def test_a_type_error_of_the_source_itself_fails_it(wrap):
    def raises():
        yield 1
        raise TypeError("mine")

    shared = ThreadSafeGenerator(wrap(raises()))
    assert next(shared) == 1
    with pytest.raises(TypeError, match="mine"):
        shared.send("x")
    assert shared.state == "failed"
    at_once = ThreadSafeGenerator(wrap(n // "x" for n in (1,)))
    with pytest.raises(TypeError):
        next(at_once)
    assert at_once.state == "failed"


def test_it_can_be_inspected_as_a_generator():
    states = []

    def looking():
        states.append(inspect.getgeneratorstate(shared))
        yield from (1, 2)

    shared = ThreadSafeGenerator(looking())
    states.append(inspect.getgeneratorstate(shared))
    next(shared)
    states.append(inspect.getgeneratorstate(shared))
    assert shared.gi_yieldfrom is not None
    assert (shared.gi_code.co_name, shared.gi_frame.f_code, shared.gi_running) == (
        "looking",
        shared.gi_code,
        False,
    )
    assert list(shared) == [2]
    states.append(inspect.getgeneratorstate(shared))
    assert states == ["GEN_CREATED", "GEN_RUNNING", "GEN_SUSPENDED", "GEN_CLOSED"]
    closed = ThreadSafeGenerator(echo())
    closed.close()
    assert inspect.getgeneratorstate(closed) == "GEN_CLOSED"


def test_it_has_the_names_of_its_function():
    shared = ThreadSafeGenerator(echo())
    assert (shared.__name__, shared.__qualname__) == ("echo", "echo")
    assert re.fullmatch(r"<ThreadSafeGenerator echo, open at 0x[0-9a-f]+>", repr(shared))
    shared.close()
    assert "echo, closed" in repr(shared)
    assert "Wrapping, open" in repr(ThreadSafeGenerator(Wrapping(echo())))
    with pytest.raises(AttributeError, match="no attribute 'gi_frame_'"):
        shared.gi_frame_  # noqa: B018
    with pytest.raises(AttributeError):
        inspect.getgeneratorstate(ThreadSafeGenerator(Wrapping(echo())))  # as for the plain one


def test_an_exception_that_comes_back_out_fails_the_source():
    shared = started()
    boom = ZeroDivisionError("boom")
    with pytest.raises(ZeroDivisionError):
        shared.throw(boom)
    assert (shared.state, shared.cause) == ("failed", boom)
    for call in (lambda: next(shared), lambda: shared.send(1), lambda: shared.throw(KeyError())):
        with pytest.raises(SourceFailed) as later:
            call()
        assert later.value.__cause__ is boom


def test_an_exhausted_one_lets_an_exception_through():
    """As a plain generator does: a StopIteration here would swallow it."""
    shared = ThreadSafeGenerator(number for number in ())
    assert list(shared) == []
    with pytest.raises(KeyError):
        shared.throw(KeyError("x"))
    assert shared.state == "exhausted"


def test_sends_wait_for_one_another(spawn, gate, in_line):
    def gated():
        got = yield
        gate()
        got = yield ("first", got)
        yield ("second", got)

    shared = ThreadSafeGenerator(gated())
    next(shared)
    first = spawn(shared.send, "a")
    gate.reached()
    second = spawn(shared.send, "b")
    in_line(shared, 1)
    gate.open()
    assert first.result() == ("first", "a")
    assert second.result() == ("second", "b")


def test_throw_and_close_wait_for_a_send(spawn, gate, in_line):
    caught = []

    def gated():
        yield
        gate()
        try:
            yield 1
        except KeyError as error:
            caught.append(error)
        yield 2

    shared = ThreadSafeGenerator(gated())
    next(shared)
    send = spawn(shared.send, None)
    gate.reached()
    throw = spawn(shared.throw, KeyError("x"))
    in_line(shared, 1)
    assert caught == []
    gate.open()
    assert (send.result(), throw.result(), len(caught)) == (1, 2, 1)


def test_from_inside_they_are_refused():
    def selfish():
        for call in (lambda: shared.send(None), lambda: shared.throw(KeyError())):
            with pytest.raises(ReentrantPull):
                call()
        shared.close()
        yield 1

    shared = ThreadSafeGenerator(selfish())
    assert next(shared) == 1
    assert shared.state == "closed"


def test_send_behind_values_that_were_put_back(source):
    """An interrupted take left values in front: they come first, and none is lost."""
    source.raises[4] = KeyboardInterrupt()
    shared = ThreadSafeGenerator(source())
    with pytest.raises(KeyboardInterrupt):
        shared.take(10)
    assert [shared.send(None), shared.send("x"), next(shared)] == [1, 2, 3]
    with pytest.raises(SourceFailed):
        shared.send(None)


def test_threadsafe_iter_keeps_what_it_is_given():
    assert isinstance(threadsafe_iter(echo()), ThreadSafeGenerator)
    plain = threadsafe_iter([1, 2], fair=True)
    assert not isinstance(plain, Generator)
    assert list(plain) == [1, 2]
