"""The command: ``dibs``, also as ``python -m dibs``. One file a command; each imports late what it needs."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ..errors import DibsError
from . import (
    audit,
    backup,
    dead,
    define,
    delete,
    demo,
    loadtest,
    next,
    operate,
    peek,
    purge,
    push,
    queues,
    restore,
    serve,
    set,
    stats,
    verify,
    work,
)
from .exits import EXIT_CODES, FAILED, INTERRUPTED, UNWRITTEN, code_of, say
from .help_text import Command, Group
from .output import Unwritten, fill_closed, is_unwritten

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


def _add(function: Callable[..., None]) -> None:
    """Add a command. The last paragraph of its docstring is an example."""
    told, _, example = inspect.cleandoc(function.__doc__ or "").rpartition("\n\n")
    cli.command(function.__name__.rstrip("_"), cls=Command, help=told, epilog=example)(function)


for _function in (
    *(serve.serve, next.next_, push.push, work.work),
    *(queues.queues, stats.stats, peek.peek, dead.dead, audit.audit, define.define, set.set_),
    *(operate.pause, operate.resume, operate.retry, operate.advance, operate.close),
    *(purge.purge, delete.delete, backup.backup, restore.restore),
    *(loadtest.loadtest, verify.verify, demo.demo),
):
    _add(_function)


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
