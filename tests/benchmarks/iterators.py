"""What a shared iterator costs, beside the floors measured in the same run.

Run by hand: ``python tests/benchmarks/iterators.py [--rounds 15] [--values 20000]``. The floors are a bare
``next``, the classic lock written by hand, and ``more_itertools.serialize``. All contenders take turns in
each round, so that a noisy moment hits them alike; a ratio is the median of the ratios within the rounds.
A clock is no judge: it exits with 0 whatever it measured.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from importlib import metadata
from typing import Any

from dibs.iterators import ThreadSafeIterator

Make = Callable[[Iterator[int]], Iterator[int]]
Results = dict[str, list[float]]

BATCH = 1000
NEXT_TARGET = 1.4
TAKE_TARGET = 20.0
FLOOR = "list(islice(bare, 1000))"


class Classic:
    """The article's cure, by hand."""

    def __init__(self, it: Iterator[int]) -> None:
        self.it = it
        self.lock = threading.Lock()

    def __iter__(self) -> Classic:
        return self

    def __next__(self) -> int:
        with self.lock:
            return next(self.it)


class Counting:
    """An arithmetic source: a batch is a range, however large."""

    def __init__(self) -> None:
        self.at = 0

    def __iter__(self) -> Counting:
        return self

    def __next__(self) -> int:
        return self.take(1)[0]

    def take(self, n: int) -> range:
        """The next n numbers."""
        self.at += n
        return range(self.at - n, self.at)


def generator() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def serialize() -> tuple[Make | None, str]:
    """``more_itertools.serialize``, or None; and what to say about it."""
    try:
        version = metadata.version("more-itertools")
        import more_itertools
    except ImportError:
        return None, "more-itertools is not installed"
    found = getattr(more_itertools, "serialize", None)
    return found, f"more-itertools {version}" + ("" if found else " has no serialize (10.9 and later do)")


def singles(shared: Iterator[int], values: int, threads: int) -> float:
    """Nanoseconds a value when so many threads share the pulling."""
    start = threading.Barrier(threads + 1)
    share = values // threads

    def pull() -> None:
        mine = itertools.islice(shared, share)
        start.wait()
        deque(mine, 0)

    if threads == 1:
        began = time.perf_counter_ns()
        deque(itertools.islice(shared, share), 0)
        return (time.perf_counter_ns() - began) / share
    pullers = [threading.Thread(target=pull) for _ in range(threads)]
    for puller in pullers:
        puller.start()
    start.wait()
    began = time.perf_counter_ns()
    for puller in pullers:
        puller.join()
    return (time.perf_counter_ns() - began) / (share * threads)


def calls(shared: ThreadSafeIterator[int], values: int) -> float:
    """Nanoseconds a value by single calls of ``next``."""
    turns = range(values)
    began = time.perf_counter_ns()
    for _ in turns:
        next(shared)
    return (time.perf_counter_ns() - began) / values


def batches(shared: ThreadSafeIterator[int], values: int) -> float:
    """Nanoseconds a value by ``take(1000)``."""
    turns = range(max(values // BATCH, 1))
    began = time.perf_counter_ns()
    for _ in turns:
        shared.take(BATCH)
    return (time.perf_counter_ns() - began) / (len(turns) * BATCH)


def interleaved(rounds: int, contenders: dict[str, Callable[[], float]]) -> Results:
    results: Results = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            results[name].append(measure())
    return results


def paired(results: Results, name: str, floor: str) -> float:
    """The median over the rounds of the ratio within a round: what slows a whole round cancels out."""
    return statistics.median(mine / its for mine, its in zip(results[name], results[floor], strict=True))


def verdict(measured: float, target: float, holds: bool, sign: str) -> str:
    return f"target {sign} {target:g}: {measured:.2f}, " + ("holds" if holds else "MISSED in this run")


def show(title: str, results: Results, floor: str) -> None:
    print(f"\n{title}")
    print(f"  {'':28}{'best ns':>10}{'median ns':>12}{'ratio':>8}{'of the best':>13}")
    for name, taken in results.items():
        ratio, of_best = paired(results, name, floor), min(taken) / min(results[floor])
        print(f"  {name:28}{min(taken):>10.1f}{statistics.median(taken):>12.1f}{ratio:>8.2f}{of_best:>13.2f}")


def compare_next(source: Callable[[], Iterator[int]], threads: int, rounds: int, values: int) -> None:
    makers: dict[str, Make] = {"lock by hand": Classic}
    if threads == 1:
        makers["bare next"] = iter
    other, _ = serialize()
    if other:
        makers["more_itertools.serialize"] = other
    makers["ThreadSafeIterator"] = ThreadSafeIterator
    makers["ThreadSafeIterator fair"] = lambda it: ThreadSafeIterator(it, fair=True)

    def contender(make: Make) -> Callable[[], float]:
        return lambda: singles(make(source()), values, threads)

    results = interleaved(rounds, {name: contender(make) for name, make in makers.items()})
    show(f"next() over {source.__name__}, {threads} thread(s), a value", results, "lock by hand")
    if threads == 1:
        ratio = paired(results, "ThreadSafeIterator", "lock by hand")
        print("  " + verdict(ratio, NEXT_TARGET, ratio <= NEXT_TARGET, "<="))


def numbers() -> Iterator[int]:
    """In C and without making a number each time, unlike count."""
    return itertools.cycle(range(BATCH))


def compare_take(source: Callable[[], Any], rounds: int, values: int) -> None:
    shared: ThreadSafeIterator[int] = ThreadSafeIterator(source())
    bare = source()
    contenders = {
        "take(1000)": lambda: batches(shared, values),
        "1000 times next()": lambda: calls(shared, values),
    }
    if not hasattr(bare, "take"):
        contenders[FLOOR] = lambda: floor(bare, values)
    results = interleaved(rounds, contenders)
    show(f"take({BATCH}) over {source.__name__}, a value", results, "take(1000)")
    ratio = paired(results, "1000 times next()", "take(1000)")
    if FLOOR in results:
        most = paired(results, "1000 times next()", FLOOR)
        print(f"  {ratio:.1f} times as many values a second, of {most:.1f} with no lock and no care at all")
    if source is not generator:  # there, the generator's own work is most of it
        print("  " + verdict(ratio, TAKE_TARGET, ratio >= TAKE_TARGET, ">="))


def floor(bare: Iterator[int], values: int) -> float:
    turns = range(max(values // BATCH, 1))
    began = time.perf_counter_ns()
    for _ in turns:
        list(itertools.islice(bare, BATCH))
    return (time.perf_counter_ns() - began) / (len(turns) * BATCH)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a shared iterator costs.")
    parser.add_argument("--rounds", type=int, default=15, help="at least 5 (default: 15)")
    parser.add_argument("--values", type=int, default=20_000, help="in each round (default: 20000)")
    options = parser.parse_args()
    rounds = max(options.rounds, 5)
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    print(f"Python {sys.version.split()[0]}, {'with' if gil else 'without'} the GIL, {serialize()[1]}")
    print(f"{rounds} interleaved rounds of {options.values} values")
    for source in (itertools.count, generator):
        compare_next(source, 1, rounds, options.values)
    for threads in (2, 8):
        compare_next(itertools.count, threads, rounds, options.values)
    for batched in (itertools.count, numbers, generator, Counting):
        compare_take(batched, rounds, options.values)


if __name__ == "__main__":
    main()
