"""`ThreadSafeGenerator`: a shared iterator that is also a generator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from types import GeneratorType, TracebackType
from typing import Any, TypeVar, overload

from .core import ThreadSafeIterator
from .endings import Exhausted
from .front import Front
from .pulls import is_interrupt

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
        """Resume the generator with `value`, and get what it yields next.

        Raises:
            TypeError: `value` is not None and the generator was not started yet; nothing changed.
            ReentrantPull, SourceFailed, SourceClosed, ForkedIterator, StopIteration: As for ``next``.
        """
        sent: Y_co = self._in_turn(self._send, value)
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
        """Raise an exception where the generator stands, and get what it yields next.

        If the exception comes back out, the source has failed with it. An exhausted generator lets it
        through, as a plain one does.

        Raises:
            ReentrantPull, SourceFailed, SourceClosed, ForkedIterator, StopIteration: As for ``next``.
        """
        args = (kind,) if value is None and trace is None else (kind, value, trace)
        thrown: Y_co = self._in_turn(self._throw, args)
        return thrown

    # -- with the lock held -------------------------------------------------------------------------------

    def _send(self, value: S_contra) -> tuple[Any, BaseException | None]:
        generator = self._generator
        if (
            value is not None
            and isinstance(generator, GeneratorType)
            and inspect.getgeneratorstate(generator) == inspect.GEN_CREATED
        ):
            return None, TypeError("can't send non-None value to a just-started generator")
        return self._resume(lambda: generator.send(value))

    def _throw(self, args: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
        if isinstance(self._ending, Exhausted):
            return self._draw_by(lambda: _finished().throw(*args))
        return self._resume(lambda: self._generator.throw(*args))

    def _resume(self, call: Callable[[], Y_co]) -> tuple[Any, BaseException | None]:
        """Resume by `call`; the first value in order goes out, the others stay in front."""
        self._pulls += 1
        self._hand = drawn = self._drain()
        try:
            drawn.append(call() if self._ending is None else next(self._iterator))
        except BaseException as error:
            self._raised = error
            later = bool(drawn) and not is_interrupt(error)
            self._latch(error, owed=later)
            if not later:
                return None, error
        front = Front[Any](self, drawn[1:])
        if front.values:
            self._iterator = front
        self._hand = drawn[:1]
        return drawn[0], None

    def _drain(self) -> list[Any]:
        drained: list[Any] = []
        while isinstance(self._iterator, Front):
            drained += self._iterator.drain()
        return drained


def _finished() -> Generator[Any, Any, Any]:
    return
    yield
