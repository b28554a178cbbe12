"""The command: ``dibs``, also as ``python -m dibs``. Each command imports late what only it needs."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final, get_origin, get_type_hints

import typer

from ..errors import DibsError
from . import (
    backup,
    define,
    demo,
    doctor,
    loadtest,
    next,
    operate,
    peek,
    push,
    queues,
    restore,
    serve,
    settings,
    token,
    top,
    verify,
    work,
)
from .exits import EXIT_CODES, FAILED, INTERRUPTED, UNWRITTEN, code_of, say
from .help_text import Command, Group
from .output import Unwritten, fill_closed, is_unwritten
from .token_option import with_token_file

_PARAMETER: Final = re.compile(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", re.MULTILINE)

cli = typer.Typer(
    name="dibs",
    cls=Group,
    help="Share any Python generator with any number of threads, processes and machines."
    " Every value goes to exactly one caller.",
    epilog=f"Start with `dibs serve`, and in another terminal `dibs next -n 3`.\n\n{EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(function: Callable[..., None], to: typer.Typer = cli) -> None:
    """Add a command. Its keyword-only parameters are options; its docstring is its help.

    The last paragraph of that is an example, the one before may be what the parameters mean (``Args:``).
    """
    text, _, example = inspect.cleandoc(function.__doc__ or "").rpartition("\n\n")
    told, _, arguments = text.partition("\n\nArgs:\n")
    helps = {name: re.sub(r"\n +", " ", help_text) for name, help_text in _PARAMETER.findall(arguments)}
    options = inspect.getfullargspec(function).kwonlyargs
    hints = get_type_hints(function, include_extras=True)
    for name, help_text in helps.items():
        option = f"--{name.replace('_', '-')}" if name in options else ""
        hints[name] = _explained(hints[name], help_text, option)
    function.__annotations__ = hints
    if "url" in options:
        function = with_token_file(function)
    to.command(function.__name__.rstrip("_"), cls=Command, help=told, epilog=example)(function)


def _explained(hint: Any, told: str, option: str) -> Any:
    """The type of a parameter with its help. ``option``: its name, if it is one."""
    if get_origin(hint) is Annotated:
        hint.__metadata__[0].help = told
        return hint
    return Annotated[hint, typer.Option(option, help=told) if option else typer.Argument(help=told)]


for _function in (
    *(serve.serve, next.next_, push.push, work.work),
    *(queues.queues, queues.stats, peek.peek, peek.dead, queues.audit, define.define, define.set_),
    *(operate.pause, operate.resume, operate.retry, operate.advance, operate.close),
    *(operate.purge, operate.delete, backup.backup, restore.restore, restore.accept),
    *(settings.config, settings.reload, top.top, doctor.doctor),
    *(loadtest.loadtest, verify.verify, demo.demo),
):
    _add(_function)

_tokens = typer.Typer(
    cls=Group,
    help="Make, list and revoke the tokens by which callers show who they are.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    epilog="Example: `dibs token new --role admin --name ann`",
)
for _of_tokens in (token.new, token.list_, token.revoke):
    _add(_of_tokens, _tokens)
cli.add_typer(_tokens, name="token")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dibs {version('dibs')}")
        raise typer.Exit


@cli.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command. Whatever happens, a user sees a sentence and not a traceback."""
    fill_closed()
    try:
        cli(prog_name="dibs")
    except Unwritten as error:
        if not error.abandoned:  # the reader had enough: `dibs queues | head -1`
            say(str(error))
        sys.exit(UNWRITTEN)
    except DibsError as error:
        say(str(error))
        sys.exit(code_of(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if is_unwritten(error):
            sys.exit(UNWRITTEN)
        if os.environ.get("DIBS_TRACEBACK"):
            raise
        say(f"unexpected {type(error).__name__}: {error} (DIBS_TRACEBACK=1 shows where)")
        sys.exit(FAILED)
