"""From requests to hand-outs: every attempt of one key is one story, and at most one hand-out.

When was a hand-out drawn? A reply shows that it was between sending the request and the reply, and a
replay narrows or widens that:

- an answer that is no replay was drawn by its own request, and before any other reply that repeats it;
- where only replays arrived, one of the earlier requests without a reply drew it: the time goes from the
  first of those to the first replay;
- a request without a reply, and without an answer to its key later, may have drawn items at any time
  after it was sent, or never. If a *later* request of its key was refused with nothing handed out, then
  nothing had been (the key is looked up before the draw); but the first may have come late, so a missing
  seq is not proved lost while such a request could own it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .records import Outcome, Piece, Record
from .spans import size
from .verdict import Findings, Rule, Sighting, Totals

LONG_AGO = -(1 << 63)
"""Before every time: nothing says when it began."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A hand-out, drawn after ``since`` and before ``until``. ``lowest`` and ``highest`` are its seqs."""

    record: Record
    since: int
    until: int
    lowest: int
    highest: int

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The pieces that were handed out."""
        return self.record.pieces

    def seen(self) -> Sighting:
        """The answer as a finding names it."""
        record, since = self.record, None if self.since == LONG_AGO else self.since
        return Sighting(record.line, record.client, record.key, since, self.until)


@dataclass(frozen=True, slots=True)
class Unresolved:
    """A request without a reply: it may own up to ``count`` consecutive items, drawn after ``since``.

    ``refused``: a later request of its key was told that nothing was handed out.
    """

    record: Record
    since: int
    count: int
    refused: bool


@dataclass(slots=True)
class Folded:
    """All hand-outs of a history, and the requests that may have had further ones."""

    answers: list[Answer] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)


def seen(record: Record) -> Sighting:
    """A request as a finding names it."""
    return Sighting(record.line, record.client, record.key, record.invoked, record.completed)


def fold(records: Iterable[Record], findings: Findings) -> Folded:
    """Join the requests of each key. Requests without a key stand alone."""
    folded = Folded()
    keys: dict[str, list[Record]] = {}
    for record in records:
        _count(folded.totals, record)
        got = size((piece.first, piece.last) for piece in record.pieces)
        if got > record.count:
            told = f"{record.count} asked for, {got} answered"
            findings.add(Rule.TOO_MANY, 1, told, _spans(record), seen(record))
        if record.key is None:
            _story(folded, [record], findings)
        else:
            keys.setdefault(record.key, []).append(record)
    for attempts in keys.values():
        _story(folded, attempts, findings)
    return folded


def _count(totals: Totals, record: Record) -> None:
    totals.requests += 1
    totals.ok += record.outcome is Outcome.OK
    totals.replays += record.replay
    totals.failed += record.outcome is Outcome.FAILED
    totals.unknown += record.outcome is Outcome.UNKNOWN
    totals.began = record.invoked if totals.began is None else min(totals.began, record.invoked)
    totals.ended = record.completed if totals.ended is None else max(totals.ended, record.completed)


def _story(folded: Folded, attempts: Sequence[Record], findings: Findings) -> None:
    if len(attempts) == 1 and attempts[0].outcome is Outcome.OK and not attempts[0].replay:
        record = attempts[0]
        _hand_out(folded, record, record.invoked, record.completed)
        return
    answered = sorted((a for a in attempts if a.outcome is Outcome.OK), key=lambda a: a.completed)
    if not answered:
        _unanswered(folded, attempts, findings)
        return
    fresh = [record for record in answered if not record.replay]
    anchor = fresh[0] if fresh else answered[0]
    if fresh:
        _fresh(folded, fresh, answered, findings)
    else:
        _replayed(folded, anchor, attempts, findings)
    for record in answered:
        if record.replay and record.pieces != anchor.pieces:
            told = "replayed with other items than the first answer"
            findings.add(Rule.REPLAY_DIFFERS, 1, told, _spans(record), seen(anchor), seen(record))


def _unanswered(folded: Folded, attempts: Sequence[Record], findings: Findings) -> None:
    lost = [record for record in attempts if record.outcome is Outcome.UNKNOWN]
    if not lost:
        return
    first, gave_up = min(lost, key=lambda a: a.invoked), max(record.completed for record in lost)
    refused = any(a.outcome is Outcome.FAILED and a.invoked > gave_up for a in attempts)
    most = max(record.count for record in lost)
    folded.unresolved.append(Unresolved(first, first.invoked, most, refused))
    if not refused:
        told = f"{first.error or 'no reply'}; up to {most} items may have been handed out"
        findings.add(Rule.UNRESOLVED, 1, told, (), seen(first))


def _fresh(folded: Folded, fresh: Sequence[Record], answered: Sequence[Record], findings: Findings) -> None:
    """The usual story. A key's second answer that is not a replay was handed out anew (promise 5)."""
    for record in fresh:
        repeats = (a.completed for a in answered if a.replay and a.pieces == record.pieces)
        until = min((at for at in repeats if at >= record.invoked), default=record.completed)
        _hand_out(folded, record, record.invoked, min(until, record.completed))
        before = next((other for other in answered if other is not record), None)
        if before is not None and (record is not fresh[0] or before.completed < record.invoked):
            told = "the key was answered before, and this answer is not marked as a replay"
            findings.add(Rule.KEY_SPENT_TWICE, 1, told, _spans(record), seen(before), seen(record))


def _replayed(folded: Folded, anchor: Record, attempts: Sequence[Record], findings: Findings) -> None:
    """The first answer was lost: its request is one of those without a reply, sent before the replay came."""
    earlier = [a for a in attempts if a is not anchor and a.invoked <= anchor.completed]
    lost = [record.invoked for record in earlier if record.outcome is Outcome.UNKNOWN]
    since = min(lost, default=min((record.invoked for record in earlier), default=LONG_AGO))
    _hand_out(folded, anchor, since, anchor.completed)
    if not lost:
        told = "marked as a replay, but no earlier request of this key went without a reply"
        findings.add(Rule.REPLAY_OF_NOTHING, 1, told, _spans(anchor), seen(anchor))


def _hand_out(folded: Folded, record: Record, since: int, until: int) -> None:
    if record.pieces:
        lowest = min(piece.first for piece in record.pieces)
        highest = max(piece.last for piece in record.pieces)
        folded.answers.append(Answer(record, since, until, lowest, highest))
        folded.totals.items += size((piece.first, piece.last) for piece in record.pieces)


def _spans(record: Record) -> tuple[tuple[int, int], ...]:
    return tuple((piece.first, piece.last) for piece in record.pieces[:8])
