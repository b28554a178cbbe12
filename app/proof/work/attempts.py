"""Attempts count hand-outs: none twice unless it was not used, none back, none more than allowed.

A release uses no attempt, nor does an expired lease of many items: its worker may have died of any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..verdict import Findings
from .fold import Folded
from .holdings import Act, Holding, Holdings
from .records import Do, Inside, WorkHeader
from .rules import Cause, WorkRule


def find_wrong_attempts(
    held: Holdings, inside: Iterable[Inside], header: WorkHeader, findings: Findings
) -> None:
    """Find contradictions between the attempts of each item's hand-outs."""
    for seq, holdings in held.by_seq.items():
        _find_twice(seq, holdings, findings)
        _find_back(seq, holdings, findings)
        if header.max_attempts is not None:
            _find_limit(seq, holdings, header.max_attempts, findings)
    for item in inside:
        if item.state == "dead" and header.max_attempts is not None and item.attempt < header.max_attempts:
            told = f"dead after {item.attempt} of {header.max_attempts} attempts"
            findings.add(WorkRule.BURIED_EARLY, 1, told, ((item.seq, item.seq),))


def _find_twice(seq: int, holdings: Sequence[Holding], findings: Findings) -> None:
    """Find hand-outs that repeat an attempt which an earlier hand-out had used."""
    kept: dict[int, Holding] = {}
    for holding in holdings:
        if any(act.do is Do.RELEASE and act.ends for act in holding.acts):
            continue
        used, other = _is_used(holding), kept.get(holding.attempt)
        if used:
            kept.setdefault(holding.attempt, holding)
        if other is not None and (used or other.until < holding.since):
            told = f"attempt {holding.attempt} twice"
            findings.add(WorkRule.ATTEMPT_TWICE, 1, told, ((seq, seq),), other.seen(), holding.seen())


def _is_used(holding: Holding) -> bool:
    """Whether a hand-out that was not released has certainly used its attempt: it was alone, or nacked."""
    return holding.alone or any(act.do is Do.NACK and act.worked for act in holding.acts)


def _find_back(seq: int, holdings: Sequence[Holding], findings: Findings) -> None:
    """One sweep in the order of sending; whatever had arrived by then is summed up by its highest attempt."""
    arrived, top = 0, None
    for holding in sorted(holdings, key=lambda one: one.since):
        while arrived < len(holdings) and holdings[arrived].until < holding.since:
            if top is None or holdings[arrived].attempt > top.attempt:
                top = holdings[arrived]
            arrived += 1
        if top is not None and holding.attempt < top.attempt:
            told = f"attempt {holding.attempt} after attempt {top.attempt}"
            findings.add(WorkRule.ATTEMPT_BACK, 1, told, ((seq, seq),), top.seen(), holding.seen())


def _find_limit(seq: int, holdings: Sequence[Holding], most: int, findings: Findings) -> None:
    for holding in holdings:
        if holding.attempt > most:
            told = f"attempt {holding.attempt}, and {most} are allowed"
            findings.add(WorkRule.TOO_OFTEN, 1, told, ((seq, seq),), holding.seen())
        for act in holding.acts:
            if act.verdict == "dead" and holding.attempt < most:
                told = f"dead after {holding.attempt} of {most} attempts"
                seen = holding.seen(), act.record.seen()
                findings.add(WorkRule.BURIED_EARLY, 1, told, ((seq, seq),), *seen)


def find_unseen(held: Holdings, folded: Folded, findings: Findings) -> None:
    """Find hand-outs that only a later attempt tells of: requests without a reply may have had that many."""
    unseen = {
        seq: missing
        for seq, holdings in held.by_seq.items()
        if (missing := _missing(holding.attempt for holding in holdings))
    }
    count = sum(map(len, unseen.values()))
    most = sum(left.record.most for left in folded.open_works)
    folded.totals.unseen = min(count, most)
    if count > most:
        seq, missing = next(iter(unseen.items()))
        told = f"{count} hand-outs nobody got, and requests without a reply explain {most}; "
        told += f"the first is attempt {missing[0]} of {seq}"
        findings.add(WorkRule.UNSEEN, count - most, told, ((seq, seq),), held.by_seq[seq][-1].seen())


def _missing(attempts: Iterable[int]) -> list[int]:
    seen = set(attempts)
    return [attempt for attempt in range(1, min(max(seen), 10_000)) if attempt not in seen]


def explain_redeliveries(held: Holdings, folded: Folded) -> None:
    """Count the hand-outs of an item after its first one, by what became of the one before."""
    crashed = {note.token for note in folded.notes if note.what == "crash"}
    late = {note.token for note in folded.notes if note.what == "late"}
    restarts = sorted((note.at, note.until) for note in folded.notes if note.what == "restart")
    causes = folded.totals.redelivered
    for holdings in held.by_seq.values():
        if len(holdings) == 1 and holdings[0].attempt == 1:
            continue
        ordered = sorted(holdings, key=lambda one: (one.attempt, one.until))
        for before, after in zip([None, *ordered], ordered, strict=False):
            cause = _cause(before, after, crashed, late, restarts)
            if cause is not None:
                causes[cause] = causes.get(cause, 0) + 1


def _cause(
    before: Holding | None,
    after: Holding,
    crashed: set[str],
    late: set[str],
    restarts: Iterable[tuple[int, int]],
) -> Cause | None:
    """The cause of the hand-out ``after``; None for a first hand-out."""
    if before is None or after.attempt > before.attempt + 1:
        return None if after.attempt == 1 else Cause.UNKNOWN
    settled = next((cause for act in before.acts if (cause := _settled(act))), None)
    if settled is not None:
        return settled
    if before.token in crashed:
        return Cause.CRASHED
    if before.token in late:
        return Cause.LATE
    if any(at < after.until and until > before.until for at, until in restarts):
        return Cause.RESTART
    return Cause.SLOW


def _settled(act: Act) -> Cause | None:
    if not act.ends:
        return None
    if act.verdict is None:
        return Cause.UNKNOWN
    return {Do.NACK: Cause.NACKED, Do.RELEASE: Cause.RELEASED}.get(act.do, Cause.UNKNOWN)
