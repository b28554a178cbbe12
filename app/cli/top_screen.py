"""The picture of ``dibs top``: the sentence, the sums, and the queues sorted by trouble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..inert import inert
from .tables import plain, state
from .top_words import age, brief, finding, sentence, servers, sparkline
from .words import size, span

WIDE: Final = 120
"""Columns from which numbers are written out."""
_FINDINGS: Final = 3
_AROUND: Final = 8
"""Lines of the picture beside those of queues and findings."""
_LEAST: Final = 3
_NAME_LEAST: Final = 12
_FAILURE: Final = 26
"""Columns that are kept for why a queue has failed, where there is room."""
_HEADINGS: Final = ("queue", "state", "out/s", "done/s", "waiting", "leased", "dead", "oldest", "15 min")
_LEFT: Final = frozenset({"queue", "state", "15 min"})


def screen(
    data: Mapping[str, Any], *, url: str, width: int, height: int | None, trouble: str = ""
) -> RenderableType:
    """One picture.

    Args:
        data: The view ``overview`` of the page's stream.
        url: The server's.
        width: Columns that there are.
        height: Lines that there are; None: any number.
        trouble: Why what is shown is not live; empty while it is.
    """
    wide = width >= WIDE
    others = [finding(found, data["now"]) for found in data["findings"][1:_FINDINGS]]
    warnings = data["servers"]["warnings"][:_FINDINGS] if data["servers"] else []
    rows, shown = data["queues"], len(data["queues"])
    if height is not None:
        shown = max(height - _AROUND - len(others) - len(warnings) - bool(trouble), _LEAST)
    parts: list[RenderableType] = [Text(sentence(data), style=_colour(data))]
    parts += [Text(f"  {other}", style="yellow", no_wrap=True, overflow="ellipsis") for other in others]
    parts += [
        Text(f"  {inert(told)}", style="yellow", no_wrap=True, overflow="ellipsis") for told in warnings
    ]
    if trouble:
        parts.append(Text(inert(trouble), style="bold red", no_wrap=True, overflow="ellipsis"))
    parts += [_totals(data, wide=wide), Text("")]
    if rows:
        parts.append(_queues(rows[:shown], width))
    hidden = data["count"] - len(rows[:shown])
    parts.append(Text(_foot(url, hidden), style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def _foot(url: str, hidden: int) -> str:
    more = f"and {hidden:,} more queues, in less trouble · " if hidden else ""
    return f"{more}{url} · sorted by trouble"


def _colour(data: Mapping[str, Any]) -> str:
    if data["restored"]:
        return "bold yellow"
    if not data["findings"]:
        return "bold green" if data["count"] else "bold"
    return "bold red" if data["findings"][0]["kind"] in {"failed", "dead"} else "bold yellow"


def _totals(data: Mapping[str, Any], *, wide: bool) -> Text:
    """The sums of all queues, and the disk."""
    sums = data["totals"]
    commit = sums["commit_p99"]
    told = [
        f"out {brief(sums['out'], wide=wide)}/s",
        f"settled {brief(sums['settled'], wide=wide)}/s",
        f"waiting {brief(sums['waiting'], wide=wide)}",
        f"leased {brief(sums['leased'], wide=wide)}",
        f"dead {brief(sums['dead'], wide=wide)}",
        f"commit p99 {span(commit)}" if commit else "",
        servers(data["servers"]),
        "" if sums["free"] is None else f"disk {size(sums['bytes'])}, {size(sums['free'])} free",
    ]
    return Text(" · ".join(part for part in told if part), style="dim")


def _queues(rows: Sequence[Mapping[str, Any]], width: int) -> Table:
    """The table. Numbers are shown whole; of names and failures as much as there is room for."""
    wide = width >= WIDE
    gap, bars = (2, 30) if wide else (1, 10)
    cells = [_cells(row, bars, wide=wide) for row in rows]
    widths = [max(cell.cell_len for cell in column) for column in zip(*cells, strict=True)]
    widths = [max(width, len(name)) for width, name in zip(widths, _HEADINGS, strict=False)]
    failures = wide and any(row["failure"] for row in rows)
    room = width - sum(widths[1:]) - gap * len(widths)
    widths[0] = max(min(widths[0], room - (_FAILURE if failures else 0)), _NAME_LEAST)
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="dim")
    for name, its in zip(_HEADINGS, widths, strict=True):
        right = name not in _LEFT
        table.add_column(
            name, width=its, justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
        )
    if failures:
        table.add_column("", width=max(room - widths[0] - gap, 1), no_wrap=True, overflow="ellipsis")
    for row in cells:
        table.add_row(*row[: len(table.columns)])
    return table


def _cells(row: Mapping[str, Any], bars: int, *, wide: bool) -> list[Text]:
    def number(name: str, style: str = "") -> Text:
        value = row[name]
        return Text("–" if value is None else brief(value, wide=wide), "dim" if not value else style)

    cells = [
        plain(row["queue"], "bold"),
        state(row["state"]),
        number("out", "cyan"),
        number("settled", "cyan"),
        number("waiting"),
        number("leased"),
        number("dead", "red"),
        Text(age(row["oldest"]), "yellow" if row["old"] else "dim" if row["oldest"] is None else ""),
        Text(sparkline(row["line"], bars), "cyan"),
    ]
    if wide:
        failure = row["failure"]
        why = f"{failure['type']} at item {failure['seq']:,}: {failure['message']}" if failure else ""
        cells.append(Text(inert(" ".join(why.split())), "red"))
    return cells
