"""The rules of leases: one owner at a time, none after the ack, and no token that outlives its lease."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from .case import Case
from .fold import Done
from .holdings import NEVER, Act, Holding, at_most, settlings
from .records import DONE, Do, Exchange, Exchanged
from .values import numbers
from .verdict import Finding, Found, finding, of_item

_SHOWN = 8


def two_owners(case: Case) -> Found:
    """Find each hand-out of an item at a time when another client certainly owned it."""
    for seq, holdings in case.held.by_seq.items():
        for first, second in _clashes(holdings) if len(holdings) > 1 else ():
            left = _ms(first.sure_until - second.until)
            told = f"handed out again, with {left} left of a lease that was certainly live"
            yield of_item(seq, told, first, second)


def _clashes(holdings: Sequence[Holding]) -> Iterable[tuple[Holding, Holding]]:
    """Pairs of a hand-out that was certainly live when another began, and that other.

    ``holdings`` are in order of arrival. One that was certainly live for some time, however short, clashes
    with any that was live when it arrived; one that was not, only if all of its request was within.
    """
    untils = [holding.until for holding in holdings]
    furthest = list(accumulate(holdings, _longer))
    for at, holding in enumerate(holdings):
        before = at if holding.sure_until > holding.until else bisect_left(untils, holding.since, 0, at)
        if before and furthest[before - 1].sure_until > holding.until:
            yield furthest[before - 1], holding


def _longer(one: Holding, other: Holding) -> Holding:
    return other if other.sure_until > one.sure_until else one


def acked_again(case: Case) -> Found:
    """Find each hand-out that was requested after the item's ack had been answered."""
    for seq, (first, *_) in case.acks.items():
        for holding in case.held.by_seq[seq]:
            if holding.since > first.until:
                late = _ms(holding.since - first.until)
                yield of_item(seq, f"handed out by a request sent {late} after the ack", first, holding)


def acked_twice(case: Case) -> Found:
    """Find second acks of an item."""
    for seq, (first, *others) in case.acks.items():
        yield from (of_item(seq, "acked twice", first, other) for other in others)


def acked_inside(case: Case) -> Found:
    """Find acked items that are still in the queue."""
    for seq in sorted({item.seq for item in case.inside or ()} & case.acks.keys()):
        yield of_item(seq, "acked, and still inside", case.acks[seq][0])


def token_twice(case: Case) -> Found:
    """Find tokens that two lease answers gave out."""
    first: dict[str, Done[Exchange, Exchanged]] = {}
    for done in case.folded.exchanges.done:
        if done.answer.lease is not None:
            other = first.setdefault(done.answer.lease.token, done)
            if other is not done:
                yield finding(1, "in two lease answers", [], other.request, done.request)


def unanswered(case: Case) -> Found:
    """Find entries with seqs that were asked for and not answered, or answered and not asked for."""
    told = "items asked for and not answered, or answered and not asked for"
    for done, entry, whole, each in settlings(case.folded.exchanges.done):
        odd = sorted(set(numbers(entry.seqs or ())) ^ each.keys())
        if odd and entry.seqs is not None and whole is None:
            yield _of_items(odd, f"{entry.do}: {len(odd)} {told}", done)


def live_refused(case: Case) -> Found:
    """Find tokens that were called stale while they were certainly live."""
    for holding in case.held:
        for act in holding.acts:
            if act.verdict == "stale" and act.until < holding.sure_until:
                told = f"{act.do} answered {_ms(holding.sure_until - act.until)} before the lease could end"
                yield of_item(holding.seq, told, holding, act)


def stale_accepted(case: Case) -> Found:
    """Find tokens that had an effect after their lease, or that were never given out."""
    told = "items by a token that was never given out for them"
    for done, entry, _, each in settlings(case.folded.exchanges.done):
        mine = case.held.by_token.get(entry.token, {})
        forged = [seq for seq, came in each.items() if seq not in mine and came.verdict in DONE[entry.do]]
        if forged:
            yield _of_items(forged, f"{entry.do} of {len(forged)} {told}", done)
    # Where not every restart was noted, nobody knows the longest time of a lease.
    steady = case.end is not None and case.end.steady
    restarts = [note.until for note in case.folded.notes if note.lets_leases_last] if steady else None
    for seq, holdings in case.held.by_seq.items():
        overtaken = _overtaken(holdings)
        for holding in holdings:
            for act, why in _unfenced(holding, overtaken, restarts):
                yield of_item(seq, f"{act.do} {why}", holding, act)


def _overtaken(holdings: Sequence[Holding]) -> Callable[[Holding], int]:
    """Tell when an item had certainly gone to another client after a holding; `NEVER` if it had not."""
    if len(holdings) == 1:
        return lambda _: NEVER
    by_time = _soonest([(one.since, one.until) for one in holdings])
    by_attempt = _soonest([(one.attempt, one.until) for one in holdings])
    return lambda holding: min(by_time(holding.until), by_attempt(holding.attempt))


def _soonest(pairs: list[tuple[int, int]]) -> Callable[[int], int]:
    """A binary look-up of the least second member among the pairs whose first one is above a bound."""
    pairs.sort()
    firsts = [first for first, _ in pairs]
    least = [*accumulate((second for _, second in reversed(pairs)), min, initial=NEVER)][::-1]
    return lambda bound: least[bisect_right(firsts, bound)]


def _unfenced(
    holding: Holding, overtaken: Callable[[Holding], int], restarts: Sequence[int] | None
) -> Iterable[tuple[Act, str]]:
    worked = [act for act in holding.acts if act.worked]
    if not worked:
        return
    # Within the certain lease it is the other hand-out that is wrong, and told as two owners.
    gone, ended = overtaken(holding), NEVER
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


def _of_items(seqs: Sequence[int], told: str, done: Done[Exchange, Exchanged]) -> Finding:
    return finding(len(seqs), told, [(seq, seq) for seq in seqs[:_SHOWN]], done.request)


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.1f} ms"
