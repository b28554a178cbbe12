"""The meters behind the statistics: cheap to write on the hot path, evaluated when they are read."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import add, sub
from typing import Final, NamedTuple

from ..ledger.work import Settled
from .stats import Percentiles

Times = deque[float]

SAMPLES: Final = 1024
"""The last times that are kept of each kind."""

RATE_SECONDS: Final = 10
"""The window of a rate."""


COMMIT_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""The upper bounds (seconds) of the buckets in which commits are counted; one more is for all others."""


class Rate:
    """Events a second over the last ten whole seconds, of a count that goes up; kept on the event loop.

    It owns the count as it was at the first event of each second. ``until`` is when the present second ends:
    whoever counts an event after that calls :meth:`begin` before. So an event within a second costs nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.until = 0.0
        self._clock = clock
        self._begun: deque[tuple[int, int]] = deque()

    def begin(self, now: float, count: int) -> None:
        """Begin a second, with the count as it is before the event that comes now."""
        second = int(now)
        self.until = second + 1.0
        self._begun.append((second, count))
        while self._begun[0][0] < second - RATE_SECONDS:
            self._begun.popleft()

    def per_second(self, count: int) -> float:
        """The mean over the window; the second that is still going on does not count."""
        now = int(self._clock())
        events = self._at(now, count) - self._at(now - RATE_SECONDS, count)
        return round(events / RATE_SECONDS, 1)

    def _at(self, second: int, count: int) -> int:
        """The count as it was when this second began, of a count that is ``count`` now."""
        return next((before for begun, before in self._begun if begun >= second), count)


class Commits:
    """The commits since ``began`` (monotonic seconds): their ops and seconds, counted on the event loop."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.count = 0
        self.ops = 0
        self.seconds = 0.0
        self.times: deque[float] = deque(maxlen=SAMPLES)
        self.batches: deque[int] = deque(maxlen=SAMPLES)
        self.buckets = [0] * (len(COMMIT_BOUNDS) + 1)

    def add(self, ops: int, seconds: float) -> None:
        """Count a commit."""
        self.count += 1
        self.ops += ops
        self.seconds += seconds
        self.times.append(seconds)
        self.batches.append(ops)
        self.buckets[bisect_left(COMMIT_BOUNDS, seconds)] += 1


class Traffic(NamedTuple):
    """The counts of items that the page shows: now, or over a time."""

    out: int = 0
    settled: int = 0
    pushed: int = 0
    nacked: int = 0

    def plus(self, other: Traffic) -> Traffic:
        """Both together."""
        return Traffic._make(map(add, self, other))

    def minus(self, other: Traffic) -> Traffic:
        """What has come since the other."""
        return Traffic._make(map(sub, self, other))


@dataclass(slots=True, eq=False)
class Meter:
    """The counts of one queue, written and read on the event loop."""

    requests: int = 0
    handed_out: int = 0
    replays: int = 0
    refused: int = 0
    in_flight: int = 0
    pushed: int = 0
    settled: int = 0
    nacked: int = 0
    rate: Rate = field(default_factory=Rate)
    answers: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def counts(self) -> dict[str, int]:
        """All counts, by the names under which they are told."""
        return {name: getattr(self, name) for name in COUNTS}

    def traffic(self) -> Traffic:
        """The counts that the page shows."""
        return Traffic(self.handed_out, self.settled, self.pushed, self.nacked)

    def settle(self, entries: Iterable[Iterable[Settled]]) -> None:
        """Count settled items, and how many of them wait again or are dead."""
        for entry in entries:
            for settled in entry:
                if settled.first is None or settled.last is None:
                    continue
                items = settled.last - settled.first + 1
                if settled.verdict in ("nacked", "dead"):
                    self.nacked += items
                elif settled.verdict == "acked":
                    self.settled += items


COUNTS: Final = tuple(each.name for each in fields(Meter) if each.type == "int")
"""What is counted of each queue, told as ``stats.py`` has it, and added up for the server."""

METRICS: Final[Mapping[str, tuple[str, str]]] = {
    "requests": ("dibs_requests", "Requests that asked for items."),
    "refused": ("dibs_refused_requests", "Requests that were refused."),
    "replays": ("dibs_replayed_requests", "Requests whose answer was filed before."),
    "handed_out": ("dibs_handed_out_items", "Items that were taken or leased."),
    "pushed": ("dibs_pushed_items", "Items that producers pushed."),
    "settled": ("dibs_acked_items", "Items that were acked."),
    "nacked": ("dibs_nacked_items", "Items that failed: they wait again, or are dead."),
}
"""The counts that only go up, by their names and descriptions for a Prometheus server."""


def percentiles(samples: Collection[float]) -> Percentiles:
    """Of the samples at hand; nearest rank."""
    return Percentiles(*ranked(samples), len(samples)) if samples else Percentiles()


def ranked(samples: Collection[float]) -> tuple[float, float, float, float]:
    """The p50, p90, p99 and the largest of samples, of which there is one at least."""
    ordered = sorted(samples)
    last = len(ordered) - 1
    p50, p90, p99, most = (round(ordered[round(last * share)], 6) for share in (0.5, 0.9, 0.99, 1))
    return p50, p90, p99, most
