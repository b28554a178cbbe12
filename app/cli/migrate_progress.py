"""The progress of a move: on a terminal which table is copied, how many rows, and how many a second."""

from __future__ import annotations

from time import monotonic
from typing import Final, Self

from rich.console import Console

from .exits import say

_NEXT: Final = {
    "opened": "making the tables",
    "copied": "comparing",
    "compared": "committing",
    "committed": "marking the folder",
    "marked": "opening it there",
    "exported": "closing it there",
    "retired": "opening the folder",
    "unmarked": "dropping it there",
}
"""What goes on after each step."""


class Moving:
    """See :class:`~..ledger.moving.progress.Progress`. Used in a ``with``."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}", style="bold", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[rows]}"),
            TextColumn("{task.fields[rate]}", style="cyan"),
        ]
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal, refresh_per_second=8
        )
        self._task = self._progress.add_task("opening", total=None, rows="", rate="")
        self._copied: dict[str, int] = {}
        self._total, self._began = 0, monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def warn(self, warning: str) -> None:
        """Tell a warning."""
        say(warning)

    def step(self, done: str) -> None:
        """Show what goes on after this step."""
        self._progress.update(self._task, description=_NEXT.get(done, done))

    def begin(self, total: int) -> None:
        """The rows begin."""
        self._total, self._began = total, monotonic()
        self._progress.update(self._task, total=total or None)

    def rows(self, table: str, done: int) -> None:
        """Show how many rows were copied."""
        self._copied[table] = done
        count = sum(self._copied.values())
        of = f" of {self._total:,}" if self._total else ""
        rate = f"{count / max(monotonic() - self._began, 0.001):,.0f}/s"
        self._progress.update(
            self._task, description=table, completed=count, rows=f"{count:,}{of} rows", rate=rate
        )
