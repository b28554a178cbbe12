"""The rules of takes: no seq twice, no value twice, each value where its source puts it, no gap, in order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from operator import itemgetter

from .case import Case, overtaken
from .owned import Gap, Owned, overlaps
from .records import Header
from .values import Piece, Span, shown, size
from .verdict import Finding, Found, finding, of_item

_SHOWN = 8


def seq_twice(case: Case) -> Found:
    """Find items that were handed out again."""
    for span, far, one in case.owners.again:
        yield finding(size([span]), f"{shown(span)} went to two requests", [span], far.answer, one.answer)


def two_values(case: Case) -> Found:
    """Find seqs that carried another value the second time."""
    told_of = None
    for owner, other in case.owners.clashes:
        seq, value = other.piece.first, other.piece.value
        if seq != told_of:
            told_of, told = seq, f"{seq} carried {owner.piece.value_at(seq)} and {value}"
            yield of_item(seq, told, owner.answer, other.answer)


def value_twice(case: Case) -> Found:
    """Find values with two seqs: a sweep along the values, of items that are all different."""
    if not case.header.distinct:
        return
    texts: dict[str, Owned] = {}
    numbers: list[tuple[int, Owned]] = []
    for one in [*case.owners.first, *(other for _, other in case.owners.clashes)]:
        value = one.piece.value
        if isinstance(value, int):
            numbers.append((value, one))
        elif (owner := texts.setdefault(value, one)) is not one:
            yield _value_twice(value, owner.piece.span, owner, one)
    numbers.sort(key=itemgetter(0))
    for both, far, one in overlaps(((value, value + one.piece.size - 1), one) for value, one in numbers):
        shift = far.piece.first - int(far.piece.value)
        yield _value_twice(shown(both), (both[0] + shift, both[1] + shift), far, one)


def _value_twice(values: str, first: Span, far: Owned, one: Owned) -> Finding:
    """``values`` stand at ``first`` in ``far``'s piece, and at the beginning of ``one``'s."""
    second = (one.piece.first, one.piece.first + first[1] - first[0])
    told = f"value {values} stands at {shown(first)} and at {shown(second)}"
    return finding(size([first]), told, [first, second], far.answer, one.answer)


def wrong_value(case: Case) -> Found:
    """Find values that are not the arithmetic source's at that seq; its own was then given to nobody.

    Where its own came in another answer, that contradiction is told already.
    """
    header = case.header
    if header.start is None or header.step is None:
        return
    others = (other.piece for _, other in case.owners.clashes)
    right = [piece.first for piece in others if piece.value == _expected(header, piece.first)]
    for piece, answer in case.owners.first:
        wrong = _wrong_in(piece, header)
        wrong -= bisect_right(right, piece.last) - bisect_left(right, piece.first)
        if wrong > 0:
            told = f"{piece.first} carried {piece.value}, not {_expected(header, piece.first)}"
            yield finding(wrong, told, [piece.span], answer)


def _expected(header: Header, seq: int) -> int:
    return (header.start or 0) + (seq - 1) * (header.step or 0)


def _wrong_in(piece: Piece, header: Header) -> int:
    if isinstance(piece.value, str):
        return piece.size
    off = piece.value - _expected(header, piece.first)
    if header.step == 1:
        return piece.size if off else 0
    # The values go up by one a seq, the source's by step: they meet in one place at most.
    meets, rest = divmod(-off, 1 - (header.step or 0))
    return piece.size - (1 if rest == 0 and 0 <= meets < piece.size else 0)


def gap(case: Case) -> Found:
    """Find seqs that the cursor went through and nobody got."""
    return (_of_gap(case, found, found.lost) for found in case.gaps if found.lost)


def unjudged(case: Case) -> Found:
    """Find missing seqs that others may have taken."""
    return (_of_gap(case, found, found.unjudged) for found in case.gaps if found.unjudged)


def allowed(case: Case) -> Found:
    """Find missing seqs that requests without a reply may own."""
    return (_of_gap(case, found, found.allowed) for found in case.gaps if found.allowed)


def _of_gap(case: Case, found: Gap, count: int) -> Finding:
    """A gap with the hand-outs right before and after it."""
    whole, owners = size([found.span]), case.owners.first
    part = f"; this is about {count} of {whole}" if count < whole else ""
    at = bisect_right(owners, found.span[0], key=lambda one: one.piece.first)
    beside = (one.answer for one in owners[max(0, at - 1) : at + 1])
    return finding(count, f"{shown(found.span)} went to nobody{part}", [found.span], *beside)


def reordered(case: Case) -> Found:
    """Find every request that got a seq below one that had arrived before it was sent; exact."""
    for top, one in overtaken(case.answers, lambda one: one.answer.lowest, lambda one: one.answer.highest):
        lowest, highest = one.answer.lowest, top.answer.highest
        told = f"got {lowest} after {highest} had arrived"
        yield finding(1, told, [(lowest, lowest), (highest, highest)], top, one)


def outside(case: Case) -> Found:
    """Find seqs that the cursor did not go through."""
    if case.window is None:
        return
    first, last = case.window
    for one in case.answers:
        if first <= one.answer.lowest and one.answer.highest <= last:
            continue
        parts = [part for span in one.answer.spans for part in _cut(span, case.window)]
        told = f"the cursor went from {first - 1} to {last}"
        yield finding(size(parts), told, parts[:_SHOWN], one)


def _cut(span: Span, window: Span) -> list[Span]:
    below = span[0], min(span[1], window[0] - 1)
    above = max(span[0], window[1] + 1, window[0]), span[1]
    return [part for part in (below, above) if part[0] <= part[1]]
