"""What is charted is what was counted, step by step, in bounded memory."""

import random
import sys
from collections import defaultdict

import pytest
from dibs.dashboard.steps import LEAST, SHORT, SPANS, Sample, Steps
from dibs.queue.meters import Traffic

BEGAN = 1_700_000_000_000
HOUR = 3_600_000
WEEK = 7 * 24 * HOUR


def sample(dice):
    traffic = Traffic(*(dice.randrange(9) for _ in Traffic._fields))
    times = dice.choice([None, (dice.random(), dice.random(), dice.random())])
    return Sample(traffic, dice.randrange(3), times)


@pytest.mark.parametrize("span", SPANS)
def test_each_step_has_what_was_counted_in_it(span):
    step, most = SPANS[span]
    dice, steps, now = random.Random(span), Steps(step, most), BEGAN
    counts, times = defaultdict(lambda: [0] * 5), {}
    for _ in range(1_500):
        now += dice.choice([0, 1, step // 7, step // 3, step, 3 * step])
        one = sample(dice)
        steps.add(now, one)
        for n, count in enumerate((*one.traffic, one.died)):
            counts[now // step][n] += count
        times[now // step] = one.times or times.get(now // step)
        last = now // step - (step <= SHORT)
        first = last - most + 1
        shown = steps.shown(now, BEGAN)
        assert steps.first(now) == first
        assert shown == [
            None
            if at < BEGAN // step
            else Sample(Traffic(*counts[at][:4]), counts[at][4], times.get(at))
            if at in counts
            else Sample()
            for at in range(first, last + 1)
        ]
        assert steps.outs(now, BEGAN) == [each and each.traffic.out for each in shown]
        over = {
            at - (now // step - 6): each[0]
            for at, each in counts.items()
            if now // step - 6 <= at < now // step
        }
        assert dict(steps.last(now, 6)) == over


def test_a_rate_is_of_the_time_that_was_counted():
    """Of the step in which the server began, and of a long one that still goes on, only a part."""
    began = BEGAN - BEGAN % (2 * HOUR) + HOUR
    steps = Steps(*SPANS["7d"])
    assert steps.seconds(began + LEAST - 1, began)[-1] is None
    assert steps.seconds(began + LEAST, began)[-2:] == [None, 1.0]
    assert steps.seconds(began + 2 * HOUR, began)[-3:] == [None, 3600.0, 3600.0]
    assert steps.seconds(began + 4 * HOUR, began)[-4:] == [None, 3600.0, 7200.0, 3600.0]
    short = Steps(*SPANS["15m"])
    assert short.seconds(began + 25_000, began + 4_000)[-3:] == [None, 6.0, 10.0]


def test_a_week_of_a_busy_queue_takes_little_memory():
    """All spans together; what is older goes."""
    spans, dice = [Steps(*size) for size in SPANS.values()], random.Random(1)
    for now in range(BEGAN, BEGAN + 2 * WEEK, 10_000):
        one = Sample(Traffic(1, 1, 1, 1), 0, (0.1, 0.2, 0.3)) if dice.random() < 0.9 else Sample()
        for steps in spans:
            steps.add(now, one)
    kept = [getattr(steps, name) for steps in spans for name in ("_at", "_rows")]
    assert sum(map(sys.getsizeof, kept)) < 30_000
    assert [steps.shown(BEGAN + 2 * WEEK, BEGAN).count(None) for steps in spans] == [0] * 4
    assert all(steps.at_rest(BEGAN + 4 * WEEK) for steps in spans)
