"""The screen of the demo: scenes with their code, findings, and time to read on a terminal."""

from __future__ import annotations

import platform
import sys
import time
from typing import Final

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

WIDTH: Final = 80
"""Columns: those of a terminal as it comes. The code of a scene has four fewer."""


class Stage:
    """A console that takes its time on a terminal and none elsewhere."""

    def __init__(self, *, fast: bool = False, console: Console | None = None) -> None:
        made = console or Console(highlight=False)
        self.console = made if made.is_terminal else Console(highlight=False, width=WIDTH)
        self._paces = self.console.is_terminal and not fast
        self._scene = 0

    def title(self) -> None:
        """Show the title of the demo."""
        gil = getattr(sys, "_is_gil_enabled", lambda: True)()
        python = f"{platform.python_implementation()} {platform.python_version()}"
        self.console.print()
        self.console.print(
            Text.assemble(
                ("  dibs  ", "bold white on dark_cyan"),
                ("  every value goes to exactly one caller", "bold"),
                (f"   {python}, {'with' if gil else 'without'} the GIL", "dim"),
            )
        )

    def scene(self, title: str, code: str, language: str = "python") -> None:
        """Begin a scene: show its subject, and the code that runs."""
        self._scene += 1
        self.console.print()
        self.console.print(
            Rule(
                Text.assemble((f"{self._scene}  ", "bold cyan"), (title, "bold")),
                align="left",
                style="dim cyan",
            ),
            width=WIDTH,
        )
        self.console.print(
            Panel(
                Syntax(code.rstrip(), language, theme="ansi_dark", background_color="default"),
                border_style="dim",
                width=WIDTH,
                padding=(0, 1),
            )
        )
        self.pause(1.2)

    def finding(self, good: bool, *parts: str | tuple[str, str]) -> bool:
        """Show the result of a scene; return ``good``."""
        sign = ("  ✔ ", "bold green") if good else ("  ✘ ", "bold red")
        self.console.print(Text.assemble(sign, *parts), soft_wrap=False, width=WIDTH)
        self.pause(1.0)
        return good

    def note(self, text: str) -> None:
        """A remark between."""
        self.console.print(Text(f"    {text}", style="dim"), width=WIDTH)

    def pause(self, seconds: float) -> None:
        """Wait for people to read; not in a script."""
        if self._paces:
            time.sleep(seconds)

    def end(self) -> None:
        """Show the commands to try next."""
        rows = Table.grid(padding=(0, 3))
        rows.add_column(style="bold green")
        rows.add_column()
        rows.add_row("dibs serve", "start one of your own")
        rows.add_row("curl -X POST localhost:8000/next", "take a number")
        rows.add_row("dibs loadtest --chaos", "doubt it properly")
        self.console.print()
        self.console.print(Panel(rows, border_style="cyan", width=WIDTH, padding=(0, 2)))
