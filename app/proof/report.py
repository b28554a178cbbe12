"""The verdict for people: one table, the cases that matter, one last line."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from app.proof.spans import shown
from app.proof.verdict import Column, Finding, Outcome, Rule, Sighting, Verdict

_STYLES = {Outcome.CLEAN: "green", Outcome.VIOLATED: "red", Outcome.INCONCLUSIVE: "yellow"}
_MEANING = {
    Column.DUPLICATES: "handed out twice, by seq or by value",
    Column.SKIPPED: "handed out to nobody",
    Column.REORDERED: "a later request got an earlier seq",
    Column.UNEXPLAINED: "not accounted for",
    Column.ALLOWED: "missing, but a request without a reply may own it",
}


def rendered(verdict: Verdict) -> RenderableType:
    """The verdict as something a rich console prints."""
    style = _STYLES[verdict.outcome]
    parts: list[RenderableType] = [_facts(verdict), Text(), _columns(verdict)]
    for rule in Rule:
        if verdict.counts.get(rule):
            parts += [Text(), *_cases(verdict, rule)]
    parts += [Padding(Text(f"Note: {note}", style="dim"), (1, 0, 0, 0)) for note in verdict.notes]
    parts += [Text(), Text(sentence(verdict), style=f"bold {style}")]
    return Panel(Group(*parts), title=f"verdict: {verdict.outcome}", border_style=style, expand=False)


def show(verdict: Verdict, console: Console) -> None:
    """Print the verdict."""
    console.print(rendered(verdict))


def sentence(verdict: Verdict) -> str:
    """The verdict in one line."""
    if verdict.outcome is Outcome.CLEAN and not verdict.totals.items:
        return "Clean: nothing was handed out, and nothing is missing."
    if verdict.outcome is Outcome.CLEAN:
        items, window = verdict.totals.items, verdict.window
        span = f" ({shown(window)})" if window else ""
        return (
            f"Clean: {items:,} items{span}, each to exactly one request: none twice, none skipped, in order."
        )
    counts = ", ".join(f"{verdict.column(column):,} {column}" for column in Column if verdict.column(column))
    if verdict.outcome is Outcome.VIOLATED:
        return f"Violated: {counts}."
    return f"Inconclusive: {counts}. No promise is proved broken, and not every one is proved kept."


def _facts(verdict: Verdict) -> Table:
    totals, header = verdict.totals, verdict.header
    table = Table.grid(padding=(0, 2))
    table.add_row("queue", Text(" ".join(part for part in (header.queue, header.source, header.url) if part)))
    table.add_row(
        "items", f"{totals.items:,} in {totals.ok - totals.replays:,} answers and {totals.replays:,} replays"
    )
    table.add_row(
        "requests", f"{totals.requests:,}: {totals.failed:,} refused, {totals.unknown:,} without a reply"
    )
    if verdict.window and verdict.window[0] <= verdict.window[1]:
        table.add_row("seqs", f"{verdict.window[0]} to {verdict.window[1]}")
    table.add_row("time", f"{totals.seconds:.2f} s")
    return table


def _columns(verdict: Verdict) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(justify="right")
    for column in Column:
        count = verdict.column(column)
        if column is Column.ALLOWED and not count:
            continue
        style = "green" if not count else "yellow" if column is Column.ALLOWED else "red"
        table.add_row(
            Text(f"{count:,}", style=f"bold {style}"), str(column), Text(_MEANING[column], style="dim")
        )
    return table


def _cases(verdict: Verdict, rule: Rule) -> Iterator[RenderableType]:
    cases = [finding for finding in verdict.examples if finding.rule is rule]
    style = "bold red" if rule.violates else "bold yellow"
    yield Text(f"{rule.title}: {verdict.counts[rule]:,} {rule.unit}", style=style)
    for finding in cases:
        yield Padding(_case(verdict, finding), (0, 0, 0, 2))
    more = verdict.counts[rule] - sum(finding.count for finding in cases)
    if more > 0:
        yield Text(f"  … and {more:,} {rule.unit} more", style="dim")


def _case(verdict: Verdict, finding: Finding) -> Text:
    seqs = ", ".join(map(shown, finding.seqs))
    text = Text(f"{'seq ' + seqs + ': ' if seqs else ''}{finding.detail}")
    for request in finding.requests:
        text.append("\n    " + _request(request, verdict.totals.began or 0), style="dim")
    return text


def _request(request: Sighting, began: int) -> str:
    since = "?" if request.invoked is None else f"{(request.invoked - began) / 1e6:.3f}"
    until = f"{(request.completed - began) / 1e6:.3f}"
    key = "no key" if request.key is None else f"key {request.key}"
    line = f"line {request.line}" if request.line else "planted"
    return f"client {request.client}, {key}, {line}, {since} to {until} ms"
