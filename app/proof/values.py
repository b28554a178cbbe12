"""Seqs and values as a history holds them: ranges of seqs, and values that are small and can be compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

Span = tuple[int, int]
"""Whole numbers from the first to the last, both inside."""

Value = int | str
"""The identity of a JSON value: see `identity`."""

_TEXT_KEPT = 48
_ONE = {"replies": "reply", "pushes": "push"}


class Piece(NamedTuple):
    """Consecutive seqs whose values are consecutive integers too; or one seq with any other value."""

    first: int
    size: int
    value: Value

    @property
    def last(self) -> int:
        """The last seq."""
        return self.first + self.size - 1

    @property
    def span(self) -> Span:
        """The seqs."""
        return self.first, self.first + self.size - 1

    def value_at(self, seq: int) -> Value:
        """The value that stands at ``seq``, which must be inside."""
        return self.value if isinstance(self.value, str) else self.value + seq - self.first


def identity(value: Any) -> Value:
    """An integer itself; for any other JSON value its canonical text, so that ``1``, ``1.0``, ``"1"`` differ.

    Long texts are shortened, with a digest.
    """
    if type(value) is int:
        return value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(text) <= _TEXT_KEPT:
        return text
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[:24]}… ({digest})"


def pieces_of(seqs: Iterable[Span], values: Sequence[Any]) -> tuple[Piece, ...]:
    """Pack an answer's ranges of seqs and their values, given in the same order."""
    pieces: list[Piece] = []
    at = 0
    for first, last in seqs:
        pieces += _pack(first, values[at : at + last - first + 1])
        at += last - first + 1
    return tuple(pieces)


def _pack(first: int, values: Sequence[Any]) -> list[Piece]:
    if len(values) == 1 or _consecutive(values):
        return [Piece(first, len(values), identity(values[0]))]
    pieces: list[Piece] = []
    for seq, raw in enumerate(values, first):
        value, last = identity(raw), pieces[-1] if pieces else None
        if last and isinstance(last.value, int) and value == last.value + last.size:
            pieces[-1] = last._replace(size=last.size + 1)
        else:
            pieces.append(Piece(seq, 1, value))
    return pieces


def _consecutive(values: Sequence[Any]) -> bool:
    """Whether they are n, n+1, n+2…: the common case, told at the speed of C."""
    if set(map(type, values)) != {int} or values[-1] - values[0] != len(values) - 1:
        return False
    return list(values) == list(range(values[0], values[-1] + 1))


def ranges(found: Sequence[int]) -> list[Span]:
    """The fewest spans that have the numbers in their order."""
    packed = _pack(0, found)
    return [(value, value + size - 1) for _, size, value in packed if isinstance(value, int)]


def size(spans: Iterable[Span]) -> int:
    """How many numbers disjoint spans hold."""
    return sum(last - first + 1 for first, last in spans)


def numbers(spans: Iterable[Span]) -> Iterator[int]:
    """The numbers of the spans, one by one."""
    return (number for first, last in spans for number in range(first, last + 1))


def gaps(spans: Iterable[Span], first: int, last: int) -> Iterator[Span]:
    """The gaps that ascending, disjoint spans leave in first..last."""
    at = first
    for start, end in spans:
        if start > last:
            break
        if start > at:
            yield at, start - 1
        at = max(at, end + 1)
    if at <= last:
        yield at, last


def counted(count: int, units: str) -> str:
    """``1 item`` or ``2,000 items``: ``units`` is the plural."""
    return f"{count:,} {_ONE.get(units, units.removesuffix('s')) if count == 1 else units}"


def shown(span: Span) -> str:
    """``7`` or ``7..9``."""
    first, last = span
    return str(first) if first == last else f"{first}..{last}"
