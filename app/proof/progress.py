"""The live progress of a load test: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from .crowd import Tally

_EVERY = 2.0
_WIDE, _WIDE_BAR, _NARROW_BAR = 110, 30, 12
_MILLION = 1e6


def percentile(ascending: Sequence[int], share: float) -> int:
    """The nearest-rank percentile of sorted samples; 0 without samples."""
    if not ascending:
        return 0
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def in_ms(nanoseconds: int) -> str:
    """``12.3 ms``."""
    return f"{nanoseconds / _MILLION:.1f} ms"


def _latency(tally: Tally) -> str:
    recent = sorted(tally.recent)
    return f"p50 {in_ms(percentile(recent, 0.5))}  p99 {in_ms(percentile(recent, 0.99))}"


def _troubles(tally: Tally) -> str:
    return _counted({"lost": tally.lost, "replayed": tally.replays, "refused": tally.refused})


def _counted(counts: Mapping[str, int]) -> str:
    return "  ".join(f"{count:,} {name}" for name, count in counts.items() if count)


class Bar:
    """A bar on a terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[items]} items"),
            BarColumn(bar_width=_WIDE_BAR if console.width >= _WIDE else _NARROW_BAR),
            TextColumn("{task.fields[rate]}/s"),
            TextColumn("{task.fields[latency]}", style="dim"),
            TextColumn("{task.fields[also]}", style="cyan"),
            TextColumn("{task.fields[troubles]}", style="yellow"),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        self._task: TaskID | None = None
        self._last: list[tuple[float, int]] = []

    def begin(self, total: int | None) -> None:
        """Begin; ``total`` items are wanted, or None if the load is bounded by time."""
        self._task = self._progress.add_task(
            "", total=total, items=0, rate=0, latency="", also="", troubles=""
        )
        self._progress.start()

    def tick(self, tally: Tally, seconds: float) -> None:
        """Show the sums after ``seconds``; called about ten times a second."""
        if self._task is None:
            return
        self._last = [*self._last[-19:], (seconds, tally.items)]
        (then, before), (now, after) = self._last[0], self._last[-1]
        self._progress.update(
            self._task,
            completed=tally.items,
            items=f"{tally.items:,}",
            rate=f"{(after - before) / (now - then):,.0f}" if now > then else "…",
            latency=_latency(tally),
            also=_counted(tally.also),
            troubles=_troubles(tally),
        )

    def say(self, line: str) -> None:
        """Show a line about an event."""
        self._progress.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        """End the display; harmless when called again."""
        self._progress.stop()


class Lines:
    """A line every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = _EVERY

    def begin(self, total: int | None) -> None:
        """Begin."""
        self._next = _EVERY

    def tick(self, tally: Tally, seconds: float) -> None:
        """Show the sums after ``seconds``, if it is time."""
        if seconds < self._next:
            return
        self._next = seconds + _EVERY
        rate = f"{tally.items / seconds:,.0f}/s"
        parts = (
            f"{seconds:6.1f} s",
            f"{tally.items:,} items",
            rate,
            _latency(tally),
            _counted(tally.also),
            _troubles(tally),
        )
        self.say("  ".join(part for part in parts if part))

    def say(self, line: str) -> None:
        """Show a line about an event."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing is open."""


Watch = Bar | Lines


def watch_on(console: Console) -> Watch:
    """The display that fits the console."""
    return Bar(console) if console.is_terminal else Lines(console)
