"""Samples of the rounds, and the table of what is told of them."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from servers import LOAD_CORE

HEAD = ("what", "figure", "against", "ratio (worst round)", "target", "holds")
ROOM = 0.85  # of the target: no round may be worse


class Figure(NamedTuple):
    """A line of the table: samples ``one``, against ``other`` or as they are; ``most``: less is better."""

    what: str
    one: str
    other: str = ""
    target: float | None = None
    most: bool = False
    unit: str = "/s"


class Run:
    """What the rounds of one row measured, by name; and the folder that is theirs."""

    def __init__(self, name: str, folder: Path, options: argparse.Namespace) -> None:
        self.name = name
        self.folder = folder
        self.options = options
        self.seconds: int = options.seconds
        self.samples: defaultdict[str, list[float]] = defaultdict(list)

    def rounds(self) -> Iterator[int]:
        """The rounds; each measures everything once, so that a slow minute of the machine slows all."""
        for number in range(1, self.options.rounds + 1):
            print(f"{self.name}: round {number} of {self.options.rounds}", file=sys.stderr, flush=True)
            yield number

    def add(self, **samples: float) -> None:
        """Note one sample each."""
        for name, value in samples.items():
            self.samples[name].append(value)


class Row(NamedTuple):
    """A row of what it must reach: how it is measured, and what is told of it."""

    measure: Callable[[Run], None]
    figures: tuple[Figure, ...]


def options_of(description: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks of rows have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each load")
    parser.add_argument("--limit", type=int, default=1200, help="seconds that a row may take")
    parser.add_argument("--folder", type=Path, help="on the disk that is meant; in memory there are no syncs")
    parser.add_argument("--markdown", action="store_true")
    return parser


def measure(rows: Mapping[str, Row], parser: argparse.ArgumentParser, title: str) -> None:
    """Measure the rows that the command line names, or all, and print their table."""
    parser.add_argument("--only", action="append", choices=rows, metavar="ROW", help=", ".join(rows))
    options = parser.parse_args()
    if missing := [tool for tool in ("wrk", "taskset") if not shutil.which(tool)]:
        raise SystemExit(f"missing: {', '.join(missing)}")
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    found = []
    for name in options.only or rows:
        for line in measured(name, rows[name], options):
            print(" | ".join(line), file=sys.stderr, flush=True)
            found.append(line)
    print_table(found, markdown=options.markdown, title=title)
    print(f"Python {sys.version.split()[0]}, {options.rounds} rounds of {options.seconds} s a load")


def measured(name: str, row: Row, options: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """The lines of a row; those of the rounds that were done, where it failed or its time was up."""
    with tempfile.TemporaryDirectory(dir=options.folder) as data:
        run = Run(name, Path(data), options)
        signal.signal(signal.SIGALRM, _time_is_up)
        signal.alarm(options.limit)
        try:
            row.measure(run)
        except Exception as error:
            yield name, "not measured to its end", f"{type(error).__name__}: {error}"[:300], "", "", ""
        finally:
            signal.alarm(0)
    yield from lines(run, row.figures)


def _time_is_up(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError("its time was up")


def lines(run: Run, figures: tuple[Figure, ...]) -> Iterator[tuple[str, ...]]:
    """The lines of the table; a figure whose samples are missing, or nothing, has none."""
    for figure in figures:
        ours, floor = run.samples[figure.one], run.samples[figure.other]
        if ours and (all(floor) if floor else not figure.other):
            yield _line(figure, ours, floor)


def _line(figure: Figure, ours: list[float], floor: list[float]) -> tuple[str, ...]:
    ratios = [a / b for a, b in zip(ours, floor, strict=False)] if floor else ours
    ratio, worst = statistics.median(ratios), max(ratios) if figure.most else min(ratios)
    return (
        figure.what,
        _number(statistics.median(ours), figure.unit),
        _number(statistics.median(floor), figure.unit) if floor else "",
        f"{ratio:,.3g} ({worst:,.3g})" if floor or figure.target is not None else "",
        "" if figure.target is None else f"{'≤' if figure.most else '≥'} {figure.target:,g}",
        "" if figure.target is None else _holds(figure, ratio, worst),
    )


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f}{unit}" if abs(value) >= 1000 else f"{value:.3g}{unit}"


def _holds(figure: Figure, ratio: float, worst: float) -> str:
    assert figure.target is not None
    if figure.most:
        return "yes" if ratio <= figure.target and worst <= figure.target / ROOM else "no"
    return "yes" if ratio >= figure.target and worst >= figure.target * ROOM else "no"


def print_table(found: list[tuple[str, ...]], *, markdown: bool, title: str) -> None:
    """The table, for a terminal or for a document."""
    if markdown:
        for line in (HEAD, ("---",) * len(HEAD), *found):
            print("| " + " | ".join(line) + " |")
        return
    table = Table(*HEAD, title=title)
    for line in found:
        table.add_row(*line[:-1], "[red]no[/]" if line[-1] == "no" else line[-1])
    Console(width=150).print(table)
