"""The holder of each item, and how long it certainly held it, by the clocks of the clients alone.

A server commits a hand-out after the request was sent and before its reply arrived; the lease lasts
``expires_in`` after the reply was sent. So, whatever the server's clock says:

- the holder owns the item for certain **from the reply's arrival**, and **at least until** ``expires_in``
  after the *request* was sent, or until it sends something that may end its lease;
- the lease is over for certain ``expires_in`` after the *reply* arrived, unless it was extended, or a restart
  of the server, which lets no lease end early, prolonged it.

An extension moves both bounds the same way. One that succeeded shows that the lease had been live all along.
Clocks that count durations may drift: a thousandth, and 2 ms for rounding, are left to chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..verdict import Findings, Sighting
from .fold import Done, Folded
from .records import DONE, Came, Do, Entry, WorkRequest
from .rules import WorkRule

NEVER = 1 << 62
"""After every time."""

_ROUNDING = 2_000_000
_DRIFT = 1_000
_SHOWN = 8


class Act(NamedTuple):
    """A settle of one item: between ``since`` and ``until`` (`NEVER` if its reply never came).

    ``verdict`` is None where nobody knows. ``ttl`` is how long an extension lasts.
    """

    do: Do
    since: int
    until: int
    verdict: str | None
    ttl: int
    record: WorkRequest

    @property
    def worked(self) -> bool:
        """Whether the settle took effect."""
        return self.verdict in DONE[self.do]

    @property
    def ends(self) -> bool:
        """Whether the settle may have ended the lease."""
        return self.do is not Do.EXTEND and (self.verdict is None or self.worked)


@dataclass(slots=True, eq=False)
class Holding:
    """One item of one hand-out, and the settles of it under its token."""

    seq: int
    attempt: int
    value: int | str
    done: Done[WorkRequest]
    token: str
    acts: list[Act] = field(default_factory=list)
    sure_until: int = 0

    @property
    def since(self) -> int:
        """The time after which the item was handed out."""
        return self.done.since

    @property
    def until(self) -> int:
        """The time before which the item was handed out; from then on it is certainly the holder's."""
        return self.done.until

    @property
    def alone(self) -> bool:
        """Whether the item was the only one of its answer."""
        lease = self.done.record.lease
        return lease is not None and len(lease.seqs) == 1

    def seen(self) -> Sighting:
        """The hand-out as a finding names it."""
        record = self.done.record
        return Sighting(record.line, record.client, record.key, self.since, self.until)


@dataclass(slots=True)
class Holdings:
    """Every hand-out of every item; ``by_seq`` is ascending, and in order of arrival."""

    by_seq: dict[int, list[Holding]] = field(default_factory=dict)
    by_token: dict[str, dict[int, Holding]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Holding]:
        for holdings in self.by_seq.values():
            yield from holdings


def find_holdings(folded: Folded, findings: Findings) -> Holdings:
    """Collect every hand-out, and put every settle to the hand-out that it settled."""
    held = Holdings()
    for done in folded.works:
        _hand_out(held, done, findings)
    for done in folded.works:
        _settle(held, done, findings)
    for left in folded.open_works:
        for entry in left.record.entries:
            act = Act(entry.do, left.since, NEVER, None, entry.ttl, left.record)
            for holding in _meant(held.by_token.get(entry.token, {}), entry):
                holding.acts.append(act)
    held.by_seq = {seq: sorted(held.by_seq[seq], key=lambda one: one.until) for seq in sorted(held.by_seq)}
    for holding in held:
        holding.acts.sort(key=lambda act: act.since)
        holding.sure_until = _sure_until(holding)
    return held


