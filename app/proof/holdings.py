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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .fields import Came
from .fold import Done, Effects
from .records import DONE, Do, Entry, Exchange, Exchanged, Lease, Request, Sighting
from .values import Value, numbers

NEVER = 1 << 62
"""After every time."""

_ROUNDING = 2_000_000
_DRIFT = 1_000


class Act(NamedTuple):
    """A settle of one item: between ``since`` and ``until`` (`NEVER` if its reply never came).

    ``verdict`` is None where nobody knows. ``ttl`` is how long an extension lasts.
    """

    do: Do
    since: int
    until: int
    verdict: str | None
    ttl: int
    request: Request[Exchange, Any]

    @property
    def worked(self) -> bool:
        """Whether the settle took effect."""
        return self.verdict in DONE[self.do]

    @property
    def ends(self) -> bool:
        """Whether the settle may have ended the lease."""
        return self.do is not Do.EXTEND and (self.verdict is None or self.worked)

    def seen(self) -> Sighting:
        """The settle as a finding names it."""
        return self.request.seen()


@dataclass(slots=True, eq=False)
class Holding:
    """One item of one hand-out, and the settles of it under its token, in the order of sending."""

    seq: int
    attempt: int
    value: Value
    done: Done[Exchange, Exchanged]
    lease: Lease
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

    def seen(self) -> Sighting:
        """The hand-out as a finding names it."""
        return self.done.seen()


class Settling(NamedTuple):
    """One entry of a settle that was answered, with the verdict on the whole token, and on each seq."""

    done: Done[Exchange, Exchanged]
    entry: Entry
    whole: Came | None
    each: dict[int, Came]


@dataclass(slots=True)
class Holdings:
    """Every hand-out of every item; ``by_seq`` is ascending, and in order of arrival."""

    by_seq: dict[int, list[Holding]] = field(default_factory=dict)
    by_token: dict[str, dict[int, Holding]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Holding]:
        for holdings in self.by_seq.values():
            yield from holdings

    def meant(self, entry: Entry) -> Iterable[Holding]:
        """The hand-outs that an entry is about."""
        mine = self.by_token.get(entry.token, {})
        asked = list(mine) if entry.seqs is None else numbers(entry.seqs)
        return [mine[seq] for seq in asked if seq in mine]


def hold(exchanges: Effects[Exchange, Exchanged]) -> Holdings:
    """Collect every hand-out, and put every settle to the hand-out that it settled."""
    held = Holdings()
    for done in exchanges.done:
        _hand_out(held, done)
    for settling in settlings(exchanges.done):
        _settle(held, settling)
    for left in exchanges.open:
        for entry in left.request.asked.entries:
            act = Act(entry.do, left.since, NEVER, None, entry.ttl, left.request)
            for holding in held.meant(entry):
                holding.acts.append(act)
    held.by_seq = {seq: sorted(held.by_seq[seq], key=lambda one: one.until) for seq in sorted(held.by_seq)}
    for holding in held:
        if len(holding.acts) > 1:
            # Of those that were sent at once, the one that took longest is first: it may have come last.
            holding.acts.sort(key=lambda act: (act.since, -act.until))
        holding.sure_until = _sure_until(holding)
    return held


def settlings(exchanges: Iterable[Done[Exchange, Exchanged]]) -> Iterator[Settling]:
    """Each entry that was answered."""
    for done in exchanges:
        for entry, outcomes in zip(done.request.asked.entries, done.answer.outcomes, strict=True):
            whole = next((came for came in outcomes if came.first is None), None)
            each = {seq: came for came in outcomes for seq in numbers(came.spans)}
            yield Settling(done, entry, whole, each)


def _hand_out(held: Holdings, done: Done[Exchange, Exchanged]) -> None:
    lease = done.answer.lease
    if lease is None:
        return
    mine = held.by_token.setdefault(lease.token, {})
    for seq, value, attempt in zip(lease.seqs, lease.values, lease.attempts, strict=True):
        mine[seq] = Holding(seq, attempt, value, done, lease)
        held.by_seq.setdefault(seq, []).append(mine[seq])


def _settle(held: Holdings, settling: Settling) -> None:
    done, entry, whole, each = settling
    for holding in held.meant(entry):
        came = each.get(holding.seq, whole)
        # What a settle of a whole lease does not mention was no longer held.
        verdict = came.verdict if came else "stale" if entry.seqs is None else None
        ttl = came.expires_in if came and came.expires_in else entry.ttl
        holding.acts.append(Act(entry.do, done.sent, done.until, verdict, ttl, done.request))


def at_least(duration: int) -> int:
    """The least length of a duration by any sound clock, in nanoseconds."""
    return duration - _ROUNDING - duration // _DRIFT


def at_most(duration: int) -> int:
    """The greatest length of a duration by any sound clock, in nanoseconds."""
    return max(0, duration) + _ROUNDING + abs(duration) // _DRIFT


def _sure_until(holding: Holding) -> int:
    """The time until which the lease was certainly live.

    Requests whose order is not known, as they were in the air at once, can only lower it.
    """
    request = holding.done.request
    promised = request.asked.ttl if request.replay else min(holding.lease.expires_in, request.asked.ttl)
    # Nobody shows a token before it has it: what is sent when the reply arrives comes after it.
    sure, cut, busy_until = holding.since + at_least(promised), NEVER, holding.until - 1
    for act in holding.acts:
        if act.ends:
            cut = min(cut, act.since)
        elif act.do is Do.EXTEND and (act.verdict is None or act.worked):
            end = act.since + at_least(act.ttl)
            sure = end if act.worked and act.since > busy_until else min(sure, end)
            busy_until = max(busy_until, act.until)
    return min(sure, cut)
