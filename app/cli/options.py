"""Parameters that several commands share."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import typer

from .exits import USAGE, fail, say

if TYPE_CHECKING:
    from .http import Api

DEFAULT_URL: Final = "http://127.0.0.1:8000"
MAX_DELAY: Final = 2_592_000
"""Seconds of the longest delay that the server takes."""


def _checked(url: str) -> str:
    """The URL of a server, without a slash at the end; what is none ends the command."""
    if url in {"", DEFAULT_URL}:
        _tell_slips()
        return DEFAULT_URL
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # raises where it is not a number
    except ValueError as error:
        fail(f"option --url {url}: {error}", USAGE)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        fail(f"option --url {url}: say http://HOST:PORT", USAGE)
    if "@" in parts.netloc:
        fail(
            "option --url: a secret has no place in a URL; give a token by --token-file or DIBS_TOKEN", USAGE
        )
    return url.rstrip("/")


def _tell_slips() -> None:
    """Name a variable that was meant to be DIBS_URL: the command is about to ask another server than that."""
    for name in sorted(os.environ):
        if name != "DIBS_URL" and get_close_matches(name, ["DIBS_URL"], cutoff=0.8):
            say(f"environment variable {name[:64]} has no effect; did you mean DIBS_URL?")


def folder(path: Path | None) -> Path | None:
    """A folder; the URL of a database, which would be the name of one, ends the command, and is not shown."""
    if path is not None and str(path).lower().startswith(("postgres:", "postgresql:")):
        fail("a folder is meant, and not a database: say --url, and ask one of its servers", USAGE)
    return path


Url = Annotated[
    str,
    typer.Option(envvar="DIBS_URL", show_envvar=False, help="The server; also $DIBS_URL.", callback=_checked),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Queue = Annotated[str, typer.Argument(help="The queue.")]
Seq = Annotated[int | None, typer.Argument(min=1, help="One item, by its seq, with all its attempts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many items to show.")]


def server(url: str, *, wait: float = 0.0) -> Api:
    """The server at a URL. What it takes to ask it is loaded now, as most commands are only looked at.

    ``wait``: seconds that the user would wait for an answer; a server that restarts is waited for as long.
    """
    from .http import SHORT, Api

    return Api(url, patience=max(SHORT, wait))
