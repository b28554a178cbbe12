"""``@threadsafe_generator``: on what it works, and what it refuses."""

import functools
import inspect

import pytest
from dibs.iterators import ThreadSafeGenerator, threadsafe_generator


@threadsafe_generator
def numbers(last: int, *, step: int = 1):
    """Count."""
    yield from range(0, last, step)


class Box:
    def __init__(self, size):
        self.size = size

    @threadsafe_generator
    def inside(self, times=1):
        for number in range(self.size):
            yield number * times

    @staticmethod
    @threadsafe_generator
    def static(last):
        yield from range(last)

    @classmethod
    @threadsafe_generator
    def of_class(cls):
        yield cls.__name__

    @threadsafe_generator
    def __iter__(self):
        yield self.size


def test_a_function():
    shared = numbers(5, step=2)
    assert isinstance(shared, ThreadSafeGenerator)
    assert list(shared) == [0, 2, 4]
    assert list(numbers(2)) == [0, 1]  # each call is a generator of its own


def test_it_keeps_its_face():
    assert (numbers.__name__, numbers.__doc__) == ("numbers", "Count.")
    assert str(inspect.signature(numbers)) == "(last: int, *, step: int = 1)"
    assert inspect.isgeneratorfunction(numbers.__wrapped__)
    assert inspect.isgenerator(numbers.__wrapped__(3))


def test_methods():
    box = Box(3)
    assert list(box.inside()) == [0, 1, 2]
    assert list(box.inside(times=2)) == [0, 2, 4]
    assert list(Box.static(2)) == [0, 1]
    assert list(Box.of_class()) == ["Box"]
    assert list(box) == [3]


def test_a_wrong_call_is_told_as_ever():
    with pytest.raises(TypeError, match="last"):
        numbers()


@pytest.mark.parametrize("fair", [False, True])
def test_with_options(fair):
    @threadsafe_generator(fair=fair)
    def one():
        yield 1

    assert list(one()) == [1]


def test_how_a_queue_resumes_it_is_an_attribute_of_the_function():
    @threadsafe_generator(resume="anew")
    def search():
        yield 1

    assert search.resume == "anew"
    assert list(search()) == [1]
    assert list(threadsafe_generator(search.__wrapped__, fair=True, resume="anew")()) == [1]
    assert not hasattr(numbers, "resume")


@pytest.mark.parametrize("wrong", ["again", "replay", "", True, 1])
def test_another_way_to_resume_is_refused(wrong):
    with pytest.raises(ValueError, match='resume must be "anew" or None'):
        threadsafe_generator(resume=wrong)


def plain():
    return iter([1])


async def coroutine():
    return 1


async def agen():
    yield 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (plain, "plain is not a generator function: it has no yield"),
        (lambda: 1, "no yield"),
        (len, "no yield"),
        (functools.partial(plain), "no yield"),
        (coroutine, "coroutine is a coroutine function"),
        (agen, "agen: an async generator belongs to one event loop"),
        (staticmethod(numbers.__wrapped__), "put @staticmethod above"),
        (classmethod(numbers.__wrapped__), "put @classmethod above"),
        (Box, "Box is not a generator function"),
        ("text", "not a generator function"),
    ],
)
def test_what_is_no_generator_function_is_refused_at_once(function, reason):
    with pytest.raises(TypeError, match=reason):
        threadsafe_generator(function)


def test_an_async_generator_under_another_decorator_too():
    @functools.wraps(agen)
    def wrapped():
        return agen()

    with pytest.raises(TypeError, match="one event loop"):
        threadsafe_generator(wrapped)


def test_what_can_not_be_told_is_refused_by_the_call():
    class Callable:
        def __init__(self, result):
            self.result = result

        def __call__(self):
            return self.result

    assert list(threadsafe_generator(Callable(n for n in range(2)))()) == [0, 1]
    with pytest.raises(TypeError, match="gave int, not a generator"):
        threadsafe_generator(Callable(42))()


def test_under_another_decorator_it_works():
    def doubled(function):
        @functools.wraps(function)
        def wrapper(*args):
            return (2 * value for value in function(*args))

        return wrapper

    shared = threadsafe_generator(doubled(numbers.__wrapped__))
    assert list(shared(3)) == [0, 2, 4]


def test_a_partial_of_a_generator_function():
    assert list(threadsafe_generator(functools.partial(numbers.__wrapped__, 2))()) == [0, 1]
