"""The picture of ``dibs top``: the sentence, the sums, and the queues sorted by trouble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from ..inert import inert
from .tables import plain, state
from .top_words import age, brief, finding, sentence, servers, sparkline, troubles
from .words import size, span

WIDE: Final = 120
"""Columns from which numbers are written out."""
_WIDEST: Final = 150
_BARS_MOST: Final = 30
"""Columns of the line of the last 15 minutes on the widest terminals; on others half of it, or a third."""
_FINDINGS: Final = 3
_TROUBLES: Final = 4
_TROUBLE_LINES: Final = 3
_LINES_LEAST: Final = 4
"""Lines for queues and their headings, however much there is above them."""
_NAME_LEAST: Final = 12
_NAME: Final = 20
"""Columns of a name that matter more than some of the other columns."""
_FAILURE: Final = 48
"""Columns with which why a queue has failed stands in its line."""
_FAILED: Final = "failed"
_HEADINGS: Final = ("state", "out/s", "done/s", "waiting", "leased", "dead", "oldest", "15 min")
_LEFT: Final = frozenset({"queue", "state", "15 min", _FAILED})
_LEFT_OUT: Final = {"15 min": _NAME, "done/s": _NAME, "leased": _NAME_LEAST, "oldest": _NAME_LEAST}
"""What a narrow terminal goes without, the first first: where names would have less room than that."""
_FOLDING: Final = Console(width=WIDE)


def screen(
    data: Mapping[str, Any], *, url: str, width: int, height: int | None, trouble: str = "", keys: str = ""
) -> Group:
    """One picture, of which no line is wider than there is room.

    Args:
        data: The view ``overview`` of the page's stream.
        url: The server's.
        width: Columns that there are.
        height: Lines that there are; None: any number.
        trouble: Why what is shown is not live; empty while it is.
        keys: What keys do.
    """
    head = _folded(sentence(data), width, _colour(data))
    head += _findings(data, width)
    head += _troubles(data, width)
    if trouble:
        head += _folded(inert(trouble), width, "bold red")
    head += [*_packed(_totals(data, wide=width >= WIDE), width), Text()]
    most = None if height is None else max(height - len(head) - 1, _LINES_LEAST)
    lines, shown = _queues(data["queues"], width, most)
    hidden = data["count"] - shown
    foot = [f"and {hidden:,} more queues, in less trouble" if hidden else "", url, keys, "sorted by trouble"]
    return Group(*head, *lines, *_packed(foot, width)[:1])


def _colour(data: Mapping[str, Any]) -> str:
    if data["restored"]:
        return "bold yellow"
    if not data["findings"]:
        return "bold green" if data["count"] else "bold"
    return "bold red" if data["findings"][0]["kind"] in {"failed", "dead"} else "bold yellow"


def _findings(data: Mapping[str, Any], width: int) -> list[Text]:
    """What else is not well with queues: the sentence has the worst."""
    others = [finding(found, data["now"]) for found in data["findings"][1:_FINDINGS]]
    left = data["look"] - 1 - len(others)
    if others and left > 0:
        others.append(f"and {left:,} more")
    return [line for other in others for line in _folded(other, width, "yellow", indent=2)]


def _troubles(data: Mapping[str, Any], width: int) -> list[Text]:
    """What is not well with the servers and their database."""
    told = troubles(data["servers"])
    lines = [
        line
        for each in told[:_TROUBLES]
        for line in _folded(each, width, "yellow", indent=2, most=_TROUBLE_LINES)
    ]
    if len(told) > _TROUBLES:
        left = f"and {len(told) - _TROUBLES:,} more: `dibs doctor` tells all"
        lines += _folded(left, width, "yellow", indent=2)
    return lines


def _totals(data: Mapping[str, Any], *, wide: bool) -> list[str]:
    """The sums of all queues, and the disk."""
    sums = data["totals"]
    commit = sums["commit_p99"]
    return [
        f"out {brief(sums['out'], wide=wide)}/s",
        f"settled {brief(sums['settled'], wide=wide)}/s",
        f"waiting {brief(sums['waiting'], wide=wide)}",
        f"leased {brief(sums['leased'], wide=wide)}",
        f"dead {brief(sums['dead'], wide=wide)}",
        "" if commit is None else f"commit p99 {span(commit)}",
        *servers(data["servers"]),
        "" if sums["free"] is None else f"disk {size(sums['bytes'])}, {size(sums['free'])} free",
    ]


def _folded(text: str, width: int, style: str, *, indent: int = 0, most: int | None = None) -> list[Text]:
    """A text in lines of so many columns; of more than ``most`` lines the beginning."""
    room = max(width - indent, 1)
    lines = [line.plain.rstrip() for line in Text(text).wrap(_FOLDING, room, overflow="fold")]
    if most is not None and len(lines) > most:
        last = Text(f"{lines[most - 1]} {lines[most]}")
        last.truncate(room, overflow="ellipsis")
        lines = [*lines[: most - 1], last.plain]
    return [Text(" " * indent + line, style) for line in lines]


def _packed(parts: Iterable[str], width: int) -> list[Text]:
    """Parts with dots between, as many in a line as have room; one that has none at all is cut."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and cell_len(lines[-1]) + 3 + cell_len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    texts = [Text(line, "dim") for line in lines]
    for text in texts:
        text.truncate(width, overflow="ellipsis")
    return texts


