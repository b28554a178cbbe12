"""The tables of queues: how far they are, what is inside, how fast they are, whether they balance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from .tables import Column, Row, plain, state, table
from .words import failure, size, source, span, when

_ADDED: Final = ("base", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead")
_INSIDE: Final = ("waiting_items", "leased", "dead", "acked", "nacked")


def number(name: str, heading: str = "") -> Column:
    """A count: 0 is dim, dead items are red."""

    def cell(row: Row) -> Any:
        return plain(f"{row[name]:,}", "dim" if not row[name] else "red" if name == "dead" else "")

    return Column(heading or name, cell, right=True)


def duration(name: str, heading: str = "", *, within: str = "") -> Column:
    """A time of a row, or of one of its members; a dash where nothing was measured."""

    def cell(row: Row) -> Any:
        seconds = (row[within] if within else row)[name]
        return plain("–", "dim") if seconds is None else span(seconds)

    return Column(heading or name, cell, right=True)


def _name(heading: str = "queue") -> Column:
    return Column(heading, lambda row: plain(row["queue"], "bold"), name=True)


_STATE: Final = Column("state", lambda row: state(row["state"]))
_SOURCE: Final = Column("source", lambda row: plain(source(row), "dim" if row["source"] is None else ""))
_CONFIGURED: Final = Column(
    "configured", lambda row: plain(row["configured"], "yellow" if row["configured"] == "gone" else "dim")
)
_BALANCED: Final = Column(
    "balanced", lambda row: plain("yes", "green") if row["balanced"] else plain("NO", "bold red")
)
_RATE: Final = Column("now", lambda row: f"{row['rate']:,.0f}/s", right=True)


def _present(found: Sequence[Row], *names: str) -> list[str]:
    """Those of these numbers that are not zero everywhere: a table has no columns of nothing."""
    return [name for name in names if any(row.get(name) for row in found)]


def _failed(found: Sequence[Row]) -> list[Column]:
    """The column of why queues have failed, where one has."""
    told = Column("failed", lambda row: plain(failure(row), "red"))
    return [told] if any(row["failure"] for row in found) else []


def progress(found: Sequence[Row]) -> Table:
    """Of ``dibs queues``."""
    gone = _present(found, "acked", "purged", "jumped")
    taken = _present(found, "taken") if gone else ["taken"]  # unless all of them go in other ways
    numbers = [*_present(found, "waiting", "leased", "dead"), *taken, *gone, "cursor"]
    configured = [_CONFIGURED] if any(row.get("configured") == "gone" for row in found) else []
    return table(found, [_name(), _SOURCE, _STATE, *configured, *map(number, numbers), *_failed(found)])


def balances(found: Sequence[Row]) -> Table:
    """Of ``dibs audit``."""
    numbers = [*_present(found, *_ADDED), "cursor", *_present(found, "overlaps")]
    return table(found, [_name(), _BALANCED, *map(number, numbers)])


def inside(found: Sequence[Row]) -> Table | None:
    """The items inside by state, and how many were settled; nothing for queues that were only taken from."""
    if not _present(found, *_INSIDE):
        return None
    others = map(number, _INSIDE[1:])
    waiting = [number("waiting_items", "waiting"), duration("oldest_waiting", "oldest")]
    return table(found, [_name("items"), *waiting, *others])


def rates(found: Sequence[Row]) -> Table:
    """What was taken, and how fast."""
    answers = [duration(name, within="answer") for name in ("p50", "p99")]
    counts = [number("waiting", "waiters"), number("replays"), number("refused")]
    return table(found, [_name(), _STATE, number("taken"), _RATE, *answers, *counts, *_failed(found)])


def times(**found: Mapping[str, float]) -> Table | None:
    """The percentiles of times, by their names; nothing where nothing was measured."""
    rows = [{"time": name, **each} for name, each in found.items() if each["samples"]]
    name = Column("time", lambda row: row["time"])
    percentiles = map(duration, ("p50", "p90", "p99", "max"))
    return table(rows, [name, *percentiles, number("samples")]) if rows else None


def restored(found: Row) -> str | None:
    """What a server of a restored backup is, in a line; None for any other."""
    told = found.get("restored")
    if told is None:
        return None
    held = ": nothing is handed out until `dibs accept` says how to go on" if told["held"] else ""
    return f"Restored from the backup of {when(told['made_at'])} UTC ({told['backup']}){held}"


def _of_ledger(ledger: Row | None) -> dict[str, str]:
    """What a caller that sees all queues is told of the ledger."""
    if ledger is None:
        return {}
    per_sync = f"{ledger['ops'] / ledger['syncs']:.1f} a sync" if ledger["syncs"] else "not synced"
    commits = f"{ledger['commits']:,}: {ledger['ops']:,} ops, {per_sync}" if ledger["commits"] else "none yet"
    return {"ledger": f"{ledger['engine']} {ledger['path']}, {size(ledger['bytes'])}", "commits": commits}


def totals(found: Row) -> Table:
    """The statistics of a server, a line each."""
    work = [found[name] for name in ("pushed", "settled", "nacked")]
    told = {
        "up": span(found["uptime"]),
        "handed out": f"{found['handed_out']:,} in {found['requests']:,} requests",
        "work": "{:,} pushed, {:,} acked, {:,} nacked".format(*work) if any(work) else "",
        "now": f"{found['rate']:,.0f}/s, {found['in_flight']:,} in flight, {found['waiting']:,} waiting",
        "replayed": f"{found['replays']:,}",
        "refused": f"{found['refused']:,}",
        **_of_ledger(found["ledger"]),
    }
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, text in told.items():
        if text:
            grid.add_row(name, plain(text))
    return grid
