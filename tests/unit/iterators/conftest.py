"""Gates and threads: a race is brought about step by step, never hoped for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

PATIENCE = 60  # seconds; a test that needs it has failed


class Gate:
    """A place where a thread says that it has come, and waits to be let through."""

    def __init__(self) -> None:
        self._arrived = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self._arrived.set()
        assert self._open.wait(PATIENCE), "nobody opened the gate"

    def reached(self) -> None:
        assert self._arrived.wait(PATIENCE), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


class Call:
    """A function that runs in a thread of its own; what came of it is asked for here."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self._function, self._args = function, args
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._function(*self._args)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(PATIENCE)
        assert self.done, "still running"
        if self._error is not None:
            raise self._error
        return self._result

    def error(self) -> BaseException | None:
        self._thread.join(PATIENCE)
        assert self.done, "still running"
        return self._error


class Source:
    """A generator of 1, 2, 3… that stops at gates, counts how often it was finalized, and may end badly."""

    def __init__(self) -> None:
        self.gates: dict[int, Gate] = {}
        self.raises: dict[int, BaseException] = {}
        self.finalized = 0
        self.drawn = 0

    def gate(self, number: int) -> Gate:
        return self.gates.setdefault(number, Gate())

    def __call__(self, last: int = 1_000_000) -> Iterator[int]:
        try:
            for number in range(1, last + 1):
                if number in self.gates:
                    self.gates[number]()
                if number in self.raises:
                    raise self.raises[number]
                self.drawn = number
                yield number
        finally:
            self.finalized += 1


def wait_until(condition: Callable[[], object]) -> None:
    """For what has no event, such as "that thread stands in line now": look until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() >= deadline:
            raise TimeoutError("it never came to pass")
        time.sleep(0.0005)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def spawn() -> Callable[..., Call]:
    return Call


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    return wait_until


@pytest.fixture
def in_line() -> Callable[[Any, int], None]:
    """Wait until so many callers wait for their turn at an iterator."""
    return lambda iterator, count: wait_until(lambda: iterator.stats().waiting == count)
