"""The values of items as a history holds them: equal for equal JSON values, and small."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .spans import Span

Value = int | str
"""The identity of a JSON value: see `identity`."""

_TEXT_KEPT = 48


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
