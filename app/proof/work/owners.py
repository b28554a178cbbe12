"""One owner at a time, none after the ack, and no token that outlives its lease."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from ..verdict import Findings
from .holdings import NEVER, Act, Holding, Holdings, at_most
from .records import Do, Note
from .rules import WorkRule


def find_two_owners(held: Holdings, findings: Findings) -> None:
    """Find each hand-out of an item at a time when another client certainly owned it."""
    for seq, holdings in held.by_seq.items():
        for second, first in _seconds(holdings):
            left = _ms(first.sure_until - second.until)
            told = f"handed out again, with {left} left of a lease that was certainly live"
            findings.add(WorkRule.TWO_OWNERS, 1, told, ((seq, seq),), first.seen(), second.seen())


def _seconds(holdings: Sequence[Holding]) -> Iterable[tuple[Holding, Holding]]:
    """Pairs of a hand-out and one that was certainly live when it began.

    ``holdings`` are in order of arrival. One that was certainly live for some time, however short, clashes
    with any that was live when it arrived; one that was not, only if all of its request was within.
    """
    if len(holdings) == 1:
        return
    untils = [holding.until for holding in holdings]
    furthest = list(accumulate(holdings, _later))
    for at, holding in enumerate(holdings):
        before = at if holding.sure_until > holding.until else bisect_left(untils, holding.since, 0, at)
        if before and furthest[before - 1].sure_until > holding.until:
            yield holding, furthest[before - 1]


def _later(one: Holding, other: Holding) -> Holding:
    return other if other.sure_until > one.sure_until else one


def find_acked_again(held: Holdings, findings: Findings) -> dict[int, Act]:
    """Find each hand-out that was requested after the item's ack had been answered.

    Returns:
        The first ack of each item that was acked.
    """
    first_acks: dict[int, Act] = {}
    for seq, holdings in held.by_seq.items():
        acks = [act for holding in holdings for act in holding.acts if act.do is Do.ACK and act.worked]
        if not acks:
            continue
        first = first_acks[seq] = min(acks, key=lambda act: act.until)
        for other in acks:
            if other is not first:
                seen = first.record.seen(), other.record.seen()
                findings.add(WorkRule.ACKED_TWICE, 1, "acked twice", ((seq, seq),), *seen)
        for holding in holdings:
            if holding.since > first.until:
                told = (
                    f"handed out by a request that was sent {_ms(holding.since - first.until)} after the ack"
                )
                spans = ((seq, seq),)
                findings.add(WorkRule.ACKED_AGAIN, 1, told, spans, first.record.seen(), holding.seen())
    return first_acks


def find_unfenced(held: Holdings, notes: Iterable[Note], findings: Findings, *, steady: bool) -> None:
    """Find tokens that had an effect after their lease, and live tokens that were called stale.

    ``steady``: every restart was noted, so the longest time of each lease is known.
    """
    restarts = [note.until for note in notes if note.what == "restart"]
    for seq, holdings in held.by_seq.items():
        overtaken = _Overtaken(holdings) if len(holdings) > 1 else None
        for holding in holdings:
            for act in holding.acts:
                if act.verdict == "stale" and act.until < holding.sure_until:
                    told = (
                        f"{act.do} answered {_ms(holding.sure_until - act.until)} before the lease could end"
                    )
                    seen = holding.seen(), act.record.seen()
                    findings.add(WorkRule.LIVE_REFUSED, 1, told, ((seq, seq),), *seen)
            for act, why in _unfenced(holding, overtaken, restarts if steady else None):
                told = f"{act.do} {why}"
                seen = holding.seen(), act.record.seen()
                findings.add(WorkRule.STALE_ACCEPTED, 1, told, ((seq, seq),), *seen)


class _Overtaken:
    """Tells when an item had certainly gone to another client after a holding. Both look-ups are binary."""

    def __init__(self, holdings: Sequence[Holding]) -> None:
        self._since = _Soonest([(holding.since, holding.until) for holding in holdings])
        self._attempt = _Soonest([(holding.attempt, holding.until) for holding in holdings])

    def at(self, holding: Holding) -> int:
        """When the next holder, or a later one, certainly had the item; `NEVER` if none had."""
        return min(self._since.above(holding.until), self._attempt.above(holding.attempt))


class _Soonest:
    """The least value among the pairs whose first member is above a bound."""

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        pairs = sorted(pairs)
        self._keys = [key for key, _ in pairs]
        self._least = [*accumulate((value for _, value in reversed(pairs)), min)][::-1]

    def above(self, bound: int) -> int:
        """The least value; `NEVER` for none."""
        at = bisect_right(self._keys, bound)
        return self._least[at] if at < len(self._keys) else NEVER


def _unfenced(
    holding: Holding, overtaken: _Overtaken | None, restarts: Sequence[int] | None
) -> Iterable[tuple[Act, str]]:
    worked = [act for act in holding.acts if act.worked]
    if not worked:
        return
    gone, ended = overtaken.at(holding) if overtaken else NEVER, NEVER
    # Within the certain lease it is the other hand-out that is wrong, and told as two owners.
    gone = NEVER if gone < holding.sure_until else gone
    over = NEVER if restarts is None else _over_by(holding, restarts)
    for act in worked:
        if act.ends and ended < NEVER:
            yield act, "after the token had been settled"
        elif act.since > gone:
            yield act, f"{_ms(act.since - gone)} after somebody else had the item"
        elif act.since > ended:
            yield act, f"{_ms(act.since - ended)} after the token had been settled"
        elif act.since > over:
            yield act, f"{_ms(act.since - over)} after the lease must have ended"
        if act.ends:
            ended = min(ended, act.until)
        elif over < NEVER:
            over = max(over, act.until + at_most(act.ttl))


def _over_by(holding: Holding, restarts: Iterable[int]) -> int:
    """When the lease had certainly ended, leaving aside extensions that were answered."""
    record, lease = holding.done.record, holding.done.record.lease
    extensions = [act for act in holding.acts if act.do is Do.EXTEND and act.verdict != "stale"]
    if lease is None or any(act.verdict is None for act in extensions):
        return NEVER
    longest = at_most(max([record.ttl, *(act.ttl for act in extensions)]))
    later = (until + longest for until in restarts if until >= holding.since)
    return max(record.completed + at_most(lease.expires_in), *later, 0)


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.1f} ms"
