"""Judges a history of work: lost, two owners, acked again, fencing, values, attempts. O(n log n).

The checker believes only the history: what clients sent and received, and when; `holdings` explains what
their clocks can prove. Every item of a history is held in memory, about half a kilobyte for each hand-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Protocol

from ..verdict import Findings
from .attempts import explain_redeliveries, find_unseen, find_wrong_attempts
from .fold import Folded, fold
from .holdings import Act, Holdings, find_holdings
from .owners import find_acked_again, find_two_owners, find_unfenced
from .pushes import Pushed, find_pushed, find_wrong_values
from .records import Do, Inside, Line, WorkAudit, WorkEnd, WorkHeader
from .rules import WorkRule, WorkVerdict


class WorkRecording(Protocol):
    """A history that the checker reads: a `WorkReader`, or a `WorkHistory` in memory."""

    @property
    def header(self) -> WorkHeader:
        """What the history is of."""

    @property
    def lines(self) -> Iterable[Line]:
        """Requests and notes, in any order."""

    @property
    def end(self) -> WorkEnd | None:
        """The last line, once the others were read; None where the history was cut off."""


def check_work(history: WorkRecording, *, examples: int = 5) -> WorkVerdict:
    """Judge a history, keeping the first ``examples`` cases of each rule.

    Raises:
        HistoryError: the history can't be read; it names the line.
    """
    findings = Findings(examples)
    folded = fold(history.lines, findings)
    header, end = history.header, history.end
    inside = end.inside if end else None
    pushed = find_pushed(folded, findings)
    held = find_holdings(folded, findings)
    find_two_owners(held, findings)
    acks = find_acked_again(held, findings)
    find_unfenced(held, folded.notes, findings, steady=end is not None and end.steady)
    find_wrong_values(held, pushed, inside or (), findings)
    find_wrong_attempts(held, inside or (), header, findings)
    find_unseen(held, folded, findings)
    _find_lost(pushed, held, acks, inside, findings)
    _find_contradictions(_counted(folded, pushed, held, acks, inside), history, findings)
    explain_redeliveries(held, folded)
    _total(folded, held, acks, inside or ())
    notes = _notes(folded, end)
    return WorkVerdict(dict(findings.counts), findings.in_order(), notes, header, folded.totals)


def _find_lost(
    pushed: Pushed,
    held: Holdings,
    acks: Mapping[int, Act],
    inside: tuple[Inside, ...] | None,
    findings: Findings,
) -> None:
    """Find items that are neither acked nor still inside, or both."""
    left = {item.seq for item in inside or ()}
    for seq in sorted(pushed.by_seq.keys() | held.by_seq.keys()):
        if seq in acks:
            if seq in left:
                seen = acks[seq].record.seen()
                findings.add(WorkRule.ACKED_INSIDE, 1, "acked, and still inside", ((seq, seq),), seen)
        elif seq not in left:
            _missing(seq, pushed, held, findings, looked=inside is not None)


def _missing(seq: int, pushed: Pushed, held: Holdings, findings: Findings, *, looked: bool) -> None:
    holdings = held.by_seq.get(seq, [])
    maybe = seq in held.by_seq and _may_be_acked(held, seq)
    rule = WorkRule.MAYBE if maybe else WorkRule.LOST if looked else WorkRule.UNJUDGED
    told = f"handed out {len(holdings)} times, acked by nobody" if holdings else "never handed out"
    record = pushed.by_seq[seq][1].record if seq in pushed.by_seq else None
    seen = record.seen() if record else None, holdings[-1].seen() if holdings else None
    findings.add(rule, 1, told, ((seq, seq),), *seen)


def _find_contradictions(
    counted: Mapping[str, tuple[int, int]], history: WorkRecording, findings: Findings
) -> None:
    """Compare the server's counters with each other and with those ``counted`` by clients (least, most)."""
    end, header = history.end, history.header
    for told in _contradictions(end.audits if end else ()):
        findings.add(WorkRule.AUDIT, 1, told, ())
    if end is None or not end.audits:
        return
    last = end.audits[-1]
    servers = {
        "pushed": last.cursor - header.cursor,
        "acked": last.acked - header.acked,
        "taken, purged or jumped over": last.taken + last.purged + last.jumped,
        "inside": last.inside,
    }
    for name, (least, most) in counted.items():
        if not least <= servers[name] <= most:
            told = f"the server counts {servers[name]} {name}, the clients know of {least}"
            findings.add(WorkRule.AUDIT, 1, told, ())


def _counted(
    folded: Folded, pushed: Pushed, held: Holdings, acks: Mapping[int, Act], inside: tuple[Inside, ...] | None
) -> dict[str, tuple[int, int]]:
    """The least and the most of each counter by the clients' answers; lost replies leave it open."""
    more = sum(len(left.record.values) for left in folded.open_pushes)
    maybe = sum(seq not in acks and _may_be_acked(held, seq) for seq in held.by_seq)
    counted = {
        "pushed": (len(pushed.by_seq), len(pushed.by_seq) + more),
        "acked": (len(acks), len(acks) + maybe),
        "taken, purged or jumped over": (0, 0),
    }
    return counted | ({} if inside is None else {"inside": (len(inside), len(inside))})


def _may_be_acked(held: Holdings, seq: int) -> bool:
    return any(act.do is Do.ACK and act.verdict is None for one in held.by_seq[seq] for act in one.acts)


def _contradictions(audits: tuple[WorkAudit, ...]) -> Iterable[str]:
    for audit in audits:
        if not audit.adds_up:
            yield f"does not add up: {audit}"
    for before, after in pairwise(audits):
        if _kept(before) != _kept(after):
            yield f"{before}; after a restart, with nobody asking, {after}"


def _kept(audit: WorkAudit) -> tuple[int, ...]:
    """The counters that time alone doesn't change."""
    return audit.cursor, audit.taken, audit.acked, audit.purged, audit.jumped, audit.inside


def _total(folded: Folded, held: Holdings, acks: Mapping[int, Act], inside: Iterable[Inside]) -> None:
    totals = folded.totals
    totals.items = len(acks)
    totals.leases = len(held.by_token)
    totals.handed_out = sum(map(len, held.by_seq.values()))
    totals.stale = sum(act.verdict == "stale" for holding in held for act in holding.acts)
    totals.dead = sum(item.state == "dead" for item in inside)
    totals.waiting = sum(item.state != "dead" for item in inside)
    crashes = [note for note in folded.notes if note.what == "crash"]
    totals.crashes = len({(note.client, note.at) for note in crashes})
    totals.forgotten = len(crashes)
    totals.restarts = sum(note.what == "restart" for note in folded.notes)


def _notes(folded: Folded, end: WorkEnd | None) -> tuple[str, ...]:
    notes = []
    if end is None:
        notes.append("The history has no end line: requests that were in the air are not in it.")
    elif not end.steady:
        notes.append(
            "The server may have been restarted unseen, which lets leases last longer: whether a late settle "
            "came too late is judged by who else had the item, not by the clock."
        )
    if folded.totals.open:
        notes.append(
            f"{folded.totals.open} requests never got a reply, not when asked again either; "
            f"{folded.totals.unseen} hand-outs that nobody saw may be theirs."
        )
    return tuple(notes)
