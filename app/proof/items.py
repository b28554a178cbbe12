"""Promise 2, item by item: no seq twice, no value twice, each value where its source puts it.

Items are counted as ranges (`Piece`), so a million consecutive numbers cost what one costs. Sorted by
first seq, a range can only overlap the one that reaches furthest among those before it: one sweep
finds each item that was handed out again, and counts it exactly.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .fold import Answer
from .records import Header, Piece
from .spans import Span, shown
from .verdict import Findings, Rule


@dataclass(frozen=True, slots=True)
class Owned:
    """A piece and the answer that handed it out."""

    piece: Piece
    answer: Answer


def find_twice(answers: Iterable[Answer], header: Header, findings: Findings) -> list[Owned]:
    """Find items that were handed out twice or with a wrong value.

    Returns:
        The first owner of each seq, ascending and disjoint.
    """
    owned = sorted(
        (Owned(piece, answer) for answer in answers for piece in answer.pieces),
        key=lambda one: one.piece.first,
    )
    base, others = _sweep_seqs(owned, findings)
    if header.distinct:
        _sweep_values([*base, *others], findings)
    if header.start is not None and header.step is not None:
        right = [one.piece.first for one in others if one.piece.value == _expected(header, one.piece.first)]
        _find_wrong(base, right, header, findings)
    return base


def _sweep_seqs(owned: Sequence[Owned], findings: Findings) -> tuple[list[Owned], list[Owned]]:
    """Each seq once with its first owner's value, and apart the items that contradict those."""
    base: list[Owned] = []
    clashes: dict[tuple[int, int | str], Owned] = {}
    far: Owned | None = None
    for one in owned:
        piece = one.piece
        if far is not None and piece.first <= far.piece.last:
            both = (piece.first, min(piece.last, far.piece.last))
            told = f"{shown(both)} went to two requests"
            findings.add(
                Rule.SEQ_TWICE, both[1] - both[0] + 1, told, (both,), far.answer.seen(), one.answer.seen()
            )
            if piece.value != far.piece.value_at(piece.first):
                clashes |= {(seq, piece.value_at(seq)): one for seq in range(both[0], both[1] + 1)}
            piece = _tail(piece, far.piece.last + 1)
        if piece.size:
            base.append(Owned(piece, one.answer))
            far = one
    return base, _contradictions(base, clashes, findings)


def _tail(piece: Piece, first: int) -> Piece:
    if first > piece.last:
        return Piece(first, 0, 0)
    return Piece(first, piece.last - first + 1, piece.value_at(first))


def _contradictions(
    base: Sequence[Owned], clashes: dict[tuple[int, int | str], Owned], findings: Findings
) -> list[Owned]:
    firsts = [one.piece.first for one in base]
    others: list[Owned] = []
    told_of: set[int] = set()
    for (seq, value), one in sorted(clashes.items(), key=lambda clash: clash[0][0]):
        owner = base[bisect_right(firsts, seq) - 1]
        if value == owner.piece.value_at(seq):
            continue
        others.append(Owned(Piece(seq, 1, value), one.answer))
        if seq not in told_of:
            told_of.add(seq)
            told = f"{seq} carried {owner.piece.value_at(seq)} and {value}"
            findings.add(Rule.TWO_VALUES, 1, told, ((seq, seq),), owner.answer.seen(), one.answer.seen())
    return others


def _sweep_values(items: Iterable[Owned], findings: Findings) -> None:
    """The same sweep along the values. The items are all different, so what overlaps has two seqs."""
    texts: dict[str, Owned] = {}
    numbers: list[tuple[int, Owned]] = []
    for one in items:
        value = one.piece.value
        if isinstance(value, int):
            numbers.append((value, one))
        elif (owner := texts.setdefault(value, one)) is not one:
            _value_twice((0, 0), value, owner, one, findings)
    far_value, far_last, far = 0, 0, None
    for value, one in sorted(numbers, key=lambda number: number[0]):
        last = value + one.piece.size - 1
        if far is not None and value <= far_last:
            both = (value - far_value, min(last, far_last) - far_value)
            _value_twice(both, shown((value, min(last, far_last))), far, one, findings)
        if far is None or last > far_last:
            far_value, far_last, far = value, last, one


def _value_twice(at: Span, values: str, far: Owned, one: Owned, findings: Findings) -> None:
    """``at`` is where the values stand in ``far``'s piece; in ``one``'s they stand at its beginning."""
    count = at[1] - at[0] + 1
    first = (far.piece.first + at[0], far.piece.first + at[1])
    second = (one.piece.first, one.piece.first + count - 1)
    told = f"value {values} stands at {shown(first)} and at {shown(second)}"
    findings.add(Rule.VALUE_TWICE, count, told, (first, second), far.answer.seen(), one.answer.seen())


def _expected(header: Header, seq: int) -> int:
    return (header.start or 0) + (seq - 1) * (header.step or 0)


def _find_wrong(base: Iterable[Owned], right: list[int], header: Header, findings: Findings) -> None:
    """Find values that are not the arithmetic source's at that seq; its own was then given to nobody.

    ``right``: seqs, ascending, whose own value came in another answer (that contradiction is told already).
    """
    for one in base:
        piece = one.piece
        wrong = _wrong_in(piece, header)
        wrong -= bisect_right(right, piece.last) - bisect_left(right, piece.first)
        if wrong > 0:
            told = f"{piece.first} carried {piece.value}, not {_expected(header, piece.first)}"
            findings.add(Rule.WRONG_VALUE, wrong, told, ((piece.first, piece.last),), one.answer.seen())


def _wrong_in(piece: Piece, header: Header) -> int:
    if isinstance(piece.value, str):
        return piece.size
    off = piece.value - _expected(header, piece.first)
    if header.step == 1:
        return piece.size if off else 0
    # The values go up by one a seq, the source's by step: they meet in one place at most.
    meets, rest = divmod(-off, 1 - (header.step or 0))
    return piece.size - (1 if rest == 0 and 0 <= meets < piece.size else 0)
