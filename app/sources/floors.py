"""The last identifier of each kind, shared by all sources of one process that make them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T", int, tuple[int, int])


class Floor(Generic[T]):
    """The last identifier of one kind: the next one is above it, whichever source asks for it.

    So two queues with one node never make the same identifier, nor does a source that is opened again while
    the last values of its predecessor are on their way.
    """

    def __init__(self, last: T) -> None:
        self._lock = Lock()
        self._last: T = last

    def lift(self, last: T) -> None:
        """Go on above ``last`` too, which an earlier process made."""
        with self._lock:
            self._last = max(self._last, last)

    def next(self, step: Callable[[T], T]) -> T:
        """The identifier that ``step`` makes from the last one; it must be larger."""
        with self._lock:
            self._last = step(self._last)
            return self._last
