"""Each pushed item is handed out under one seq, with its value, and no other items are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ..verdict import Findings
from .fold import Done, Folded
from .holdings import Holding, Holdings
from .records import Inside, PushRequest
from .rules import WorkRule


@dataclass(slots=True)
class Pushed:
    """The items in the answers to producers, by seq and by name.

    ``maybe``: values of pushes whose reply never came.
    """

    by_seq: dict[int, tuple[int | str, Done[PushRequest]]] = field(default_factory=dict)
    by_name: dict[str, tuple[int, Done[PushRequest]]] = field(default_factory=dict)
    maybe: set[int | str] = field(default_factory=set)
    maybe_names: set[str | None] = field(default_factory=set)


def find_pushed(folded: Folded, findings: Findings) -> Pushed:
    """Collect the pushed items, and find those that were pushed twice."""
    pushed = Pushed()
    for left in folded.open_pushes:
        pushed.maybe.update(left.record.values)
        pushed.maybe_names.update(left.record.names)
    for done in folded.pushes:
        _add(pushed, done, findings)
    for done in folded.pushes:
        for at in done.record.known:
            folded.totals.known += 1
            _find_known(pushed, done, at, findings)
    folded.totals.pushed = len(pushed.by_seq)
    return pushed


def _add(pushed: Pushed, done: Done[PushRequest], findings: Findings) -> None:
    record = done.record
    for at, (seq, value, name) in enumerate(zip(record.seqs, record.values, record.names, strict=True)):
        if at in record.known:
            continue
        _, other = pushed.by_seq.setdefault(seq, (value, done))
        if other is not done:
            told = "two pushes were told this seq"
            findings.add(WorkRule.SEQ_TWICE, 1, told, ((seq, seq),), other.record.seen(), record.seen())
        if name is None:
            continue
        first, before = pushed.by_name.setdefault(name, (seq, done))
        if before is not done or first != seq:
            told = f"key {name} was pushed to {first} and to {seq}"
            spans = ((first, first), (seq, seq))
            findings.add(WorkRule.KEY_TWICE, 1, told, spans, before.record.seen(), record.seen())


def _find_known(pushed: Pushed, done: Done[PushRequest], at: int, findings: Findings) -> None:
    record, seq, name = done.record, done.record.seqs[at], done.record.names[at]
    first = pushed.by_name.get(name) if name is not None else None
    if first is not None and first[0] != seq:
        told = f"key {name} was pushed to {first[0]}, and is known as {seq}"
        findings.add(WorkRule.KEY_TWICE, 1, told, ((seq, seq),), first[1].record.seen(), record.seen())
    elif first is None and (name is None or name not in pushed.maybe_names):
        told = f"key {name} is new"
        findings.add(WorkRule.KNOWN_FALSELY, 1, told, ((seq, seq),), record.seen())


def find_wrong_values(held: Holdings, pushed: Pushed, inside: Iterable[Inside], findings: Findings) -> None:
    """Find items that were handed out with another value than the pushed one, or never pushed."""
    for seq, holdings in held.by_seq.items():
        value, done = pushed.by_seq.get(seq, (holdings[0].value, None))
        if done is None and value not in pushed.maybe:
            findings.add(WorkRule.PHANTOM, 1, "handed out", ((seq, seq),), holdings[0].seen())
        for holding in holdings:
            if holding.value != value:
                told = f"{value} was handed out as {holding.value}"
                seen = done.record.seen() if done else holdings[0].seen(), holding.seen()
                findings.add(WorkRule.WRONG_VALUE, 1, told, ((seq, seq),), *seen)
        if done is not None and (early := _before(holdings, done)):
            seen = done.record.seen(), early.seen()
            findings.add(WorkRule.PHANTOM, 1, "handed out before it was pushed", ((seq, seq),), *seen)
    for item in inside:
        if item.seq not in pushed.by_seq and item.seq not in held.by_seq and not pushed.maybe:
            findings.add(WorkRule.PHANTOM, 1, f"{item.state} in the queue", ((item.seq, item.seq),))


def _before(holdings: Iterable[Holding], done: Done[PushRequest]) -> Holding | None:
    return next((holding for holding in holdings if holding.until < done.since), None)
