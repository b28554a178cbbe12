"""What happened to a queue, step by step, for as far back as its charts go.

A queue that is always busy keeps 330 steps of 72 bytes: some 24 KB, for a week. It is memory alone: charts
begin when the server does.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from ..queue.meters import Traffic

SPANS: Final[Mapping[str, tuple[int, int]]] = {
    "15m": (10_000, 90),
    "1h": (60_000, 60),
    "1d": (900_000, 96),
    "7d": (7_200_000, 84),
}
"""How far back the charts go: milliseconds of a step, and how many steps."""

SHORT: Final = 60_000
"""Milliseconds of a step that is shown once it is over; of a longer one what has come so far is shown."""

LEAST: Final = 1_000
"""Milliseconds of a step of which a rate may be told."""

AT_REST: Final = Traffic()

_COUNTS: Final = len(Traffic._fields)
_TIMES: Final = _COUNTS + 1
_WIDTH: Final = _TIMES + 3
_NEVER: Final = (math.nan,) * 3

Times = tuple[float, float, float]


class Sample(NamedTuple):
    """What happened in one step: counts of items, and percentiles of the time to answer (seconds).

    The times are those of the last answers, as it was when they were looked at last within the step.
    """

    traffic: Traffic = AT_REST
    died: int = 0
    times: Times | None = None


NOTHING: Final = Sample()


class Steps:
    """The samples of one queue, a step each, for as many steps as are shown; steps at rest are left out.

    It owns the numbers of the steps, and beside each a row: the counts, the deaths, three times.
    """

    __slots__ = ("_at", "_rows", "most", "step")

    def __init__(self, step: int, most: int) -> None:
        self.step = step
        self.most = most
        self._at = array("q")
        self._rows = array("d")

    def add(self, now: int, sample: Sample) -> None:
        """Count what has happened since the last look; of the times the later stay."""
        at, rows = now // self.step, self._rows
        if not self._at or self._at[-1] != at:
            self._at.append(at)
            rows.extend((0,) * _TIMES + _NEVER)
        base = len(rows) - _WIDTH
        for n, count in enumerate((*sample.traffic, sample.died)):
            rows[base + n] += count
        if sample.times is not None:
            rows[base + _TIMES :] = array("d", sample.times)
        gone = 0
        while self._at[gone] < at - self.most:
            gone += 1
        if gone:
            del self._at[:gone], rows[: gone * _WIDTH]

    def at_rest(self, now: int) -> bool:
        """Whether nothing has happened in all the steps that are shown."""
        return not self._at or self._at[-1] < now // self.step - self.most

    def last(self, now: int, steps: int) -> list[tuple[int, int]]:
        """Of the last steps that are over: the number of each that was not at rest, and its hand-outs."""
        end = now // self.step
        begin, found = end - steps, []
        for n in range(len(self._at) - 1, -1, -1):
            at = self._at[n]
            if at < begin:
                break
            if at < end:
                found.append((at - begin, int(self._rows[n * _WIDTH])))
        return found

    def first(self, now: int) -> int:
        """The number of the first step that is shown; the last is over, or a long one that still goes on."""
        return now // self.step - self.most + (self.step > SHORT)

    def outs(self, now: int, began: int) -> list[int | None]:
        """The hand-outs of each step that is shown; None for those before the server began."""
        first, birth = self.first(now), began // self.step
        found: list[int | None] = [0 if first + n >= birth else None for n in range(self.most)]
        for n, at in enumerate(self._at):
            if 0 <= at - first < self.most:
                found[at - first] = int(self._rows[n * _WIDTH])
        return found

    def shown(self, now: int, began: int) -> list[Sample | None]:
        """A sample for each step that is shown; None for those before the server began."""
        first, birth = self.first(now), began // self.step
        found = [NOTHING if first + n >= birth else None for n in range(self.most)]
        for n, at in enumerate(self._at):
            if 0 <= at - first < self.most:
                found[at - first] = _sample(self._rows[n * _WIDTH : (n + 1) * _WIDTH])
        return found

    def seconds(self, now: int, began: int) -> list[float | None]:
        """How long each step has been counted, since it or the server began; None where that is too short."""
        first, step = self.first(now), self.step
        spans = [min((at + 1) * step, now) - max(at * step, began) for at in range(first, first + self.most)]
        return [span / 1000 if span >= LEAST else None for span in spans]


def _sample(row: Sequence[float]) -> Sample:
    *counts, died = map(int, row[:_TIMES])
    p50, p90, p99 = row[_TIMES:]
    return Sample(Traffic(*counts), died, None if math.isnan(p50) else (p50, p90, p99))
