"""The verdict on work for people: what happened, what was found, why items were handed out again."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ..report import columns, facts, panel, unclean
from ..spans import counted
from ..verdict import Outcome
from .rules import Cause, WorkColumn, WorkRule, WorkVerdict

_MEANING = {
    WorkColumn.LOST: "neither acked, nor still in the queue",
    WorkColumn.TWO_OWNERS: "handed out while somebody's lease was certainly live",
    WorkColumn.ACKED_AGAIN: "handed out after the ack had been answered",
    WorkColumn.FENCING: "a dead token that had an effect, or a live one that had none",
    WorkColumn.VALUES: "not the value that was pushed",
    WorkColumn.ATTEMPTS: "counted wrongly, or more than allowed",
    WorkColumn.PUSHES: "pushed twice in spite of a key, or by nobody",
    WorkColumn.UNEXPLAINED: "not accounted for",
    WorkColumn.ALLOWED: "not proved either way",
}


def work_rendered(verdict: WorkVerdict) -> RenderableType:
    """The verdict as something a rich console prints."""
    top: list[RenderableType] = [
        facts(_facts(verdict)),
        Text(),
        columns(verdict, _MEANING, soft=WorkColumn.ALLOWED),
    ]
    if verdict.totals.redelivered:
        top += [Text(), *_redelivered(verdict.totals.redelivered)]
    return panel(verdict, WorkRule, verdict.totals.began or 0, top, work_sentence(verdict))


def work_sentence(verdict: WorkVerdict) -> str:
    """The verdict in one line."""
    if verdict.outcome is not Outcome.CLEAN:
        return unclean(verdict, WorkColumn)
    totals = verdict.totals
    if not totals.pushed:
        return "Clean: nothing was pushed, and nothing is missing."
    ends = {"acked": totals.items, "dead": totals.dead, "still in the queue": totals.waiting}
    told = ", ".join(f"{count:,} {name}" for name, count in ends.items() if count)
    return (
        f"Clean: {counted(totals.pushed, 'items')}, one owner at a time: {told};"
        f" none lost, none after its ack."
    )


def _facts(verdict: WorkVerdict) -> Mapping[str, str]:
    totals, header = verdict.totals, verdict.header
    known = f", {totals.known:,} more known by their keys" if totals.known else ""
    restarts = f", the server was down {counted(totals.restarts, 'times')}" if totals.restarts else ""
    crashed = counted(totals.crashes, "consumers")
    without = f"{totals.unknown:,} without a reply, {counted(totals.replays, 'replays')}"
    return {
        "queue": " ".join(part for part in (header.queue, header.url) if part),
        "pushed": f"{counted(totals.pushed, 'items')}{known}",
        "handed out": f"{counted(totals.handed_out, 'times')} in {counted(totals.leases, 'leases')}",
        "settled": f"{totals.items:,} acked, {totals.dead:,} dead, {totals.stale:,} refused as stale",
        "trouble": f"{crashed} crashed and forgot {counted(totals.forgotten, 'leases')}{restarts}",
        "requests": f"{totals.requests:,}: {totals.refused:,} refused, {without}",
        "time": f"{totals.seconds:.2f} s",
    }


def _redelivered(causes: Mapping[Cause, int]) -> list[RenderableType]:
    """The redeliveries by reason. They are no violation: at-least-once means that there are some."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(justify="right")
    for cause in Cause:
        if causes.get(cause):
            table.add_row(Text(f"{causes[cause]:,}", style="bold cyan"), Text(str(cause), style="dim"))
    return [
        Text(f"redelivered: {sum(causes.values()):,}, because the hand-out before was", style="cyan"),
        table,
    ]