def _queues(rows: Sequence[Mapping[str, Any]], width: int, most: int | None) -> tuple[list[Text], int]:
    """The table in at most so many lines, and how many queues are in it.

    Numbers are shown whole; of names and failures as much as there is room for. Where that is not in the
    queue's line, why it has failed is a line of its own.
    """
    if not rows:
        return [], 0
    rows = rows[:most]
    wide = width >= WIDE
    gap = 2 if wide else 1
    bars = _BARS_MOST if width >= _WIDEST else _BARS_MOST // 2 if wide else _BARS_MOST // 3
    cells = [_cells(row, bars, wide=wide) for row in rows]
    widths = _widths(cells, width, gap, failures=any(row["failure"] for row in rows))
    lines = [_line({name: Text("" if name == _FAILED else name, "dim") for name in widths}, widths, gap)]
    shown = 0
    for row, its in zip(rows, cells, strict=True):
        more = [_line(its, widths, gap)]
        if row["failure"] and _FAILED not in widths:
            why = Text("  ").append_text(its[_FAILED])
            why.truncate(width, overflow="ellipsis")
            more.append(why)
        if most is not None and shown and len(lines) + len(more) > most:
            break
        lines += more
        shown += 1
    return lines, shown


def _widths(cells: Sequence[Mapping[str, Text]], width: int, gap: int, *, failures: bool) -> dict[str, int]:
    """How wide the columns are that there is room for, in their order."""
    widest = {
        name: max([cell_len(name), *(its[name].cell_len for its in cells)]) for name in ("queue", *_HEADINGS)
    }
    name, others = widest.pop("queue"), widest
    for column, least in _LEFT_OUT.items():
        if min(name, least) + sum(others.values()) + gap * len(others) <= width:
            break
        del others[column]
    room = max(width - sum(others.values()) - gap * len(others), 1)
    left = room - name - gap
    return {"queue": min(name, room), **others, **({_FAILED: left} if failures and left >= _FAILURE else {})}


def _line(cells: Mapping[str, Text], widths: Mapping[str, int], gap: int) -> Text:
    line = Text()
    for name, its in widths.items():
        cell = cells[name].copy()
        cell.truncate(its, overflow="ellipsis")
        blank = " " * (its - cell.cell_len)
        if name in _LEFT:
            line.append_text(cell).append(blank)
        else:
            line.append(blank).append_text(cell)
        line.append(" " * gap)
    line.rstrip()
    return line


def _cells(row: Mapping[str, Any], bars: int, *, wide: bool) -> dict[str, Text]:
    """What there is to show of a queue, by the headings."""

    def number(name: str, style: str = "") -> Text:
        value = row[name]
        return Text("–" if value is None else brief(value, wide=wide), "dim" if not value else style)

    failure = row["failure"]
    why = f"{failure['type']} at item {failure['seq']:,}: {failure['message']}" if failure else ""
    return {
        "queue": plain(row["queue"], "bold"),
        "state": state(row["state"]),
        "out/s": number("out", "cyan"),
        "done/s": number("settled", "cyan"),
        "waiting": number("waiting"),
        "leased": number("leased"),
        "dead": number("dead", "red"),
        "oldest": Text(
            age(row["oldest"]), "yellow" if row["old"] else "dim" if row["oldest"] is None else ""
        ),
        "15 min": Text(sparkline(row["line"], bars), "cyan"),
        _FAILED: Text(inert(" ".join(why.split())), "red"),
    }
