"""The last identifier of each kind, shared by all sources of one process that make them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T", int, tuple[int, int])


class Floor(Generic[T]):
    """Where identifiers go on: each is above all before, whichever source made them.

    Two queues with one node, or a source that is opened again while its predecessor's last values are on
    their way, so never make the same identifier.
    """

    def __init__(self, last: T) -> None:
        self._lock = Lock()
        self._last: T = last

    def lift(self, last: T) -> None:
        """Go on above ``last`` too, which an earlier process made."""
        with self._lock:
            self._last = max(self._last, last)

    def next(self, step: Callable[[T], T]) -> T:
        """``step`` from the last; it must go up."""
        with self._lock:
            self._last = step(self._last)
            return self._last
