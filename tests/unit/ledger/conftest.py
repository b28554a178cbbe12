"""Functions that run beside a test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from support.door import PATIENCE


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
