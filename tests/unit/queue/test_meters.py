"""What the statistics are made of."""

from __future__ import annotations

from dataclasses import astuple, fields

import pytest
from dibs.queue.meters import COUNTS, METRICS, RATE_SECONDS, Meter, Rate, percentiles
from dibs.queue.stats import QueueStats, Stats


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Counted:
    """A count and its rate, as a queue keeps them."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.count, self.rate = clock, 0, Rate(clock)

    def add(self, events: int) -> None:
        if self.clock.now >= self.rate.until:
            self.rate.begin(self.clock.now, self.count)
        self.count += events

    def per_second(self) -> float:
        return self.rate.per_second(self.count)


@pytest.fixture
def counted(clock) -> Counted:
    return Counted(clock)


def test_a_rate_is_the_mean_of_the_last_whole_seconds(clock, counted):
    for _ in range(RATE_SECONDS):
        counted.add(30)
        counted.add(20)
        clock.now += 1
    assert counted.per_second() == 50


def test_the_second_that_goes_on_does_not_count_yet(clock, counted):
    counted.add(100)
    clock.now += 0.9
    counted.add(10)
    assert counted.per_second() == 0
    clock.now += 0.1
    counted.add(1_000)
    assert counted.per_second() == 110 / RATE_SECONDS


def test_what_is_older_than_the_window_is_forgotten(clock, counted):
    counted.add(100)
    clock.now += RATE_SECONDS
    assert counted.per_second() == 100 / RATE_SECONDS
    clock.now += 1
    assert counted.per_second() == 0


def test_seconds_without_an_event_count_as_such(clock, counted):
    counted.add(100)
    clock.now += 5
    counted.add(50)
    clock.now += 3
    assert counted.per_second() == 150 / RATE_SECONDS
    clock.now += 3
    assert counted.per_second() == 50 / RATE_SECONDS


def test_a_rate_keeps_no_more_than_its_window(clock, counted):
    for _ in range(1_000):
        counted.add(1)
        clock.now += 1
    assert len(counted.rate._begun) <= RATE_SECONDS + 1
    assert counted.per_second() == 1


def test_percentiles_of_nothing_are_none_and_not_zero():
    assert astuple(percentiles([])) == (None, None, None, None, 0)
    assert astuple(percentiles([0.0])) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("samples", "p50", "p90", "p99", "most"),
    [([7], 7, 7, 7, 7), (range(1, 102), 51, 91, 100, 101), ([3, 1, 2], 2, 3, 3, 3)],
)
def test_percentiles_are_of_the_nearest_rank(samples, p50, p90, p99, most):
    found = percentiles(samples)
    assert (found.p50, found.p90, found.p99, found.max) == (p50, p90, p99, most)
    assert found.samples == len(list(samples))


@pytest.mark.parametrize("told", [QueueStats, Stats])
def test_each_count_of_a_meter_is_told_of_a_queue_and_of_the_server(told):
    meter = Meter()
    meter.pushed += 3
    assert meter.counts() == {**dict.fromkeys(COUNTS, 0), "pushed": 3}
    assert set(Meter.__slots__) - set(COUNTS) == {"rate", "answers"}
    assert set(COUNTS) < {each.name for each in fields(told)}
    assert set(COUNTS) - set(METRICS) == {"in_flight"}
