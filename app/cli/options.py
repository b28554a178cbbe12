"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Final

import typer

DEFAULT_URL: Final = "http://127.0.0.1:8000"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="DIBS_URL",
        show_envvar=False,
        help=f"The server; also $DIBS_URL.  [default: {DEFAULT_URL}]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
