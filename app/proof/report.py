"""The verdict for people: one table, the cases that matter, one last line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .checker import Cause
from .kinds import Column, Kind
from .records import Sighting
from .values import counted, shown
from .verdict import Cases, Finding, Judgement, Verdict

_STYLES: Final = {
    Judgement.CLEAN: "green",
    Judgement.VIOLATED: "red",
    Judgement.INCONCLUSIVE: "yellow",
}
_PLURALS: Final = (Column.DUPLICATES, Column.VALUES, Column.ATTEMPTS, Column.PUSHES)


def rendered(verdict: Verdict) -> RenderableType:
    """The verdict as a renderable of rich."""
    style = _STYLES[verdict.judgement]
    parts: list[RenderableType] = [_grid(_facts(verdict)), Text(), _columns(verdict.columns)]
    parts += _redelivered(verdict.totals.get("redelivered", {}))
    for cases in verdict.cases:
        parts += [Text(), *_cases(cases, verdict.totals["began"] or 0)]
    parts += [Padding(Text(f"Note: {note}", style="dim"), (1, 0, 0, 0)) for note in verdict.notes]
    parts += [Text(), Text(sentence(verdict), style=f"bold {style}")]
    return Panel(Group(*parts), title=f"verdict: {verdict.judgement}", border_style=style, expand=False)


def sentence(verdict: Verdict) -> str:
    """The verdict in one line."""
    if verdict.judgement is Judgement.CLEAN:
        return _clean_takes(verdict) if verdict.header.kind is Kind.TAKES else _clean_work(verdict)
    counts = ", ".join(
        counted(count, column) if column in _PLURALS else f"{count:,} {column}"
        for column, count in verdict.columns.items()
        if count
    )
    if verdict.judgement is Judgement.VIOLATED:
        return f"Violated: {counts}."
    return f"Inconclusive: {counts}. No promise is proved broken, and not every one is proved kept."


def _clean_takes(verdict: Verdict) -> str:
    items, window = verdict.totals["items"], verdict.window
    if not items:
        return "Clean: nothing was handed out, and nothing is missing."
    span = f" ({shown(window)})" if window else ""
    told = "each to exactly one request: none twice, none skipped, in order."
    return f"Clean: {counted(items, 'items')}{span}, {told}"


def _clean_work(verdict: Verdict) -> str:
    totals = verdict.totals
    if not totals["pushed"]:
        return "Clean: nothing was pushed, and nothing is missing."
    ends = {"acked": totals["items"], "dead": totals["dead"], "still in the queue": totals["waiting"]}
    told = ", ".join(f"{count:,} {name}" for name, count in ends.items() if count)
    pushed = counted(totals["pushed"], "items")
    return f"Clean: {pushed}, one owner at a time: {told}; none lost, none after its ack."


def _facts(verdict: Verdict) -> dict[str, str]:
    header = verdict.header
    about = _of_takes(verdict) if header.kind is Kind.TAKES else _of_work(verdict)
    queue = " ".join(part for part in (header.queue, header.source, header.url) if part)
    return {"queue": queue, **about, "time": f"{verdict.seconds:.2f} s"}


def _of_takes(verdict: Verdict) -> dict[str, str]:
    totals, window = verdict.totals, verdict.window
    first, replays = totals["ok"] - totals["replays"], totals["replays"]
    refused = f"{totals['failed']:,} refused, {totals['unknown']:,} without a reply"
    told = {
        "items": f"{totals['items']:,} in {counted(first, 'answers')} and {counted(replays, 'replays')}",
        "requests": f"{totals['requests']:,}: {refused}",
    }
    return told | ({"seqs": f"{window[0]} to {window[1]}"} if window and window[0] <= window[1] else {})


def _of_work(verdict: Verdict) -> dict[str, str]:
    totals = verdict.totals
    known = f", {totals['known']:,} more known by their keys" if totals["known"] else ""
    down = f", the server was down {counted(totals['restarts'], 'times')}" if totals["restarts"] else ""
    down += f", {counted(totals['takeovers'], 'takeovers')} by another" if totals["takeovers"] else ""
    crashed = f"{counted(totals['crashes'], 'consumers')} crashed"
    ends = f"{totals['items']:,} acked, {totals['dead']:,} dead"
    without = f"{totals['unknown']:,} without a reply, {counted(totals['replays'], 'replays')}"
    return {
        "pushed": f"{counted(totals['pushed'], 'items')}{known}",
        "handed out": f"{counted(totals['handed_out'], 'times')} in {counted(totals['leases'], 'leases')}",
        "settled": f"{ends}, {totals['stale']:,} refused as stale",
        "trouble": f"{crashed} and forgot {counted(totals['forgotten'], 'leases')}{down}",
        "requests": f"{totals['requests']:,}: {totals['refused']:,} refused, {without}",
    }


def _grid(told: Mapping[str, str]) -> Table:
    """A table with one fact per line."""
    table = Table.grid(padding=(0, 2))
    for name, text in told.items():
        table.add_row(name, Text(text))
    return table


def _table() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(justify="right")
    return table


def _columns(counts: Mapping[Column, int]) -> Table:
    """A line a column, with what it means; the one that breaks no promise only if it counts."""
    table = _table()
    for column, count in counts.items():
        soft = column is Column.ALLOWED
        if count or not soft:
            style = "green" if not count else "yellow" if soft else "red"
            meaning = Text(column.meaning, style="dim")
            table.add_row(Text(f"{count:,}", style=f"bold {style}"), str(column), meaning)
    return table


def _redelivered(causes: Mapping[str, int]) -> list[RenderableType]:
    """The redeliveries by reason. They are no violation: at-least-once means that there are some."""
    if not causes:
        return []
    table = _table()
    for cause in Cause:
        if count := causes.get(cause.name.lower()):
            table.add_row(Text(f"{count:,}", style="bold cyan"), Text(str(cause), style="dim"))
    told = f"redelivered: {sum(causes.values()):,}, because the hand-out before was"
    return [Text(), Text(told, style="cyan"), table]


def _cases(cases: Cases, began: int) -> Iterator[RenderableType]:
    rule, more = cases.rule, cases.total - sum(found.count for found in cases.examples)
    style = "bold red" if rule.violates else "bold yellow"
    yield Text(f"{rule.sentence}: {counted(cases.total, rule.unit)}", style=style)
    for found in cases.examples:
        yield Padding(_case(found, began), (0, 0, 0, 2))
    if more > 0:
        yield Text(f"  … and {counted(more, rule.unit)} more", style="dim")


def _case(found: Finding, began: int) -> Text:
    seqs = ", ".join(map(shown, found.seqs))
    text = Text(f"{'seq ' + seqs + ': ' if seqs else ''}{found.detail}")
    for request in found.requests:
        text.append("\n    " + _request(request, began), style="dim")
    return text


def _request(request: Sighting, began: int) -> str:
    since = "?" if request.invoked is None else f"{(request.invoked - began) / 1e6:.3f}"
    until = f"{(request.completed - began) / 1e6:.3f}"
    key = "no key" if request.key is None else f"key {request.key}"
    line = f"line {request.line}" if request.line else "planted"
    return f"client {request.client}, {key}, {line}, {since} to {until} ms"
