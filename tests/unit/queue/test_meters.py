"""What the statistics are made of."""

from __future__ import annotations

import pytest
from dibs.queue.meters import RATE_SECONDS, Rate, percentiles


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_rate_is_the_mean_of_the_last_whole_seconds(clock):
    rate = Rate(clock)
    for _ in range(RATE_SECONDS):
        rate.add(30)
        rate.add(20)
        clock.now += 1
    assert rate.per_second() == 50


def test_the_second_that_goes_on_does_not_count_yet(clock):
    rate = Rate(clock)
    rate.add(100)
    clock.now += 0.9
    assert rate.per_second() == 0
    clock.now += 0.1
    assert rate.per_second() == 100 / RATE_SECONDS


def test_what_is_older_than_the_window_is_forgotten(clock):
    rate = Rate(clock)
    rate.add(100)
    clock.now += RATE_SECONDS
    assert rate.per_second() == 100 / RATE_SECONDS
    clock.now += 1
    assert rate.per_second() == 0


def test_a_rate_keeps_no_more_than_its_window(clock):
    rate = Rate(clock)
    for _ in range(1_000):
        rate.add(1)
        clock.now += 1
    assert len(rate._slots) <= RATE_SECONDS + 1
    assert rate.per_second() == 1


def test_percentiles_of_nothing_are_zero():
    assert percentiles([]) == percentiles(()) == type(percentiles([]))()


@pytest.mark.parametrize(
    ("samples", "p50", "p90", "p99", "most"),
    [([7], 7, 7, 7, 7), (range(1, 102), 51, 91, 100, 101), ([3, 1, 2], 2, 3, 3, 3)],
)
def test_percentiles_are_of_the_nearest_rank(samples, p50, p90, p99, most):
    found = percentiles(samples)
    assert (found.p50, found.p90, found.p99, found.max) == (p50, p90, p99, most)
    assert found.samples == len(list(samples))
