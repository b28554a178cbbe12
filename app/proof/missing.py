"""No gap: each seq the cursor went through was handed out, or a request without a reply may own it.

Whether such requests can own *all* missing seqs is decided, not guessed. A request that never got a
reply drew at most ``count`` consecutive seqs, once, after it was sent; so all of them are above every
seq that had arrived before. Each gap is cut into shares of ``count``; the requests that may own a gap
may own every later one too, so taking shares by size under that one bound is best (a greedy choice in a
laminar matroid), and what it leaves over is the least number of seqs that are certainly lost. Where
requests asked for different counts, each is treated as if it had asked for the most: then lost seqs may
be excused, but none is called lost wrongly.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from .fold import Answer, Folded, Unresolved
from .items import Owned
from .spans import Span, shown, size
from .verdict import Findings, Rule, Sighting


def find_missing(
    missing: Sequence[Span],
    folded: Folded,
    owners: Sequence[Owned],
    others: int | None,
    findings: Findings,
) -> None:
    """Sort the missing seqs into those that may be somebody's and those that are lost.

    ``others`` is how many may have gone to clients that are not in the history; None when that is unknown.
    """
    firsts = [one.piece.first for one in owners]
    for gap, allowed in zip(missing, allowed_in(missing, folded.unresolved, folded.answers), strict=True):
        lost = size([gap]) - allowed
        unjudged = lost if others is None else min(lost, others)
        others = None if others is None else others - unjudged
        beside = _beside(gap, owners, firsts)
        counts = {Rule.ALLOWED: allowed, Rule.UNJUDGED: unjudged, Rule.GAP: lost - unjudged}
        for rule, count in counts.items():
            if count:
                findings.add(rule, count, _of_gap(count, gap), (gap,), *beside)


def _of_gap(count: int, gap: Span) -> str:
    whole = size([gap])
    return f"{shown(gap)} went to nobody" + (f"; this is about {count} of {whole}" if count < whole else "")


def _beside(gap: Span, owners: Sequence[Owned], firsts: Sequence[int]) -> list[Sighting]:
    """The hand-outs right before and after a gap."""
    at = bisect_right(firsts, gap[0])
    return [one.answer.seen() for one in owners[max(0, at - 1) : at + 1]]


def allowed_in(
    missing: Sequence[Span], unresolved: Sequence[Unresolved], answers: Iterable[Answer]
) -> list[int]:
    """For each gap, in ascending order, how many of its seqs requests without a reply may own."""
    if not missing or not unresolved:
        return [0] * len(missing)
    most = max(request.count for request in unresolved)
    bounds = sorted(arrived_before(unresolved, answers))
    kept: list[tuple[int, int]] = []
    full = 0
    for at, (first, last) in enumerate(missing):
        able = bisect_left(bounds, first)
        shares, rest = divmod(last - first + 1, most)
        shares = min(shares, able - full)
        full += shares
        for share in [most] * shares + [rest] * (rest > 0):
            heapq.heappush(kept, (share, at))
            if len(kept) > able:
                heapq.heappop(kept)
    allowed = [0] * len(missing)
    for share, at in kept:
        allowed[at] += share
    return allowed


def arrived_before(unresolved: Iterable[Unresolved], answers: Iterable[Answer]) -> list[int]:
    """For each request, the highest seq that had arrived when it was sent; 0 when none had."""
    by_arrival = sorted(answers, key=lambda answer: answer.until)
    times = [answer.until for answer in by_arrival]
    highest = [0, *accumulate((answer.highest for answer in by_arrival), max)]
    return [highest[bisect_left(times, request.since)] for request in unresolved]
