"""The ends of a command: one line on stderr, and an exit code that scripts can tell apart."""

from __future__ import annotations

import sys
from typing import Final, NoReturn

import typer

from ..errors import ConfigError, LedgerError
from ..inert import inert
from .output import Unwritten, drop, put

OK: Final = 0
FAILED: Final = 1
"""The server refused, a check failed."""
USAGE: Final = 2
"""A wrong option, setting or source."""
HARNESS: Final = 3
"""``loadtest``: a fault of the test, not of what it tests."""
DATA: Final = 4
"""The data folder: in use by another server, not a ledger of dibs, or written by a newer one."""
EMPTY: Final = 5
"""``next``: nothing to hand out now."""
EXHAUSTED: Final = 6
"""``next``: nothing more, ever."""
UNREACHABLE: Final = 7
"""No server at the URL."""
JOBS_FAILED: Final = 8
"""``work``: everything was tried, and some commands failed."""
UNWRITTEN: Final = 9
"""The work is done, and its output could not be written."""
NO_PORT: Final = 10
"""``serve``: the port is in use."""
CANNOT_RUN: Final = 126
"""``work``: the command is there and can't be run."""
NO_COMMAND: Final = 127
"""``work``: there is no such command."""
INTERRUPTED: Final = 130
"""Ctrl-C."""

EXIT_CODES: Final = (
    "Exit codes: 0 done · 1 refused or failed · 2 wrong option or setting · 3 fault of a test harness ·"
    " 4 data folder in use or not ours · 5 empty · 6 exhausted · 7 no server there · 8 some jobs failed ·"
    " 9 done, but the output could not be written · 10 port in use ·"
    " 126 and 127 a job's command can't be run, is not there · 130 interrupted"
)


def fail(message: str, code: int = FAILED) -> NoReturn:
    """Print why on stderr, and end the command with this code."""
    say(message)
    raise typer.Exit(code)


def say(message: str) -> None:
    """Print a message on stderr, if that can be; what is quoted in it can't act on a terminal."""
    try:
        print(f"dibs: {inert(message, lines=True)}", file=sys.stderr, flush=True)
    except OSError:
        drop(2)


def tell(message: str) -> None:
    """Print on stdout what was done; if that fails, on stderr with an exit code of its own."""
    text = inert(message, lines=True)
    try:
        put(f"{text}\n")
    except Unwritten as unwritten:
        fail(f"{text} (that is done, and could not be written to stdout: {unwritten.why})", UNWRITTEN)


def code_of(error: Exception) -> int:
    """The exit code of an error that reached the command line."""
    from ..client.errors import Exhausted, Unreachable

    codes = {ConfigError: USAGE, LedgerError: DATA, Unreachable: UNREACHABLE, Exhausted: EXHAUSTED}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), FAILED)
