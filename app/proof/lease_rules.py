"""The rules of leases: one owner at a time, none after the ack, and no token that outlives its lease."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from .case import Case
from .holdings import NEVER, Act, Holding, at_most, settlings
from .records import DONE, Do, Sighting
from .spans import numbers
from .verdict import Finding, finding, of_item

Found = Iterator[Finding]
_SHOWN = 8


def two_owners(case: Case) -> Found:
    """Find each hand-out of an item at a time when another client certainly owned it."""
    for seq, holdings in case.held.by_seq.items():
        for second, first in _seconds(holdings):
            left = _ms(first.sure_until - second.until)
            told = f"handed out again, with {left} left of a lease that was certainly live"
            yield of_item(seq, told, first.seen(), second.seen())


def _seconds(holdings: Sequence[Holding]) -> Iterable[tuple[Holding, Holding]]:
    """Pairs of a hand-out and one that was certainly live when it began.

    ``holdings`` are in order of arrival. One that was certainly live for some time, however short, clashes
    with any that was live when it arrived; one that was not, only if all of its request was within.
    """
    if len(holdings) == 1:
        return
    untils = [holding.until for holding in holdings]
    furthest = list(accumulate(holdings, _longer))
    for at, holding in enumerate(holdings):
        before = at if holding.sure_until > holding.until else bisect_left(untils, holding.since, 0, at)
        if before and furthest[before - 1].sure_until > holding.until:
            yield holding, furthest[before - 1]


def _longer(one: Holding, other: Holding) -> Holding:
    return other if other.sure_until > one.sure_until else one


def acked_again(case: Case) -> Found:
    """Find each hand-out that was requested after the item's ack had been answered."""
    for seq, (first, *_) in case.acks.items():
        for holding in case.held.by_seq[seq]:
            if holding.since > first.until:
                late = _ms(holding.since - first.until)
                told = f"handed out by a request that was sent {late} after the ack"
                yield of_item(seq, told, first.seen(), holding.seen())


def acked_twice(case: Case) -> Found:
    """Find second acks of an item."""
    for seq, (first, *others) in case.acks.items():
        for other in others:
            yield of_item(seq, "acked twice", first.seen(), other.seen())


def acked_inside(case: Case) -> Found:
    """Find acked items that are still in the queue."""
    for seq in sorted({item.seq for item in case.inside or ()} & case.acks.keys()):
        yield of_item(seq, "acked, and still inside", case.acks[seq][0].seen())


def token_twice(case: Case) -> Found:
    """Find tokens that two lease answers gave out."""
    first: dict[str, Sighting] = {}
    for done in case.folded.exchanges.done:
        if done.answer.lease is not None:
            other = first.setdefault(done.answer.lease.token, done.request.seen())
            if other != done.request.seen():
                yield finding(1, "in two lease answers", [], other, done.request.seen())


def unanswered(case: Case) -> Found:
    """Find entries with seqs that were asked for and not answered, or answered and not asked for."""
    for done, entry, whole, each in settlings(case.folded.exchanges.done):
        odd = sorted(set(numbers(entry.seqs or ())) ^ each.keys())
        if odd and entry.seqs is not None and whole is None:
            told = f"{entry.do}: {len(odd)} items asked for and not answered, or answered and not asked for"
            yield finding(len(odd), told, _each(odd), done.request.seen())


def live_refused(case: Case) -> Found:
    """Find tokens that were called stale while they were certainly live."""
    for holding in case.held:
        for act in holding.acts:
            if act.verdict == "stale" and act.until < holding.sure_until:
                told = f"{act.do} answered {_ms(holding.sure_until - act.until)} before the lease could end"
                yield of_item(holding.seq, told, holding.seen(), act.seen())


def stale_accepted(case: Case) -> Found:
    """Find tokens that had an effect after their lease, or that were never given out."""
    for done, entry, _, each in settlings(case.folded.exchanges.done):
        mine = case.held.by_token.get(entry.token, {})
        forged = [seq for seq, came in each.items() if seq not in mine and came.verdict in DONE[entry.do]]
        if forged:
            told = f"{entry.do} of {len(forged)} items by a token that was never given out for them"
            yield finding(len(forged), told, _each(forged), done.request.seen())
    # Where not every restart was noted, nobody knows the longest time of a lease.
    steady = case.end is not None and case.end.steady
    restarts = [note.until for note in case.folded.notes if note.what == "restart"] if steady else None
    for seq, holdings in case.held.by_seq.items():
        overtaken = _Overtaken(holdings) if len(holdings) > 1 else None
        for holding in holdings:
            for act, why in _unfenced(holding, overtaken, restarts):
                yield of_item(seq, f"{act.do} {why}", holding.seen(), act.seen())


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
    request = holding.done.request
    extensions = [act for act in holding.acts if act.do is Do.EXTEND and act.verdict != "stale"]
    if any(act.verdict is None for act in extensions):
        return NEVER
    longest = at_most(max([request.asked.ttl, *(act.ttl for act in extensions)]))
    later = (until + longest for until in restarts if until >= holding.since)
    return max(request.completed + at_most(holding.lease.expires_in), *later, 0)


def _each(seqs: Sequence[int]) -> list[tuple[int, int]]:
    return [(seq, seq) for seq in seqs[:_SHOWN]]


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.1f} ms"
