"""``dibs stats``: what the server does, and how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from .options import Json, Url

if TYPE_CHECKING:
    from .http import Api

_INSIDE: Final = ("waiting_items", "leased", "dead")
_ENDS: Final = ("acked", "nacked")
_WORK: Final = ("pushed", "settled", "nacked")
_PERCENTILES: Final = ("p50", "p90", "p99", "max")


def stats(
    queue: Annotated[str | None, typer.Argument(help="One queue.  [default: the whole server]")] = None,
    *,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show rates, waits and commits since the server started.

    Example: `dibs stats ids --json`
    """
    from .changes import path_of
    from .http import Api
    from .tables import print_json, show

    with Api(url) as api:
        found = _all(api) if queue is None else api.get(f"{path_of(queue)}/stats")
    if json:
        print_json(found)
        return
    if queue is None:
        parts = [
            _server(found),
            _times([("commit", found["ledger"]["commit"])]),
            _items(found["queues"]),
            _queues(found["queues"]),
        ]
    else:
        parts = [
            _items([found]),
            _queues([found]),
            _times([(name, found[name]) for name in ("answer", "wait", "hold")]),
        ]
    show(*(part for part in parts if part is not None))


def _all(api: Api) -> dict[str, Any]:
    """The server's statistics with all of its queues."""
    first, *others = api.pages("/stats")
    return {**first, "queues": [queue for page in (first, *others) for queue in page["queues"]], "next": None}


def _server(found: Mapping[str, Any]) -> Any:
    from .tables import plain, size, span

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
    pushed, acked, nacked = (found[name] for name in _WORK)
    if pushed or acked or nacked:
        lines.insert(2, ("work", f"{pushed:,} pushed, {acked:,} acked, {nacked:,} nacked"))
    return _grid([(name, plain(text)) for name, text in lines])


def _grid(rows: list[tuple[str, Any]]) -> Any:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value)
    return grid


def _times(rows: list[tuple[str, Mapping[str, float]]]) -> Any:
    from .tables import span, table

    rows = [row for row in rows if row[1]["samples"]]
    if not rows:
        return None
    shown = table("time", *_PERCENTILES, "samples", right=(*_PERCENTILES, "samples"))
    for name, times in rows:
        shown.add_row(name, *(span(times[each]) for each in _PERCENTILES), f"{times['samples']:,.0f}")
    return shown


def _items(found: list[dict[str, Any]]) -> Any:
    """The items inside by state, and how many were settled; nothing for a queue that was only taken from."""
    from .tables import number, plain, present, span, table

    if not present(found, *_INSIDE, *_ENDS):
        return None
    names = ("waiting", "oldest", *_INSIDE[1:], *_ENDS)
    shown = table("items", *names, right=names)
    for queue in found:
        inside, ends = ([number(name, queue[name]) for name in part] for part in (_INSIDE, _ENDS))
        oldest = plain(span(queue["oldest_waiting"] or 0), "" if queue["oldest_waiting"] else "dim")
        shown.add_row(plain(queue["queue"], "bold"), inside[0], oldest, *inside[1:], *ends)
    return shown


def _queues(found: list[dict[str, Any]]) -> Any:
    from .tables import failure, number, plain, span, state, table

    numbers = ("taken", "now", "p50", "p99", "waiters", "replays", "refused")
    failed = any(queue["failure"] for queue in found)
    shown = table("queue", "state", *numbers, *(["failed"] if failed else []), right=numbers)
    for queue in found:
        shown.add_row(
            plain(queue["queue"], "bold"),
            state(queue["state"]),
            number("taken", queue["taken"]),
            f"{queue['rate']:,.0f}/s",
            span(queue["answer"]["p50"]),
            span(queue["answer"]["p99"]),
            *(number(name, queue[name]) for name in ("waiting", "replays", "refused")),
            *([plain(failure(queue), "red")] if failed else []),
        )
    return shown
