"""Answers in a normal form: items one by one, however an engine cut its runs."""

from __future__ import annotations

from collections import Counter

from dibs.ledger.ops import QueueRow
from dibs.ledger.work import Claimed, Moved, Pushed, Settlement

from workmodel.model import UNCHANGED


def normal(outcome, now: int):
    """An engine's answer as the model gives it."""
    if isinstance(outcome, QueueRow) or outcome is None:
        return outcome
    if isinstance(outcome, Moved):
        return outcome.count
    if isinstance(outcome, Pushed):
        return (list(outcome.seqs), tuple(outcome.known), outcome.due, outcome.refused, outcome.ready)
    if isinstance(outcome, Claimed):
        handed = [(seq, span.attempt) for span in outcome.spans for seq in range(span.first, span.last + 1)]
        next_claim = None if outcome.next_due is None else max(outcome.next_due, now)
        return (handed, outcome.values, outcome.due, next_claim)
    assert isinstance(outcome, Settlement)
    woken: Counter[int] = Counter()
    for queue, _, items in outcome.woken:
        woken[queue] += items
    entries = [[item for part in entry for item in single(part)] for entry in outcome.entries]
    return (entries, normal(outcome.claimed, now), dict(woken))


def single(part):
    """Each item of a range with its verdict, its due where one is meant, and the refusal."""
    due = part.due if part.verdict in {"nacked", "extended"} else None
    seqs = [None] if part.first is None else range(part.first, part.last + 1)
    return [(seq, part.verdict, due, part.reason, part.target) for seq in seqs]


def agree(expected, actual) -> bool:
    """Whether an answer is the model's; of a settle an item that is left as it was may be told as either."""
    if not isinstance(expected, tuple) or not isinstance(expected[0], list) or len(expected) == 5:
        return expected == actual
    if len(expected) == 4:  # of a claim
        return expected[:3] == actual[:3] and actual[3] in expected[3]
    (entries, claimed, woken), (told, given, waken) = expected, actual
    return (
        (claimed == given if claimed is None else given is not None and agree(claimed, given))
        and woken == waken
        and len(entries) == len(told)
        and all(map(agree_on_entry, entries, told))
    )


def agree_on_entry(expected: list, told: list) -> bool:
    if len(expected) != len(told):
        return False
    return all(
        want == got or (want[1] == UNCHANGED and want[0] == got[0] and got[1] in {"stale", "refused"})
        for want, got in zip(expected, told, strict=True)
    )


def changed_something(answer) -> bool:
    """Whether a model's answer is one that is filed: some of it changed the ledger."""
    if isinstance(answer, int):
        return answer > 0
    if len(answer) == 4:
        return bool(answer[0])
    if len(answer) == 5:
        return answer[3] is None
    entries, claimed, _ = answer
    verdicts = {item[1] for entry in entries for item in entry}
    return bool(verdicts - {"stale", "refused", UNCHANGED}) or bool(claimed and claimed[2])
