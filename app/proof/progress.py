"""The live progress of a load test: a bar on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

_EVERY = 2.0
_WIDE, _WIDE_BAR, _NARROW_BAR = 110, 30, 12
_MILLION = 1e6
_ALSO = ("crashed", "redelivered")
_TROUBLES = ("lost", "replayed", "refused")
_STYLES = {"latency": "dim", "also": "cyan", "troubles": "yellow"}


def percentile(ascending: Sequence[int], share: float) -> int | None:
    """The nearest-rank percentile of sorted samples; None without samples."""
    if not ascending:
        return None
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def in_ms(nanoseconds: int | None) -> str:
    """``12.3 ms``; a dash where nothing was measured."""
    return "–" if nanoseconds is None else f"{nanoseconds / _MILLION:.1f} ms"


def _counted(tally: Mapping[str, int], names: Sequence[str]) -> str:
    return "  ".join(f"{tally[name]:,} {name}" for name in names if tally[name])


class Watch:
    """Shows how it goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[items]}"),
            BarColumn(bar_width=_WIDE_BAR if console.width >= _WIDE else _NARROW_BAR),
            TextColumn("{task.fields[rate]}"),
            *(TextColumn(f"{{task.fields[{name}]}}", style=style) for name, style in _STYLES.items()),
            console=console,
            transient=True,
            refresh_per_second=4,
        )
        blank: dict[str, Any] = dict.fromkeys(("items", "rate", *_STYLES), "")
        self._task = self._bar.add_task("", start=False, **blank)
        self._next = _EVERY
        self._last: list[tuple[float, int]] = [(0.0, 0)]

    def begin(self, total: int | None) -> None:
        """Begin; ``total`` items are wanted, or None if the load is bounded by time."""
        if self._console.is_terminal:
            self._bar.update(self._task, total=total)
            self._bar.start_task(self._task)
            self._bar.start()

    def tick(self, tally: Mapping[str, int], recent: Sequence[int], seconds: float) -> None:
        """Show the sums after ``seconds``, and ``recent`` latencies; called about ten times a second."""
        self._last = [*self._last[-19:], (seconds, tally["items"])]
        (then, before), (now, after) = self._last[0], self._last[-1]
        told: dict[str, Any] = {
            "items": f"{tally['items']:,} items",
            "rate": f"{(after - before) / (now - then):,.0f}/s" if now > then else "…/s",
            "latency": f"p50 {in_ms(percentile(recent, 0.5))}  p99 {in_ms(percentile(recent, 0.99))}",
            "also": _counted(tally, _ALSO),
            "troubles": _counted(tally, _TROUBLES),
        }
        if self._console.is_terminal:
            self._bar.update(self._task, completed=tally["items"], **told)
        elif seconds >= self._next:
            self._next = seconds + _EVERY
            self.say("  ".join([f"{seconds:6.1f} s", *filter(None, told.values())]))

    def say(self, line: str) -> None:
        """Show a line about an event."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """End the display; harmless when called again."""
        if self._console.is_terminal:
            self._bar.stop()
