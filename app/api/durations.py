"""How long answers took, by operation and class of status, in the buckets of a histogram."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The upper bounds (seconds) of the buckets; one more is for what took longer: it had to ``wait``."""
CLASSES: Final = ("aborted", "1xx", "2xx", "3xx", "4xx", "5xx")
"""The classes by the first digit of the status; 0 is for a client that left before its answer."""
bucket: Final[Callable[[float], int]] = partial(bisect_left, BOUNDS)
"""The place of some seconds in the counts of ``Times``."""
OTHER: Final = "other"
"""The operation of a request that reaches none: a path that is not there, a head that can't be read."""


class Times:
    """The answers of one operation and class: how many fell into each bucket, and their seconds in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count an answer."""
        self.counts[bucket(seconds)] += 1
        self.seconds += seconds


class Durations:
    """The times of all operations of one server, by name. Lives on the event loop, which alone writes it.

    The operations are those that the server has, so no request can make a new one.
    """

    def __init__(self) -> None:
        self._all: dict[str, list[Times]] = {}

    def of(self, operation: str) -> list[Times]:
        """The times of an operation, by the first digit of the status."""
        found = self._all.get(operation)
        if found is None:
            found = self._all[operation] = [Times() for _ in CLASSES]
        return found

    def all(self) -> Iterator[tuple[str, str, Times]]:
        """Operation, class and times of all that were counted."""
        for operation, classes in self._all.items():
            for name, times in zip(CLASSES, classes, strict=True):
                if any(times.counts):
                    yield operation, name, times
