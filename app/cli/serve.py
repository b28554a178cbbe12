"""``dibs serve``: the options, and from them the settings."""

from __future__ import annotations

import gc
import signal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from .exits import USAGE, fail


def serve(
    *,
    port: Annotated[str | None, typer.Option("--port", "-p")] = None,
    host: str | None = None,
    data: str | None = None,
    advertise: Annotated[str | None, typer.Option(metavar="HOST:PORT", show_default=False)] = None,
    adopt: bool = False,
    config: Path | None = None,
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", metavar="NAME[=SOURCE]")] = None,
    allow_anonymous: bool | None = None,
    no_get: bool = False,
    source_root: Path | None = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    workers: Annotated[str | None, typer.Option(show_default=False)] = None,
    log_level: str | None = None,
    log_format: str | None = None,
) -> None:
    """Start the server. Without options it has one queue, default, that counts from 1, in ./dibs-data.

    Args:
        port: Port to listen on; 0 finds a free one.  [default: 8000]
        host: Address to listen on.  [default: 127.0.0.1]
        data: Folder of the ledger; ':memory:' stores nothing; 'postgresql://…' is shared by several servers.
            [default: dibs-data]
        advertise: Where the other servers of a database reach this one.  [default: the address and port that
            it listens on; of all addresses the name of the machine]
        adopt: Serve a ledger that was copied here from another database, whose original is served no more.
        config: Configuration file.  [default: dibs.toml, if it is there]
        queue: A queue and its source, or a NAME if producers push; repeatable.  [default: default=count]
        allow_anonymous: Without tokens: let whoever reaches the port do everything, other machines, too.
        no_get: Hand out items over POST only.
        source_root: Folder whose files may be named as sources over HTTP.  [default: no files]
        tls_cert: Serve https by this certificate (PEM, with those above it).
        tls_key: Its private key, if that is in another file.
        workers: Server processes; on SQLite it is 1.
        log_level: debug, info (each request), notice (what operators do), warning, error.  [default: notice]
        log_format: json, human, or auto: human on a terminal.  [default: auto]

    Example: `dibs serve --queue 'ids=count(start=100)' --queue 'jobs=lines(files.txt)'
    --queue sweep=mymodule:generate`
    """
    options: dict[str, Any] = {  # as they were written: what is wrong with them the settings say
        "port": port,
        "host": host,
        "data": data,
        "advertise": advertise,
        "adopt": True if adopt else None,
        "queues": _queues(queue) if queue else None,
        "allow_anonymous": allow_anonymous,
        "allow_get": False if no_get else None,
        "source_root": source_root,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "workers": workers,
        "log_level": log_level,
        "log_format": log_format,
    }
    given = {name: value for name, value in options.items() if value is not None}
    raise typer.Exit(_run(given, config))


def _run(options: dict[str, Any], config: Path | None) -> int:
    """Load the server and run it. While it is loaded nothing is garbage, so nobody needs to look for any."""
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, _leave)
    gc.disable()
    try:
        from ..config import read
        from .server import run

        return run(partial(read, options, file=config))
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
