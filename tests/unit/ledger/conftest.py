"""Doors at which a test stops threads, and functions that run beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

PATIENCE = 10.0  # seconds; only a test that fails waits for so long


class Door:
    """Threads stop here, one by one, until the test lets them go. Open at first."""

    def __init__(self) -> None:
        self._shut = False
        self._came = threading.Semaphore(0)
        self._go = threading.Semaphore(0)

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        """For good: who stands here goes, who comes passes."""
        self._shut = False
        self._go.release(1_000)

    def pass_(self) -> None:
        if self._shut:
            self._came.release()
            assert self._go.acquire(timeout=PATIENCE)

    def await_one(self) -> None:
        """Until a thread stands here."""
        assert self._came.acquire(timeout=PATIENCE)

    def let_one(self) -> None:
        self._go.release()


@pytest.fixture
def in_thread() -> Iterator[Callable[..., Callable[[], Any]]]:
    """Run a function in a thread; what is returned waits for its result."""
    threads: list[threading.Thread] = []

    def run(function: Callable[..., Any], *args: Any) -> Callable[[], Any]:
        outcome: Future[Any] = Future()

        def target() -> None:
            try:
                outcome.set_result(function(*args))
            except BaseException as error:
                outcome.set_exception(error)

        threads.append(threading.Thread(target=target, daemon=True))
        threads[-1].start()
        return lambda: outcome.result(PATIENCE)

    yield run
    for thread in threads:
        thread.join(PATIENCE)
