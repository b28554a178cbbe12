"""Judges a history: duplicates, skipped, reordered in real time, unexplained. O(n log n).

The checker believes only the history: what clients sent and received, and when. All requests of a history
are held in memory, about half a kilobyte each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .fold import Answer, Folded, fold
from .history import Recording
from .items import find_twice
from .missing import find_missing
from .order import find_reordered
from .records import Audited, End, Header
from .spans import Span, gaps, size
from .verdict import Findings, Rule, Verdict


def check(history: Recording, *, examples: int = 5) -> Verdict:
    """Judge a history, keeping the first ``examples`` cases of each rule.

    Raises:
        HistoryError: the history can't be read; it names the line.
    """
    findings = Findings(examples)
    folded = fold(history.records, findings)
    header, end = history.header, history.end
    owners = find_twice(folded.answers, header, findings)
    got = [(one.piece.first, one.piece.last) for one in owners]
    folded.totals.seqs = size(got)
    find_reordered(folded.answers, findings)
    window = _window(header, end, got)
    if window is not None:
        _find_outside(folded.answers, window, findings)
        missing = list(gaps(got, *window))
        find_missing(missing, folded, owners, _others(folded, header, end), findings)
    _find_contradictions(folded, header, end, findings)
    return Verdict.of(header, folded.totals, findings, window, _notes(folded, header, end))


def _window(header: Header, end: End | None, got: Sequence[Span]) -> Span | None:
    """The seqs that the cursor passed; if nobody read the cursor, from the lowest seq seen to the highest."""
    first = header.cursor + 1 if header.cursor is not None else (got[0][0] if got else None)
    last = end.audits[-1].cursor if end and end.audits else (got[-1][1] if got else None)
    return None if first is None or last is None else (first, last)


def _find_outside(answers: Sequence[Answer], window: Span, findings: Findings) -> None:
    first, last = window
    for answer in answers:
        if first <= answer.lowest and answer.highest <= last:
            continue
        parts = [part for piece in answer.pieces for part in _cut(piece.first, piece.last, window)]
        told = f"the cursor went from {first - 1} to {last}"
        findings.add(Rule.OUTSIDE, size(parts), told, tuple(parts[:8]), answer.seen())


def _cut(first: int, last: int, window: Span) -> list[Span]:
    below, above = (first, min(last, window[0] - 1)), (max(first, window[1] + 1, window[0]), last)
    return [part for part in (below, above) if part[0] <= part[1]]


def _others(folded: Folded, header: Header, end: End | None) -> int | None:
    """How many seqs of the window other clients may have taken. None: any number."""
    if header.taken is None or end is None or not end.audits:
        return 0 if header.exclusive else None
    last = end.audits[-1]
    jumped = max(0, last.jumped - (header.jumped or 0))
    taken = 0 if header.exclusive else max(0, last.taken - header.taken - folded.totals.seqs)
    return jumped + taken


def _find_contradictions(folded: Folded, header: Header, end: End | None, findings: Findings) -> None:
    """Hold the server's own counters against themselves and against the history."""
    audits = end.audits if end else ()
    for audit in audits:
        if not audit.balanced:
            findings.add(Rule.AUDIT, 1, f"not balanced: {_shown(audit)}", ())
    for before, after in pairwise(audits):
        if header.exclusive and after != before:
            told = f"{_shown(before)}; after a restart, with nobody asking, {_shown(after)}"
            findings.add(Rule.AUDIT, 1, told, ())
    # More than the clients have is a gap, and told as one.
    if audits and header.taken is not None and audits[-1].taken - header.taken < folded.totals.seqs:
        taken = audits[-1].taken - header.taken
        told = f"the server counts {taken} taken, the clients have {folded.totals.seqs}"
        findings.add(Rule.AUDIT, 1, told, ())


def _shown(audit: Audited) -> str:
    return f"cursor {audit.cursor}, taken {audit.taken}, jumped {audit.jumped}"


def _notes(folded: Folded, header: Header, end: End | None) -> tuple[str, ...]:
    notes = []
    if end is None:
        notes.append(
            "The history has no end line. If it was cut off, requests that were in the air are not in it, "
            "and a gap near its end may be theirs."
        )
    if not header.exclusive and _others(folded, header, end) != 0:
        notes.append(
            "Others may have used the queue meanwhile, so missing seqs prove nothing where the server counts "
            "more taken than these clients have. A queue of its own gives a full verdict."
        )
    refused = sum(request.refused for request in folded.unresolved)
    if refused:
        notes.append(f"{refused} requests got no reply, and later the word that nothing was handed out.")
    if len({request.count for request in folded.unresolved}) > 1:
        notes.append("Requests without a reply asked for different counts: skipped is the least it can be.")
    if not header.distinct:
        notes.append("The source may yield a value twice, so duplicates are told by seq only.")
    return tuple(notes)
