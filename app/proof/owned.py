"""The owners of taken items, and the seqs that have none.

Items are counted as ranges (`Piece`), so a million consecutive numbers cost what one costs. Sorted by
first seq, a range can only overlap the one that reaches furthest among those before it: one sweep
finds each item that was handed out again, and counts it exactly.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from .fold import Done, Open
from .records import Take, Taken
from .values import Piece, Span, Value

Answers = Sequence[Done[Take, Taken]]


class Owned(NamedTuple):
    """A piece and the answer that handed it out."""

    piece: Piece
    answer: Done[Take, Taken]


@dataclass(frozen=True, slots=True)
class Owners:
    """The owners of all items that were handed out.

    ``first``: the first owner of each seq, ascending and disjoint. ``again``: seqs that were handed out
    again, with the owner before and the one after. ``clashes``: items that were handed out again with another
    value than the first owner's, ascending, after that owner.
    """

    first: list[Owned]
    again: list[tuple[Span, Owned, Owned]]
    clashes: list[tuple[Owned, Owned]]


def own(answers: Answers) -> Owners:
    """Find the owners of all items."""
    owned = [Owned(piece, answer) for answer in answers for piece in answer.answer.pieces]
    owned.sort(key=lambda one: one.piece.first)
    first: list[Owned] = []
    for one in owned:
        piece, at = one.piece, max(one.piece.first, first[-1].piece.last + 1) if first else one.piece.first
        if at == piece.first:
            first.append(one)
        elif at <= piece.last:
            first.append(Owned(Piece(at, piece.last - at + 1, piece.value_at(at)), one.answer))
    again = list(overlaps((one.piece.span, one) for one in owned))
    return Owners(first, again, list(_clashes(first, again)))


def overlaps(ranged: Iterable[tuple[Span, Owned]]) -> Iterator[tuple[Span, Owned, Owned]]:
    """What each range, in ascending order, shares with that before it which reaches furthest, and both."""
    furthest, far = 0, None
    for (start, end), one in ranged:
        if far is not None and start <= furthest:
            yield (start, min(end, furthest)), far, one
        if far is None or end > furthest:
            furthest, far = end, one


def _clashes(
    first: Sequence[Owned], again: Iterable[tuple[Span, Owned, Owned]]
) -> Iterator[tuple[Owned, Owned]]:
    found: dict[tuple[int, Value], Owned] = {}
    for (start, end), far, one in again:
        if one.piece.value_at(start) != far.piece.value_at(start):
            found |= {(seq, one.piece.value_at(seq)): one for seq in range(start, end + 1)}
    for (seq, value), one in sorted(found.items(), key=lambda clash: clash[0][0]):
        owner = first[bisect_right(first, seq, key=lambda one: one.piece.first) - 1]
        if value != owner.piece.value_at(seq):
            yield owner, Owned(Piece(seq, 1, value), one.answer)


class Gap(NamedTuple):
    """Missing seqs.

    Requests without a reply may own ``allowed`` of them, clients that are not in the history ``unjudged``.
    What is left, ``lost``, went to nobody.
    """

    span: Span
    allowed: int
    unjudged: int
    lost: int


def gaps_of(missing: Sequence[Span], allowed: Iterable[int], others: int | None) -> Iterator[Gap]:
    """Sort the missing seqs. ``others`` is how many others may have taken; None: any number."""
    for (first, last), may in zip(missing, allowed, strict=True):
        lost = last - first + 1 - may
        unjudged = lost if others is None else min(lost, others)
        others = None if others is None else others - unjudged
        yield Gap((first, last), may, unjudged, lost - unjudged)


def allowed_in(missing: Sequence[Span], unresolved: Sequence[Open[Take]], answers: Answers) -> list[int]:
    """For each gap, in ascending order, how many of its seqs requests without a reply may own.

    Whether such requests can own *all* missing seqs is decided, not guessed. A request that never got a
    reply drew at most ``count`` consecutive seqs, once, after it was sent; so all of them are above every
    seq that had arrived before. Each gap is cut into shares of ``count``; the requests that may own a gap
    may own every later one too, so taking shares by size under that one bound is best (a greedy choice in a
    laminar matroid), and what it leaves over is the least number of seqs that are certainly lost. Where
    requests asked for different counts, each is treated as if it had asked for the most: then lost seqs may
    be excused, but none is called lost wrongly.
    """
    if not missing or not unresolved:
        return [0] * len(missing)
    most = max(request.most for request in unresolved)
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


def arrived_before(unresolved: Iterable[Open[Take]], answers: Answers) -> list[int]:
    """For each request, the highest seq that had arrived when it was sent; 0 when none had."""
    by_arrival = sorted(answers, key=lambda answer: answer.until)
    times = [answer.until for answer in by_arrival]
    highest = [0, *accumulate((answer.answer.highest for answer in by_arrival), max)]
    return [highest[bisect_left(times, request.since)] for request in unresolved]
