"""``dibs stats``: what the server does, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from app.cli.options import Json, Url

EXAMPLE: Final = "Example: `dibs stats ids --json`"
_PERCENTILES: Final = ("p50", "p90", "p99", "max")


def stats(
    queue: Annotated[str | None, typer.Argument(help="One queue.  [default: the whole server]")] = None,
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show rates, waits and commits since the server started."""
    from app.cli.http import Api
    from app.cli.tables import print_json, show

    path = "/stats" if queue is None else f"/queues/{quote(queue, safe='')}/stats"
    with Api(url) as api:
        found = api.get(path)
    if json:
        print_json(found)
        return
    if queue is None:
        parts = [_server(found), _times(_server_times(found)), _queues(found["queues"])]
    else:
        parts = [_queues([found]), _times(_queue_times(found))]
    show(*(part for part in parts if part is not None))


def _server(found: Mapping[str, Any]) -> Any:
    from app.cli.tables import plain, size, span

    ledger = found["ledger"]
    per_sync = f"{ledger['ops'] / ledger['syncs']:.1f} a sync" if ledger["syncs"] else "not synced"
    lines = [
        ("up", span(found["uptime"])),
        ("handed out", f"{found['handed_out']:,} in {found['requests']:,} requests"),
        ("now", f"{found['rate']:,.0f}/s, {found['in_flight']:,} in flight, {found['waiting']:,} waiting"),
        ("replayed", f"{found['replays']:,}"),
        ("refused", f"{found['refused']:,}"),
        ("ledger", f"{ledger['engine']} {ledger['path']}, {size(ledger['bytes'])}"),
        ("commits", f"{ledger['commits']:,}: {ledger['ops']:,} ops, {per_sync}"),
    ]
    return _grid([(name, plain(text)) for name, text in lines])


def _grid(rows: list[tuple[str, Any]]) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _server_times(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    return [("commit", found["ledger"]["commit"])]


def _queue_times(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, float]]]:
    return [(name, found[name]) for name in ("answer", "wait", "hold")]


def _times(rows: list[tuple[str, Mapping[str, float]]]) -> Any:
    from app.cli.tables import span, table

    rows = [row for row in rows if row[1]["samples"]]
    if not rows:
        return None
    shown = table("time", *_PERCENTILES, "samples", right=(*_PERCENTILES, "samples"))
    for name, times in rows:
        shown.add_row(name, *(span(times[each]) for each in _PERCENTILES), f"{times['samples']:,.0f}")
    return shown


def _queues(found: list[dict[str, Any]]) -> Any:
    from app.cli.tables import failure, plain, span, state, table

    numbers = ("taken", "now", "p50", "p99", "waiting", "replays", "refused")
    failed = any(queue["failure"] for queue in found)
    shown = table("queue", "state", *numbers, *(["failed"] if failed else []), right=numbers)
    for queue in found:
        shown.add_row(
            plain(queue["queue"], "bold"),
            state(queue["state"]),
            f"{queue['taken']:,}",
            f"{queue['rate']:,.0f}/s",
            span(queue["answer"]["p50"]),
            span(queue["answer"]["p99"]),
            f"{queue['waiting']:,}",
            f"{queue['replays']:,}",
            f"{queue['refused']:,}",
            *([plain(failure(queue), "red")] if failed else []),
        )
    return shown
