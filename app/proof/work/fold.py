"""From requests to effects: every attempt of one key is one story, with one effect at most.

When did a request take effect? Between ``since`` and ``until``:

- an answer that is no replay took effect by its own request, and before any other reply that repeats it;
- where only replays arrived, one of the earlier requests without a reply did it: the time goes from the
  first of those to the first replay;
- a request without a reply, and without an answer to its key later, may have taken effect at any time after
  it was sent, or never; also where it was refused later, since the first may have come late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..fold import LONG_AGO
from ..records import Outcome
from ..verdict import Findings
from .records import Line, Note, PushRequest, Request, WorkRequest
from .rules import WorkRule, WorkTotals

R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True, eq=False)
class Done(Generic[R]):
    """A request that took effect once, after ``since`` and before ``until``."""

    record: R
    since: int
    until: int


@dataclass(frozen=True, slots=True, eq=False)
class Open(Generic[R]):
    """A request whose reply never came: it took effect after ``since``, or never."""

    record: R
    since: int


@dataclass(slots=True)
class Folded:
    """All effects of a history, and the requests that may have had further ones."""

    pushes: list[Done[PushRequest]] = field(default_factory=list)
    works: list[Done[WorkRequest]] = field(default_factory=list)
    open_pushes: list[Open[PushRequest]] = field(default_factory=list)
    open_works: list[Open[WorkRequest]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    totals: WorkTotals = field(default_factory=WorkTotals)


def fold(lines: Iterable[Line], findings: Findings) -> Folded:
    """Join the requests of each key. Requests without a key stand alone."""
    folded = Folded()
    pushes: list[PushRequest] = []
    works: list[WorkRequest] = []
    for line in lines:
        if isinstance(line, Note):
            folded.notes.append(line)
            continue
        _count(folded.totals, line)
        if isinstance(line, PushRequest):
            pushes.append(line)
        else:
            works.append(line)
    folded.pushes, folded.open_pushes = _stories(pushes, findings)
    folded.works, folded.open_works = _stories(works, findings)
    folded.totals.open = len(folded.open_pushes) + len(folded.open_works)
    return folded


def _count(totals: WorkTotals, record: Request) -> None:
    totals.requests += 1
    totals.replays += record.replay
    totals.refused += record.outcome is Outcome.FAILED
    totals.unknown += record.outcome is Outcome.UNKNOWN
    totals.began = record.invoked if totals.began is None else min(totals.began, record.invoked)
    totals.ended = record.completed if totals.ended is None else max(totals.ended, record.completed)


def _stories(records: Iterable[R], findings: Findings) -> tuple[list[Done[R]], list[Open[R]]]:
    keys: dict[object, list[R]] = {}
    for number, record in enumerate(records):
        keys.setdefault(number if record.key is None else record.key, []).append(record)
    done: list[Done[R]] = []
    left_open: list[Open[R]] = []
    for attempts in keys.values():
        answered = sorted((a for a in attempts if a.outcome is Outcome.OK), key=lambda a: a.completed)
        if answered:
            done += _answered(attempts, answered, findings)
        else:
            lost = [record for record in attempts if record.outcome is Outcome.UNKNOWN]
            first = min(lost, key=lambda record: record.invoked, default=None)
            left_open += [Open(first, first.invoked)] if first else []
    return done, left_open


def _answered(attempts: Sequence[R], answered: Sequence[R], findings: Findings) -> list[Done[R]]:
    """The effects under one key: one, or the checker has found a violation."""
    fresh = [record for record in answered if not record.replay]
    anchor = fresh[0] if fresh else answered[0]
    for record in answered:
        if record.replay and record.told() != anchor.told():
            told = "replayed with another answer than the first one"
            findings.add(WorkRule.REPLAY_DIFFERS, 1, told, (), anchor.seen(), record.seen())
    if fresh:
        return [_fresh(record, record is fresh[0], answered, findings) for record in fresh]
    earlier = [a for a in attempts if a is not anchor and a.invoked <= anchor.completed]
    lost = [record.invoked for record in earlier if record.outcome is Outcome.UNKNOWN]
    if not lost:
        told = "marked as a replay, but no earlier request of this key went without a reply"
        findings.add(WorkRule.REPLAY_OF_NOTHING, 1, told, (), anchor.seen())
    since = min(lost, default=min((record.invoked for record in earlier), default=LONG_AGO))
    return [Done(anchor, since, anchor.completed)]


def _fresh(record: R, first: bool, answered: Sequence[R], findings: Findings) -> Done[R]:
    """Find second answers of a key that are not replays: the request took effect anew."""
    before = next((other for other in answered if other is not record), None)
    if before is not None and (not first or before.completed < record.invoked):
        told = "the key was answered before, and this answer is not marked as a replay"
        findings.add(WorkRule.KEY_SPENT_TWICE, 1, told, (), before.seen(), record.seen())
    repeats = (a.completed for a in answered if a.replay and a.told() == record.told())
    until = min((at for at in repeats if at >= record.invoked), default=record.completed)
    return Done(record, record.invoked, min(until, record.completed))
