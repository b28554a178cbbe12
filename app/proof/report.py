"""The verdict for people: one table, the cases that matter, one last line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .spans import counted, shown
from .verdict import Column, Finding, Judgement, Kind, Outcome, Rule, Sighting, Verdict

_STYLES = {Outcome.CLEAN: "green", Outcome.VIOLATED: "red", Outcome.INCONCLUSIVE: "yellow"}
_MEANING = {
    Column.DUPLICATES: "handed out twice, by seq or by value",
    Column.SKIPPED: "handed out to nobody",
    Column.REORDERED: "a later request got an earlier seq",
    Column.UNEXPLAINED: "not accounted for",
    Column.ALLOWED: "missing, but a request without a reply may own it",
}

_PLURALS: Final = ("duplicates", "values", "attempts", "pushes")
"""Names of columns that are plurals."""


def rendered(verdict: Verdict) -> RenderableType:
    """The verdict as a renderable of rich."""
    top: list[RenderableType] = [
        facts(_facts(verdict)),
        Text(),
        columns(verdict, _MEANING, soft=Column.ALLOWED),
    ]
    return panel(verdict, Rule, verdict.totals.began or 0, top, sentence(verdict))


def panel(
    verdict: Judgement, rules: type[Kind], began: int, top: Sequence[RenderableType], last: str
) -> RenderableType:
    """A verdict in a panel: its ``top``, the cases of each rule, the notes, and the ``last`` line."""
    style = _STYLES[verdict.outcome]
    parts = [*top]
    for rule in rules:
        if verdict.counts.get(rule):
            parts += [Text(), *_cases(verdict, rule, began)]
    parts += [Padding(Text(f"Note: {note}", style="dim"), (1, 0, 0, 0)) for note in verdict.notes]
    parts += [Text(), Text(last, style=f"bold {style}")]
    return Panel(Group(*parts), title=f"verdict: {verdict.outcome}", border_style=style, expand=False)


def sentence(verdict: Verdict) -> str:
    """The verdict in one line."""
    if verdict.outcome is Outcome.CLEAN and not verdict.totals.items:
        return "Clean: nothing was handed out, and nothing is missing."
    if verdict.outcome is Outcome.CLEAN:
        items, window = verdict.totals.items, verdict.window
        span = f" ({shown(window)})" if window else ""
        told = "each to exactly one request: none twice, none skipped, in order."
        return f"Clean: {counted(items, 'items')}{span}, {told}"
    return unclean(verdict, Column)


def unclean(verdict: Judgement, names: Iterable[StrEnum]) -> str:
    """A verdict that is not clean in one line."""
    told = {str(column): verdict.column(column) for column in names}
    counts = ", ".join(
        counted(count, name) if name in _PLURALS else f"{count:,} {name}"
        for name, count in told.items()
        if count
    )
    if verdict.outcome is Outcome.VIOLATED:
        return f"Violated: {counts}."
    return f"Inconclusive: {counts}. No promise is proved broken, and not every one is proved kept."


def _facts(verdict: Verdict) -> Mapping[str, str]:
    totals, header = verdict.totals, verdict.header
    told = {
        "queue": " ".join(part for part in (header.queue, header.source, header.url) if part),
        "items": f"{totals.items:,} in {counted(totals.ok - totals.replays, 'answers')}"
        f" and {counted(totals.replays, 'replays')}",
        "requests": f"{totals.requests:,}: {totals.failed:,} refused, {totals.unknown:,} without a reply",
    }
    if verdict.window and verdict.window[0] <= verdict.window[1]:
        told["seqs"] = f"{verdict.window[0]} to {verdict.window[1]}"
    return told | {"time": f"{totals.seconds:.2f} s"}


def facts(told: Mapping[str, str]) -> Table:
    """A table with one fact per line."""
    table = Table.grid(padding=(0, 2))
    for name, text in told.items():
        table.add_row(name, Text(text))
    return table


def columns(verdict: Judgement, meaning: Mapping[Any, str], *, soft: StrEnum) -> Table:
    """A line a column, with what it means; the ``soft`` one, which breaks no promise, only if it counts."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(justify="right")
    for column, text in meaning.items():
        count = verdict.column(column)
        if column is soft and not count:
            continue
        style = "green" if not count else "yellow" if column is soft else "red"
        table.add_row(Text(f"{count:,}", style=f"bold {style}"), str(column), Text(text, style="dim"))
    return table


def _cases(verdict: Judgement, rule: Kind, began: int) -> Iterator[RenderableType]:
    cases = [finding for finding in verdict.examples if finding.rule is rule]
    style = "bold red" if rule.violates else "bold yellow"
    yield Text(f"{rule.title}: {counted(verdict.counts[rule], rule.unit)}", style=style)
    for finding in cases:
        yield Padding(_case(finding, began), (0, 0, 0, 2))
    more = verdict.counts[rule] - sum(finding.count for finding in cases)
    if more > 0:
        yield Text(f"  … and {counted(more, rule.unit)} more", style="dim")


def _case(finding: Finding, began: int) -> Text:
    seqs = ", ".join(map(shown, finding.seqs))
    text = Text(f"{'seq ' + seqs + ': ' if seqs else ''}{finding.detail}")
    for request in finding.requests:
        text.append("\n    " + _request(request, began), style="dim")
    return text


def _request(request: Sighting, began: int) -> str:
    since = "?" if request.invoked is None else f"{(request.invoked - began) / 1e6:.3f}"
    until = f"{(request.completed - began) / 1e6:.3f}"
    key = "no key" if request.key is None else f"key {request.key}"
    line = f"line {request.line}" if request.line else "planted"
    return f"client {request.client}, {key}, {line}, {since} to {until} ms"
