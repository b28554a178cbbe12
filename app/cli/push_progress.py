"""The progress of a push: a bar on a terminal; elsewhere only the reasons of a wait."""

from __future__ import annotations

from typing import Self

from rich.console import Console

from ..inert import inert
from .words import size


class Bar:
    """Bytes, lines and lines a second of one file, on stderr; ``total`` bytes, where that is known."""

    def __init__(self, name: str, total: int | None, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False),
            *([BarColumn(bar_width=20), TextColumn("{task.percentage:>3.0f}%")] if total else []),
            TextColumn("{task.fields[lines]} lines"),
            TextColumn("{task.fields[sizes]}", style="dim"),
            TextColumn("{task.fields[rate]}", style="cyan"),
            *([TimeRemainingColumn(compact=True)] if total else []),
        ]
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal, refresh_per_second=8
        )
        self._total = total
        self._task = self._progress.add_task(inert(name), total=total, lines="0", sizes="", rate="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def at(self, read: int, lines: int, seconds: float, new: int) -> None:
        """Show that so much of the input has been read, and ``new`` lines were pushed in so many seconds."""
        of = f" of {size(self._total)}" if self._total else ""
        rate = f"{new / seconds:,.0f}/s" if new and seconds > 0 else "comparing"
        self._progress.update(
            self._task, completed=read, lines=f"{lines:,}", sizes=size(read) + of, rate=rate
        )
