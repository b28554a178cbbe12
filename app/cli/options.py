"""Parameters that several commands share."""

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
Queue = Annotated[str, typer.Argument(help="The queue.")]
Seq = Annotated[int | None, typer.Argument(min=1, help="One item, by its seq, with all its attempts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask first.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many items to show.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="NAME=VALUE", help="A setting of the queue; repeatable."),
]
