"""`threadsafe_generator` and `threadsafe_iter`: how users share a generator function or an iterator."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from .core import ThreadSafeIterator
from .generator import ThreadSafeGenerator

P = ParamSpec("P")
T = TypeVar("T")
Y = TypeVar("Y")
S = TypeVar("S")
R = TypeVar("R")
Resume = Literal["anew"]


class _Decorator(Protocol):
    """The decorator that ``threadsafe_generator(fair=True)`` returns, or a call with any other option."""

    @overload
    def __call__(
        self, function: Callable[P, Generator[Y, S, R]], /
    ) -> Callable[P, ThreadSafeGenerator[Y, S, R]]: ...
    @overload
    def __call__(
        self, function: Callable[P, Iterable[Y]], /
    ) -> Callable[P, ThreadSafeGenerator[Y, Any, Any]]: ...


@overload
def threadsafe_generator(
    function: Callable[P, Generator[Y, S, R]], /, *, fair: bool = False, resume: Resume | None = None
) -> Callable[P, ThreadSafeGenerator[Y, S, R]]: ...
@overload
def threadsafe_generator(
    function: Callable[P, Iterable[Y]], /, *, fair: bool = False, resume: Resume | None = None
) -> Callable[P, ThreadSafeGenerator[Y, Any, Any]]: ...
@overload
def threadsafe_generator(*, fair: bool = False, resume: Resume | None = None) -> _Decorator: ...
def threadsafe_generator(function: Any = None, /, *, fair: bool = False, resume: Resume | None = None) -> Any:
    """Make each call of a generator function give a `ThreadSafeGenerator`.

    The function keeps its parameters, its name and its yield, send and return types; ``__wrapped__`` is
    the plain one. It works on methods as on functions. ``@staticmethod`` and ``@classmethod`` stand
    above it::

        @staticmethod
        @threadsafe_generator
        def numbers() -> Iterator[int]: ...

    Args:
        function: The generator function.
        fair: As for `ThreadSafeIterator`: ``@threadsafe_generator(fair=True)``.
        resume: How a queue goes on with it after a restart of the server. ``"anew"``: its values need not
            repeat (a random search, an API, a cursor of a database), so it is run anew, and nothing is
            skipped or compared. None: it takes ``resume_at``, or yields the same values each time.

    Raises:
        ValueError: `resume` is something else.
        TypeError: `function` is not a generator function. If that can't be seen (a callable object, or a
            function under another decorator), the first call raises it.
    """
    if resume not in (None, "anew"):
        raise ValueError(f'resume must be "anew" or None, not {resume!r:.64}')
    if function is None:
        return functools.partial(threadsafe_generator, fair=fair, resume=resume)
    _check(function)

    @functools.wraps(function)
    def shared(*args: Any, **kwargs: Any) -> ThreadSafeGenerator[Any, Any, Any]:
        made = function(*args, **kwargs)
        if not isinstance(made, Generator):
            raise TypeError(f"{_name(function)} gave {type(made).__name__}, not a generator")
        return ThreadSafeGenerator(made, fair=fair)

    if resume is not None:
        setattr(shared, "resume", resume)  # noqa: B010  # where sources look for it; a function has no such field
    return shared


@overload
def threadsafe_iter(
    iterable: Generator[Y, S, R], /, *, fair: bool = False
) -> ThreadSafeGenerator[Y, S, R]: ...
@overload
def threadsafe_iter(iterable: Iterable[T], /, *, fair: bool = False) -> ThreadSafeIterator[T]: ...
def threadsafe_iter(iterable: Iterable[Any], /, *, fair: bool = False) -> ThreadSafeIterator[Any]:
    """Share an iterator between threads; a generator stays a generator.

    Raises:
        TypeError: The argument is not iterable, or it is an async generator.
    """
    if isinstance(iterable, Generator):
        return ThreadSafeGenerator(iterable, fair=fair)
    return ThreadSafeIterator(iterable, fair=fair)


def _check(function: Any) -> None:
    """Refuse a function that certainly is not a generator function, and say why."""
    name = _name(function)
    if isinstance(function, (staticmethod, classmethod)):
        kind = type(function).__name__
        raise TypeError(f"{name}: put @{kind} above @threadsafe_generator, not below it")
    if not callable(function) or inspect.isclass(function):
        raise TypeError(f"{name} is not a generator function; share an iterator by ThreadSafeIterator(it)")
    plain = inspect.unwrap(function)
    if inspect.isasyncgenfunction(plain):
        raise TypeError(f"{name}: an async generator belongs to one event loop, threads can't share it")
    if inspect.iscoroutinefunction(plain):
        raise TypeError(f"{name} is a coroutine function, not a generator function")
    decided = plain is function and (inspect.isroutine(plain) or isinstance(plain, functools.partial))
    if decided and not inspect.isgeneratorfunction(plain):
        raise TypeError(f"{name} is not a generator function: it has no yield")


def _name(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)
