"""The command: ``dibs``, also as ``python -m dibs``. One file a command; each imports late what it needs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from ..errors import DibsError
from . import (  # the command's name
    advance,
    audit,
    backup,
    close,
    dead,
    define,
    delete,
    demo,
    loadtest,
    next,
    pause,
    peek,
    purge,
    push,
    queues,
    restore,
    resume,
    retry,
    serve,
    set,
    stats,
    verify,
    work,
)
from .exits import EXIT_CODES, FAILED, INTERRUPTED, UNWRITTEN, code_of, say
from .helping import Command, Group
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
cli.command("serve", cls=Command, epilog=serve.EXAMPLE)(serve.serve)
cli.command("next", cls=Command, epilog=next.EXAMPLE)(next.next_)
cli.command("push", cls=Command, epilog=push.EXAMPLE)(push.push)
cli.command("work", cls=Command, epilog=work.EXAMPLE)(work.work)
cli.command("queues", cls=Command, epilog=queues.EXAMPLE)(queues.queues)
cli.command("stats", cls=Command, epilog=stats.EXAMPLE)(stats.stats)
cli.command("peek", cls=Command, epilog=peek.EXAMPLE)(peek.peek)
cli.command("dead", cls=Command, epilog=dead.EXAMPLE)(dead.dead)
cli.command("audit", cls=Command, epilog=audit.EXAMPLE)(audit.audit)
cli.command("define", cls=Command, epilog=define.EXAMPLE)(define.define)
cli.command("set", cls=Command, epilog=set.EXAMPLE)(set.set_)
cli.command("pause", cls=Command, epilog=pause.EXAMPLE)(pause.pause)
cli.command("resume", cls=Command, epilog=resume.EXAMPLE)(resume.resume)
cli.command("retry", cls=Command, epilog=retry.EXAMPLE)(retry.retry)
cli.command("advance", cls=Command, epilog=advance.EXAMPLE)(advance.advance)
cli.command("close", cls=Command, epilog=close.EXAMPLE)(close.close)
cli.command("purge", cls=Command, epilog=purge.EXAMPLE)(purge.purge)
cli.command("delete", cls=Command, epilog=delete.EXAMPLE)(delete.delete)
cli.command("backup", cls=Command, epilog=backup.EXAMPLE)(backup.backup)
cli.command("restore", cls=Command, epilog=restore.EXAMPLE)(restore.restore)
cli.command("loadtest", cls=Command, epilog=loadtest.EXAMPLE)(loadtest.loadtest)
cli.command("verify", cls=Command, epilog=verify.EXAMPLE)(verify.verify)
cli.command("demo", cls=Command, epilog=demo.EXAMPLE)(demo.demo)


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
        cli()
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
