"""Judges a history by the rules. O(n log n).

The checker believes only the history: what clients sent and received, and when; `holdings` explains what
their clocks can prove. Every request and item is held in memory, about half a kilobyte each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Any

from .case import Case
from .holdings import Holding
from .kinds import Kind
from .records import Do, History, Outcome
from .rules import RULES
from .verdict import Cases, Rule, Verdict


class Cause(StrEnum):
    """Why an item was handed out again: what became of the hand-out before."""

    CRASHED = "expired: its consumer crashed"
    LATE = "expired: its consumer meant to be late"
    RESTART = "expired while the server was killed or starting"
    SLOW = "expired: its consumer was too slow"
    NACKED = "nacked"
    RELEASED = "released"
    UNKNOWN = "settled by a request without a reply, or expired"


def judge(history: History, *, examples: int = 5) -> Verdict:
    """Judge a history, keeping the first ``examples`` cases of each rule."""
    case = Case(history)
    takes = case.header.kind is Kind.TAKES
    rules = [rule for rule in RULES if case.header.kind in rule.kinds]
    cases = tuple(found for rule in rules if (found := _cases(rule, case, examples)).total)
    return Verdict(
        header=case.header,
        window=case.window if takes else None,
        totals=_of_takes(case) if takes else _of_work(case),
        cases=cases,
        columns={
            column: sum(found.total for found in cases if found.rule.column is column)
            for column in dict.fromkeys(rule.column for rule in rules)
        },
        notes=tuple(_notes_of_takes(case) if takes else _notes_of_work(case)),
    )


def _cases(rule: Rule, case: Case, examples: int) -> Cases:
    found = iter(rule.find(case))
    kept = tuple(islice(found, examples))
    return Cases(rule, sum(one.count for one in kept) + sum(one.count for one in found), kept)


def _of_all(case: Case) -> dict[str, Any]:
    """The totals of requests of any kind."""
    outcomes = Counter(request.outcome for request in case.requests)
    return {
        "requests": len(case.requests),
        "ok": outcomes[Outcome.OK],
        "replays": sum(request.replay and request.answer is not None for request in case.requests),
        "failed": outcomes[Outcome.FAILED],
        "unknown": outcomes[Outcome.UNKNOWN],
        "began": min((request.invoked for request in case.requests), default=None),
        "ended": max((request.completed for request in case.requests), default=None),
    }


def _of_takes(case: Case) -> dict[str, Any]:
    """The totals of takes. ``items`` are those of first answers; replays are not counted again."""
    return _of_all(case) | {"items": sum(done.answer.size for done in case.answers), "seqs": case.seqs}


def _of_work(case: Case) -> dict[str, Any]:
    """The totals of work.

    ``items`` counts acked items; ``handed_out`` counts an item each time again; ``unseen`` counts hand-outs
    that only later attempts tell of, and that requests without a reply may have had. ``forgotten`` counts the
    leases of consumers that crashed. ``open`` counts requests that never got a reply, even when sent again.
    """
    folded, inside = case.folded, case.inside or ()
    crashes = [note for note in folded.notes if note.what == "crash"]
    totals = _of_all(case)
    return totals | {
        "refused": totals["failed"],
        "open": len(folded.pushes.open) + len(folded.exchanges.open),
        "pushed": len(case.pushed),
        "known": sum(item.known for item in case.items),
        "leases": len(case.held.by_token),
        "handed_out": sum(map(len, case.held.by_seq.values())),
        "unseen": min(sum(map(len, case.unseen.values())), case.unseen_may_be),
        "items": len(case.acks),
        "waiting": sum(item.state != "dead" for item in inside),
        "dead": sum(item.state == "dead" for item in inside),
        "crashes": len({(note.client, note.at) for note in crashes}),
        "forgotten": len(crashes),
        "restarts": sum(note.what == "restart" for note in folded.notes),
        "takeovers": sum(note.what == "takeover" for note in folded.notes),
        "stale": sum(act.verdict == "stale" for holding in case.held for act in holding.acts),
        "redelivered": {cause.name.lower(): count for cause, count in _redelivered(case).items()},
    }


def _redelivered(case: Case) -> Counter[Cause]:
    """Count the hand-outs of an item after its first one, by what became of the one before."""
    notes = case.folded.notes
    crashed = {note.token for note in notes if note.what == "crash"}
    late = {note.token for note in notes if note.what == "late"}
    restarts = sorted((note.at, note.until) for note in notes if note.lets_leases_last)
    causes: Counter[Cause] = Counter()
    for holdings in case.held.by_seq.values():
        if len(holdings) == 1 and holdings[0].attempt == 1:
            continue
        # A replay tells of a hand-out that was long before its arrival.
        ordered = sorted(
            holdings, key=lambda one: (one.attempt, one.since if one.done.request.replay else one.until)
        )
        for before, after in zip([None, *ordered], ordered, strict=False):
            if before is None or after.attempt > before.attempt + 1:
                causes.update([Cause.UNKNOWN] * (after.attempt > 1))
            else:
                causes[_cause(before, after, crashed, late, restarts)] += 1
    return causes


def _cause(
    before: Holding, after: Holding, crashed: set[str], late: set[str], restarts: Iterable[tuple[int, int]]
) -> Cause:
    """What became of the hand-out ``before``, so that ``after`` could follow it."""
    ends = next((act for act in before.acts if act.ends), None)
    if ends is not None:
        causes = {Do.NACK: Cause.NACKED, Do.RELEASE: Cause.RELEASED}
        return Cause.UNKNOWN if ends.verdict is None else causes.get(ends.do, Cause.UNKNOWN)
    if before.lease.token in crashed:
        return Cause.CRASHED
    if before.lease.token in late:
        return Cause.LATE
    if any(at < after.until and until > before.until for at, until in restarts):
        return Cause.RESTART
    return Cause.SLOW


def _notes_of_takes(case: Case) -> Iterator[str]:
    header, unresolved = case.header, case.folded.takes.open
    if case.end is None:
        yield (
            "The history has no end line. If it was cut off, requests that were in the air are not in it, "
            "and a gap near its end may be theirs."
        )
    if not header.exclusive and case.others != 0:
        yield (
            "Others may have used the queue meanwhile, so missing seqs prove nothing where the server counts "
            "more taken than these clients have. A queue of its own gives a full verdict."
        )
    if refused := sum(request.refused for request in unresolved):
        yield f"{refused} requests got no reply, and later the word that nothing was handed out."
    if len({request.most for request in unresolved}) > 1:
        yield "Requests without a reply asked for different counts: skipped is the least it can be."
    if not header.distinct:
        yield "The source may yield a value twice, so duplicates are told by seq only."


def _notes_of_work(case: Case) -> Iterator[str]:
    if case.end is None:
        yield "The history has no end line: requests that were in the air are not in it."
    elif not case.end.steady:
        yield (
            "The server may have been restarted unseen, which lets leases last longer: whether a late settle "
            "came too late is judged by who else had the item, not by the clock."
        )
    if left := len(case.folded.pushes.open) + len(case.folded.exchanges.open):
        unseen = min(sum(map(len, case.unseen.values())), case.unseen_may_be)
        yield (
            f"{left} requests never got a reply, not when asked again either; "
            f"{unseen} hand-outs that nobody saw may be theirs."
        )
