"""`ThreadSafeGenerator`: a shared iterator that is also a generator."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from .closing import has_values
from .core import ThreadSafeIterator
from .front import Front
from .shared import is_interrupt

Y_co = TypeVar("Y_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)


class ThreadSafeGenerator(ThreadSafeIterator[Y_co], Generator[Y_co, S_contra, R_co]):
    """A generator that any number of threads may share: `ThreadSafeIterator` with ``send`` and ``throw``.

    All four of ``next``, ``send``, ``throw`` and ``close`` go one at a time, under the one lock. The
    generator's return value reaches one caller, in the StopIteration that first says that it ended; so
    ``yield from`` works over it. If values stand in front of the generator (drawn for an async caller
    who went away), ``send`` and ``throw`` still resume it, and what it yields queues up behind them.
    """

    __slots__ = ("_generator",)

    def __init__(
        self,
        generator: Generator[Y_co, S_contra, R_co],
        *,
        fair: bool = False,
        finalizer: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(generator, fair=fair, finalizer=finalizer)
        if not isinstance(generator, Generator):
            raise TypeError(f"{type(generator).__name__} is not a generator; share it by ThreadSafeIterator")
        self._generator: Generator[Y_co, S_contra, R_co] = generator

    def send(self, value: S_contra, /) -> Y_co:
        """Resume the generator with `value`, and return the value that it yields next.

        Raises:
            TypeError: `value` is not None and the generator, which was not started yet, refuses it; nothing
                changed.
            ReentrantPull, SourceFailed, SourceClosed, ForkedIterator, StopIteration: As for ``next``.
        """
        sent: Y_co = self._shared.in_turn(self._resume, self._generator.send, value)
        return sent

    @overload
    def throw(
        self, kind: type[BaseException], value: object = None, trace: TracebackType | None = None, /
    ) -> Y_co: ...
    @overload
    def throw(
        self, kind: BaseException, value: None = None, trace: TracebackType | None = None, /
    ) -> Y_co: ...
    def throw(
        self, kind: type[BaseException] | BaseException, value: Any = None, trace: Any = None, /
    ) -> Y_co:
        """Raise an exception where the generator stands, and return the value that it yields next.

        If the exception comes back out, the source has failed with it. An exhausted generator lets the
        exception through, as a plain one does.

        Raises:
            TypeError: `kind` is no exception, or the other two don't go with it; nothing changed.
            ReentrantPull, SourceFailed, SourceClosed, ForkedIterator, StopIteration: As for ``next``.
        """
        _check_exception(kind, value, trace)
        args = (kind,) if value is None and trace is None else (kind, value, trace)
        thrown: Y_co = self._shared.in_turn(self._throw, *args)
        return thrown

    if sys.version_info >= (3, 13):

        def close(self, timeout: float | None = None) -> R_co | None:
            """As `ThreadSafeIterator.close`; one caller gets the value that the generator returns."""
            closed: R_co | None = super().close(timeout)
            return closed

    if not TYPE_CHECKING:  # a type checker should go on knowing what is not there

        def __getattr__(self, name: str) -> Any:
            """The generator's own attributes that `inspect` reads: its frame, its code, its name."""
            if name in _INSPECTED:
                return getattr(self._generator, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        name = getattr(self._generator, "__qualname__", type(self._generator).__qualname__)
        return f"<{type(self).__name__} {name}, {self.state} at {id(self):#x}>"

    # -- with the lock held -------------------------------------------------------------------------------

    def _throw(self, *args: Any) -> tuple[Any, BaseException | None]:
        shared = self._shared
        if self.state != "exhausted" or has_values(shared.iterator):
            return self._resume(self._generator.throw, *args)
        shared.pulls += 1
        try:
            return _finished().throw(*args), None
        except BaseException as error:
            return None, error

    def _resume(self, call: Callable[..., Y_co], *args: Any) -> tuple[Any, BaseException | None]:
        """Resume the generator by `call`; the first value in order goes out, later ones stay in front."""
        shared = self._shared
        shared.hand = drawn = self._drain()
        try:
            drawn.append(call(*args) if shared.ending is None else next(shared.iterator))
        except BaseException as error:
            shared.raised = error
            if isinstance(error, TypeError) and self._not_begun():
                shared.raised = None  # it refused the value before it began
                return None, error
            later = bool(drawn) and not is_interrupt(error)
            shared.latch(error, owed=later)
            shared.pulls += 1
            if not later:
                return None, error
        else:
            shared.pulls += 1
        front = Front[Any](shared, drawn[1:])
        if front.values:
            shared.iterator = front
        shared.hand = drawn[:1]
        return drawn[0], None

    def _not_begun(self) -> bool:
        """Whether the generator is before its first line; if it can't tell, whether nobody resumed it."""
        try:
            return inspect.getgeneratorstate(self._generator) == inspect.GEN_CREATED
        except AttributeError:
            return not (self._shared.singles or self._shared.pulls)

    def _drain(self) -> list[Any]:
        shared = self._shared
        drained: list[Any] = []
        while isinstance(shared.iterator, Front):
            drained += shared.iterator.drain()
        return drained


_INSPECTED: Final = frozenset(
    {"__name__", "__qualname__", "gi_code", "gi_frame", "gi_running", "gi_suspended", "gi_yieldfrom"}
)


def _check_exception(kind: object, value: object, trace: object) -> None:
    """Refuse an exception that can't be raised before the generator is touched, with Python's own message."""
    if trace is not None and not isinstance(trace, TracebackType):
        raise TypeError("throw() third argument must be a traceback object")
    if isinstance(kind, BaseException):
        if value is not None:
            raise TypeError("instance exception may not have a separate value")
    elif not (isinstance(kind, type) and issubclass(kind, BaseException)):
        name = type(kind).__name__
        raise TypeError(f"exceptions must be classes or instances deriving from BaseException, not {name}")


def _finished() -> Generator[Any, Any, Any]:
    return
    yield
