"""The option ``--token-file`` of all commands that ask a server."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from .exits import USAGE, fail

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        show_default=False,
        help="The file with the token to show; also $DIBS_TOKEN_FILE, or the token itself in $DIBS_TOKEN.",
    ),
]


class Shown:
    """The token of this command. It is not put into the environment, which the jobs of a worker inherit."""

    token: str | None = None


def with_token_file(function: Callable[..., None]) -> Callable[..., None]:
    """A command that takes the option, too."""

    @wraps(function)
    def command(*args: Any, token_file: Path | None = None, **options: Any) -> None:
        Shown.token = _token(token_file)
        function(*args, **options)

    signature = inspect.signature(function)
    option = inspect.Parameter(
        "token_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=TokenFile
    )
    parameters = [*signature.parameters.values(), option]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def _token(file: Path | None) -> str | None:
    from ..client.secret import read_token, token_of

    named = "option --token-file"
    if file is None and os.environ.get("DIBS_TOKEN_FILE"):
        named, file = "environment variable DIBS_TOKEN_FILE", Path(os.environ["DIBS_TOKEN_FILE"])
    try:
        return token_of(None) if file is None else read_token(file)
    except OSError as error:
        fail(f"{named} {file}: {error.strerror}", USAGE)
    except ValueError as error:
        fail(str(error) if file is None else f"{named} {file}: {error}", USAGE)
