"""The first three scenes of the demo: one process, two threads. Only the moment of one switch is forced."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

from ..iterators import threadsafe_generator
from .demo_screen import Stage

EACH: Final = 100_000
_QUICK_SWITCHES: Final = 1e-5
_GATE_SECONDS: Final = 5.0

_BARE: Final = """\
def numbers():                 # two threads call next() on the same one
    for i in count(1):
        yield invoice(i)
"""
_COUNTER: Final = """\
class Counter:                 # "then I'll write an iterator"
    def __next__(self):
        self.i += self.step()  # a switch between reading and writing
        return self.i
"""
_CURE: Final = """\
@threadsafe_generator          # one lock around next(), and more
def numbers():
    i = 0
    while True:
        i += 1
        yield i
"""


def bare_generator(stage: Stage) -> bool:
    """A generator that is running can't be asked by a second thread, on any Python."""
    stage.scene("A generator, two threads", _BARE)
    inside, leave = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        inside.set()
        leave.wait(_GATE_SECONDS)
        yield 1

    shared = numbers()
    first = threading.Thread(target=next, args=(shared,))
    first.start()
    inside.wait(_GATE_SECONDS)
    try:
        next(shared)
        error = ""
    except ValueError as raised:
        error = str(raised)
    finally:
        leave.set()
        first.join()
    if not error:
        return stage.finding(False, "it did not break here")
    stage.finding(False, ("ValueError: ", "bold"), (error, "bold"), "  (the second thread, every time)")
    return True


class Counter:
    """The counter that loses: the value is read before a call and written after it."""

    def __init__(self, step: Callable[[], int]) -> None:
        self.i = 0
        self.step = step

    def __iter__(self) -> Counter:
        return self

    def __next__(self) -> int:
        self.i += self.step()
        return self.i


def counter(stage: Stage) -> bool:
    """The same number twice: forced once, the rest is this Python's own doing."""
    stage.scene("A counter, two threads", _COUNTER)
    both_have_read = threading.Barrier(2, timeout=_GATE_SECONDS)
    unforced = threading.local()

    def step() -> int:
        if not getattr(unforced, "yes", False):
            unforced.yes = True
            both_have_read.wait()
        return 1

    values = _pull_twice(Counter(step))
    lost = len(values) - len(set(values))
    if not lost:
        return stage.finding(False, "nothing was lost here")
    stage.finding(
        False,
        (f"{lost:,}", "bold"),
        f" of {len(values):,} numbers went to two callers; the next one would be ",
        (f"{max(values) + 1:,}", "bold"),
    )
    return True


@threadsafe_generator
def numbers() -> Iterator[int]:
    """The cure."""
    i = 0
    while True:
        i += 1
        yield i


def cure(stage: Stage) -> bool:
    """The exact multiset, not a sum: each number once."""
    stage.scene("One lock", _CURE)
    shared = numbers()
    values = _pull_twice(shared)
    following = next(shared)
    good = sorted(values) == list(range(1, 2 * EACH + 1)) and following == 2 * EACH + 1
    return stage.finding(
        good,
        f"{len(values):,} numbers, each to one caller; the next one is ",
        (f"{following:,}", "bold green" if good else "bold red"),
    )


def _pull_twice(shared: Iterator[int]) -> list[int]:
    """The values that two threads pull, a hundred thousand each, while the interpreter switches often."""
    got: list[list[int]] = [[], []]

    def pull(into: list[int]) -> None:
        into.extend(next(shared) for _ in range(EACH))

    before = sys.getswitchinterval()
    sys.setswitchinterval(_QUICK_SWITCHES)
    threads = [threading.Thread(target=pull, args=(into,)) for into in got]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    return got[0] + got[1]
