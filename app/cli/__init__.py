"""The command: ``dibs``, also as ``python -m dibs``. Each command imports late what only it needs."""

from __future__ import annotations

import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, Final, get_origin, get_type_hints

import typer

from ..errors import DibsError
from .exits import EXIT_CODES, FAILED, INTERRUPTED, UNWRITTEN, code_of, say
from .help_text import Command, Group
from .output import Unwritten, fill_closed, is_unwritten
from .token_option import with_token_file

_PARAMETER: Final = re.compile(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", re.MULTILINE)

_MODULES: Final = {
    **{"serve": "serve", "next": "next", "push": "push", "work": "work"},
    **{"queues": "queues", "stats": "queues", "peek": "peek", "dead": "peek", "audit": "queues"},
    **{"inbox": "inbox"},
    **{"define": "define", "set": "define", "pause": "operate", "resume": "operate", "retry": "operate"},
    **{"advance": "operate", "close": "operate", "purge": "operate", "delete": "operate"},
    **{
        "backup": "backup",
        "restore": "restore",
        "accept": "restore",
        "recover": "recover",
        "migrate": "migrate",
    },
    **{"config": "settings", "reload": "settings", "top": "top", "doctor": "doctor"},
    **{"loadtest": "loadtest", "verify": "verify", "demo": "demo"},
}
"""The commands in the order of the help, each with the module of its function."""


def cli(words: Sequence[str] = ()) -> typer.Typer:
    """The command, with all that it can do, or only with what the first word of a command line names.

    To build the other thirty would take a tenth of a second from whoever waits for one.
    """
    made = typer.Typer(
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
    made.callback()(_options)
    named = words[0] if words else ""
    for command in [named] if named in _MODULES else _MODULES:
        module = import_module(f".{_MODULES[command]}", __name__)
        _add(getattr(module, command, None) or getattr(module, f"{command}_"), made)
    if named not in _MODULES:
        made.add_typer(_tokens(), name="token")
    return made


def _tokens() -> typer.Typer:
    from . import token

    made = typer.Typer(
        cls=Group,
        help="Make, list and revoke the tokens by which callers show who they are.",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        epilog="Example: `dibs token new --role admin --name ann`",
    )
    for command in (token.new, token.list_, token.revoke):
        _add(command, made)
    return made


def _add(function: Callable[..., None], to: typer.Typer) -> None:
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


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dibs {version('dibs')}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Run the command. Whatever happens, a user sees a sentence and not a traceback.

    While it is loaded nothing is garbage, so nobody needs to look for any; ``Command`` begins to.
    """
    fill_closed()
    gc.disable()
    try:
        cli(sys.argv[1:])(prog_name="dibs")
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
    finally:
        gc.enable()
