"""``dibs backup``: one copy on the server's machine, or copies into a folder here, as often as wanted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..errors import DibsError
from .changes import tell_done
from .durations import seconds_of
from .exits import OK, USAGE, fail, say
from .options import DEFAULT_URL, Json, Url, server
from .words import size, span

if TYPE_CHECKING:
    from .backup_folder import BackupFolder, Made
    from .http import Api

LEAST: Final = 1.0
MOST: Final = 366 * 86_400.0
SOON: Final = 60.0
"""Seconds after which a backup that failed is tried again, if the next one is not due before."""


def backup(
    *,
    to: Annotated[Path | None, typer.Option(metavar="DIR", show_default=False)] = None,
    every: Annotated[str | None, typer.Option(metavar="TIME", show_default=False)] = None,
    keep: Annotated[int | None, typer.Option(min=1, max=100_000, metavar="N", show_default=False)] = None,
    url: Url = DEFAULT_URL,
    json: Json = False,
) -> None:
    """Copy the ledger of a running server, consistently, while it goes on.

    Without --to the copy is in the server's data folder, on its machine. With --to it comes here, over HTTP,
    is read once to check it, and only then gets its name and counts. `dibs restore` puts a copy into a fresh
    folder, for `dibs serve --data`.

    Args:
        to: A folder on this machine, for a copy named by its time.
        every: With --to: go on, with a copy each such time (`30m`, `1h`, `1d`), until Ctrl-C or SIGTERM.
        keep: With --to: when a new copy is good, remove the oldest of this ledger beyond so many.

    Example: `dibs backup --to /backups --every 1h --keep 24`
    """
    pause = None if every is None else seconds_of(every, "--every", least=LEAST, most=MOST)
    if to is None:
        if every is not None or keep is not None:
            fail(f"option {'--every' if every is not None else '--keep'}: say --to DIR, too", USAGE)
        _on_the_server(url, json=json)
        return
    from .backup_folder import BackupFolder

    with BackupFolder(to) as folder, server(url) as api:
        if pause is None:
            _show(folder.fetch(api, keep), json=json)
        else:
            raise typer.Exit(_go_on(folder, api, pause, keep, json=json))


def _on_the_server(url: str, *, json: bool) -> None:
    from ..client.managing import ServerOperations

    with server(url) as api:
        done = api.run(ServerOperations(api.setup).backup())
    tell_done({"path": done.path, "bytes": done.bytes}, f"{done.path}  {size(done.bytes)}", json=json)


def _go_on(folder: BackupFolder, api: Api, pause: float, keep: int | None, *, json: bool) -> int:
    """Make one backup after the other until a signal; one that fails harms none, and is made again soon."""
    with _ended() as ended:
        due = monotonic()
        while not ended.wait(max(0.0, due - monotonic())):
            try:
                _show(folder.fetch(api, keep), json=json)
                due = max(due + pause, monotonic())
            except _Ended:
                break
            except DibsError as error:
                again = min(pause, SOON)
                say(f"{_clock()} no backup: {error}; the next try is in {span(again)}")
                due = monotonic() + again
    return OK


class _Ended(KeyboardInterrupt):
    """A signal that ends the command came while a copy was on its way."""


@contextmanager
def _ended() -> Iterator[threading.Event]:
    """An event that a signal sets. A copy that is on its way is broken off, and counts for nothing."""
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()
        raise _Ended

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in heard:
        signal.signal(number, end)
    try:
        yield ended
    except _Ended:
        pass
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)


def _clock() -> str:
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}"


def _show(made: Made, *, json: bool) -> None:
    told = {"path": str(made.path), "bytes": made.bytes, "kept": made.kept, "removed": made.removed}
    removed = f", {len(made.removed)} removed" if made.removed else ""
    text = f"{made.path}  {size(made.bytes)}, checked; {made.kept:,} kept{removed}"
    tell_done(told, text, json=json)
