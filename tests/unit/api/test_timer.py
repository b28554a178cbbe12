"""The timers of connections share the timers of the loop; the time is what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from dibs.api.lane.timer import STEP, Timer, Timers


class Clock:
    """A loop whose time stands still; what is called at a time is kept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[Call] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> Call:
        self.calls.append(Call(self, when, call))
        return self.calls[-1]

    def go_to(self, now: float) -> None:
        """Let the time pass, and ring what rings until then."""
        while self.calls and (first := min(self.calls, key=lambda call: call.when)).when <= now:
            self.calls.remove(first)
            self.now = first.when
            first.call()
        self.now = now


class Call:
    def __init__(self, clock: Clock, when: float, call: Callable[[], None]) -> None:
        self.clock, self.when, self.call = clock, when, call

    def cancel(self) -> None:
        self.clock.calls.remove(self)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: clock)
    return clock


class Looks:
    """What a timer calls: it notes when, and says when to call it again."""

    def __init__(self, after: float = 1000.0, then: Callable[[], Any] = lambda: None) -> None:
        self.at: list[float] = []
        self.after, self.then = after, then

    def __call__(self, now: float) -> float:
        self.at.append(now)
        self.then()
        return now + self.after


def test_a_thousand_timers_of_one_moment_are_one_timer_of_the_loop(clock):
    timers, looks = Timers(), [Looks(after=2.0) for _ in range(1000)]
    for look in looks:
        Timer(timers, look, 105.0)
        assert len(clock.calls) == 1
    clock.go_to(104.99)
    assert not any(look.at for look in looks)
    clock.go_to(105.01 + STEP)
    assert all(len(look.at) == 1 and 105.0 < look.at[0] < 105.01 + STEP for look in looks)
    assert len(clock.calls) == 1
    clock.go_to(109.6)
    assert all(len(look.at) == 3 for look in looks)


def test_a_timer_rings_earlier_if_it_must_and_never_later(clock):
    timers, early, late = Timers(), Looks(), Looks()
    one, other = Timer(timers, early, 110.0), Timer(timers, late, 110.0)
    one.by(101.0)
    other.by(120.0)
    clock.go_to(102.0)
    assert len(early.at) == 1
    assert not late.at
    clock.go_to(111.0)
    assert (len(early.at), len(late.at)) == (1, 1)


def test_a_timer_that_is_stopped_rings_no_more(clock):
    timers, never, by_itself, by_the_other = Timers(), Looks(), Looks(0.5), Looks(0.5)
    Timer(timers, never, 101.0).stop()
    itself = Timer(timers, by_itself, 101.0)
    by_itself.then = itself.stop
    first, second = (Timer(timers, by_the_other, 103.0) for _ in range(2))
    by_the_other.then = lambda: (first.stop(), second.stop())  # while both ring
    clock.go_to(110.0)
    assert (len(never.at), len(by_itself.at), len(by_the_other.at)) == (0, 1, 1)
    assert not clock.calls


def test_one_that_fails_leaves_the_others_their_turn(clock, caplog):
    def fail() -> None:
        raise RuntimeError("no")

    timers, others = Timers(), [Looks(), Looks()]
    for look in (others[0], Looks(then=fail), others[1]):
        Timer(timers, look, 101.0)
    clock.go_to(102.0)
    assert [len(look.at) for look in others] == [1, 1]
    assert "the timer of a connection" in caplog.text
