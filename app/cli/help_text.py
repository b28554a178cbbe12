"""Help texts as people read them: what to type and what it does, without the names of types."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

from .output import until_abandoned

if TYPE_CHECKING:
    from rich.panel import Panel

_ELSEWHERE = {
    "redrive": "say dibs dead QUEUE --redrive",
    "history": "the page shows it, and GET /queues/QUEUE/history",
    "lease": "dibs work QUEUE -- COMMAND leases, and settles",
}
"""Words of the manual that are no commands, and what is to be said instead."""

_NUMBERS = {"int": "a whole number", "list[int]": "a whole number", "float": "a number"}

_HELP_MOST = 100
"""Columns that a help text takes, at most."""


class Command(TyperCommand):
    """A command whose help fits on a terminal of 80 columns."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command line; what is told of a wrong one are words for people."""
        try:
            return super().parse_args(ctx, args)
        except BadParameter as error:
            error.message = _must(error.param) or error.message.removeprefix("Value error, ").replace(
                "Input should", "it must", 1
            )
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run it; from now on there is garbage."""
        gc.enable()
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print it."""
        _print(self, ctx)


class Group(TyperGroup):
    """The command itself: its help is the list of commands."""

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Read the words of a command line, which may print a help text or the version."""
        with until_abandoned():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was named, or print its help text."""
        with until_abandoned():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of this name. Of a word of the manual that is none, what does it is told."""
        if args[0] in _ELSEWHERE:
            ctx.fail(f"No such command '{args[0]}': {_ELSEWHERE[args[0]]}.")
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print it."""
        commands = [(name, _first(self.get_command(ctx, name))) for name in self.list_commands(ctx)]
        _print(self, ctx, commands)


def _must(parameter: Any) -> str:
    """What a number must be, with its bounds; empty for what is none."""
    kind = _NUMBERS.get(parameter.bare_type())  # its name
    least, most = getattr(parameter, "min", None), getattr(parameter, "max", None)
    if kind is None:
        return ""
    if least is not None and most is not None:
        return f"it must be {kind} from {least} to {most}"
    return f"it must be {kind}" + ("" if least is None else f", {least} or more")


def _print(command: Any, ctx: Any, commands: Sequence[tuple[str, str]] = ()) -> None:
    from rich.markdown import Markdown
    from rich.padding import Padding
    from rich.text import Text

    from .console import console

    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.get_params(ctx) if each.param_type_name == "option"]
    words = " COMMAND [ARGS]..." if commands else "".join(f" {_argument(each)}" for each in arguments)
    panels = (
        ("Arguments", [(_word(each), _told(each)) for each in arguments]),
        ("Options", [(_option(each), _told(each)) for each in options]),
        ("Commands", commands),
    )
    out = console()
    out.width = min(out.width, _HELP_MOST)
    out.print(Padding(Text(f"Usage: {ctx.command_path} [OPTIONS]{words}", style="bold"), 1))
    if command.help:
        out.print(Padding(Markdown(command.help), (0, 1, 1, 1)))
    for title, rows in panels:
        if rows:
            out.print(_panel(title, rows))
    if command.epilog:
        out.print(Padding(Markdown(command.epilog), 1))


def _panel(title: str, rows: Sequence[tuple[str, str]]) -> Panel:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(ratio=1)
    for name, told in rows:
        table.add_row(name, Text(told))
    return Panel(table, title=title, title_align="left", border_style="dim")


def _word(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.rstrip("_").upper())


def _argument(parameter: Any) -> str:
    word = _word(parameter) + ("..." if parameter.nargs != 1 else "")
    return word if parameter.required else f"[{word}]"


def _option(parameter: Any) -> str:
    """``-n, --number NUMBER``."""
    names = ", ".join(sorted(parameter.opts, key=len))
    return names if parameter.is_flag else f"{names} {_word(parameter)}"


def _told(parameter: Any) -> str:
    told = (parameter.help or "").replace("`", "")
    default = parameter.default
    shown = getattr(parameter, "show_default", True) and "[default:" not in told and not parameter.required
    if not shown or isinstance(default, bool) or not isinstance(default, str | int | float):
        return told
    return f"{told}  [default: {default}]"


def _first(command: Any) -> str:
    """The first paragraph of a help text."""
    return " ".join(command.help.partition("\n\n")[0].split()).replace("`", "")
