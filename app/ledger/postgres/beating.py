"""The beat of an owner that is loading: the position is stepped, so that the others see that it is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .fence import Fenced, Position
from .pipeline import Broken, Failed, Unsafe

EVERY: Final = 1.0
"""Seconds between two steps."""


@contextmanager
def beating(position: Position, now: Callable[[], int]) -> Iterator[None]:
    """Step the position once a second meanwhile, on a thread; nobody else may use it.

    Raises:
        Fenced, Failed, Broken, Unsafe: a step failed; what was loaded is not this owner's.
    """
    stop = threading.Event()
    failed: list[Exception] = []

    def beat() -> None:
        while not stop.wait(EVERY):
            try:
                position.step(now())
            except (Fenced, Failed, Broken, Unsafe) as error:
                failed.append(error)
                return

    thread = threading.Thread(target=beat, name="dibs-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