def _hand_out(held: Holdings, done: Done[WorkRequest], findings: Findings) -> None:
    record, lease = done.record, done.record.lease
    if lease is None:
        return
    if len(lease.seqs) > record.most:
        told = f"{record.most} asked for, {len(lease.seqs)} answered"
        findings.add(WorkRule.TOO_MANY, 1, told, (), record.seen())
    if lease.token in held.by_token:
        other = next(iter(held.by_token[lease.token].values()), None)
        seen = (other.seen() if other else None), record.seen()
        findings.add(WorkRule.TOKEN_TWICE, 1, "in two lease answers", (), *seen)
    mine = held.by_token.setdefault(lease.token, {})
    for seq, value, attempt in zip(lease.seqs, lease.values, lease.attempts, strict=True):
        holding = Holding(seq, attempt, value, done, lease.token)
        mine[seq] = holding
        held.by_seq.setdefault(seq, []).append(holding)


def _settle(held: Holdings, done: Done[WorkRequest], findings: Findings) -> None:
    for entry, outcomes in zip(done.record.entries, done.record.outcomes, strict=True):
        whole, each = _verdicts(outcomes)
        mine = held.by_token.get(entry.token, {})
        if entry.seqs is not None and whole is None:
            _find_unanswered(done, entry, each, findings)
        for holding in _meant(mine, entry):
            came = each.get(holding.seq, whole)
            # What a settle of a whole lease does not mention was no longer held.
            verdict = came.verdict if came else "stale" if entry.seqs is None else None
            ttl = came.expires_in if came and came.expires_in else entry.ttl
            holding.acts.append(Act(entry.do, done.since, done.until, verdict, ttl, done.record))
        forged = [seq for seq, came in each.items() if seq not in mine and came.verdict in DONE[entry.do]]
        if forged:
            told = f"{entry.do} of {len(forged)} items by a token that was never given out for them"
            spans = tuple((seq, seq) for seq in forged[:_SHOWN])
            findings.add(WorkRule.STALE_ACCEPTED, len(forged), told, spans, done.record.seen())


def _verdicts(outcomes: Sequence[Came]) -> tuple[Came | None, dict[int, Came]]:
    """The verdict on the token as a whole, if the answer has one, and on each seq."""
    whole = next((came for came in outcomes if came.first is None), None)
    each = {
        seq: came
        for came in outcomes
        if came.first is not None and came.last is not None
        for seq in range(came.first, came.last + 1)
    }
    return whole, each


def _meant(mine: dict[int, Holding], entry: Entry) -> Iterable[Holding]:
    if entry.seqs is None:
        return list(mine.values())
    asked = (seq for first, last in entry.seqs for seq in range(first, last + 1))
    return [mine[seq] for seq in asked if seq in mine]


def _find_unanswered(
    done: Done[WorkRequest], entry: Entry, each: dict[int, Came], findings: Findings
) -> None:
    asked = {seq for first, last in entry.seqs or () for seq in range(first, last + 1)}
    odd = sorted(asked ^ each.keys())
    if odd:
        told = f"{entry.do}: {len(odd)} items asked for and not answered, or answered and not asked for"
        spans = tuple((seq, seq) for seq in odd[:_SHOWN])
        findings.add(WorkRule.UNANSWERED, len(odd), told, spans, done.record.seen())


def at_least(duration: int) -> int:
    """The least length of a duration by any sound clock, in nanoseconds."""
    return duration - _ROUNDING - duration // _DRIFT


def at_most(duration: int) -> int:
    """The greatest length of a duration by any sound clock, in nanoseconds."""
    return max(0, duration) + _ROUNDING + abs(duration) // _DRIFT


def _sure_until(holding: Holding) -> int:
    """The time until which the lease was certainly live.

    Requests whose order is not known can only lower it.
    """
    record, lease = holding.done.record, holding.done.record.lease
    promised = record.ttl if record.replay or lease is None else min(lease.expires_in, record.ttl)
    sure, cut, busy_until = holding.since + at_least(promised), NEVER, holding.until
    for act in holding.acts:
        if act.ends:
            cut = min(cut, act.since)
        elif act.do is Do.EXTEND and (act.verdict is None or act.worked):
            end = act.since + at_least(act.ttl)
            sure = end if act.worked and act.since >= busy_until else min(sure, end)
            busy_until = max(busy_until, act.until)
    return min(sure, cut)
