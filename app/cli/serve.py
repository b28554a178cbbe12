"""``dibs serve``: the options, and from them the settings."""

from __future__ import annotations

import gc
import signal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from .exits import USAGE, fail

Port = Annotated[
    int | None, typer.Option("--port", "-p", help="Port to listen on; 0 finds a free one.  [default: 8000]")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")]
Data = Annotated[
    str | None, typer.Option(help="Folder of the ledger; ':memory:' stores nothing.  [default: dibs-data]")
]
Config = Annotated[
    Path | None, typer.Option(help="Configuration file.  [default: dibs.toml, if it is there]")
]
Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        "-q",
        metavar="NAME[=SOURCE]",
        help="A queue and its source, or a NAME alone if producers push; repeatable.  [default:"
        " default=count]",
    ),
]
AllowAnonymous = Annotated[
    bool | None,
    typer.Option("--allow-anonymous", help="Let other machines connect, although no token is asked for."),
]
NoGet = Annotated[bool, typer.Option("--no-get", help="Hand out items over POST only.")]
SourceRoot = Annotated[
    Path | None,
    typer.Option(help="Folder whose files may be named as sources over HTTP.  [default: no files]"),
]
Workers = Annotated[int | None, typer.Option(help="Server processes; on SQLite it is 1.", show_default=False)]


def serve(
    *,
    port: Port = None,
    host: Host = None,
    data: Data = None,
    config: Config = None,
    queue: Queues = None,
    allow_anonymous: AllowAnonymous = None,
    no_get: NoGet = False,
    source_root: SourceRoot = None,
    workers: Workers = None,
) -> None:
    """Start the server. Without options it has one queue, default, that counts from 1, in ./dibs-data.

    Example: `dibs serve --queue 'ids=count(start=100)' --queue 'jobs=lines(files.txt)'
    --queue sweep=mymodule:generate`
    """
    options: dict[str, Any] = {
        "port": port,
        "host": host,
        "data": data,
        "queues": _queues(queue) if queue else None,
        "allow_anonymous": allow_anonymous,
        "allow_get": False if no_get else None,
        "source_root": source_root,
        "workers": workers,
    }
    given = {name: value for name, value in options.items() if value is not None}
    raise typer.Exit(_run(given, config))


def _run(options: dict[str, Any], config: Path | None) -> int:
    """Load the server and run it. While it is loaded nothing is garbage, so nobody needs to look for any."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _leave)
    gc.disable()
    try:
        from ..config import load
        from .server import run

        return run(load(options, file=config))
    finally:
        gc.enable()


def _leave(*_: object) -> NoReturn:
    """End before there is anything to end. As process 1 of a container the default would be to ignore it."""
    raise SystemExit(0)


def _queues(definitions: list[str]) -> dict[str, str]:
    queues: dict[str, str] = {}
    for definition in definitions:
        name, equals, source = definition.partition("=")
        if equals and not source.strip():
            fail(
                f"option --queue {definition!r}: say NAME=SOURCE, such as 'ids=count(start=100)', or a NAME"
                " alone if producers push",
                USAGE,
            )
        if name in queues:
            fail(f"option --queue {definition!r}: {name} is there twice", USAGE)
        queues[name] = source
    return queues
