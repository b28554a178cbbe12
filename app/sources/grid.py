"""``grid``: a parameter sweep, every combination of the values on its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ..errors import SourceInvalid, ValueRefused
from ..quote import bare
from .arguments import INT64_MAX, described
from .context import Context
from .encode import MAX_SEQ, Encode
from .source import Seekable


def grid(context: Context, /, **axes: Sequence[Any]) -> Seekable:
    """One object per combination, in the order of nested loops: the last axis changes fastest.

    ``grid(lr=[0.1, 0.2], seed=[1, 2])`` is ``{"lr":0.1,"seed":1}``, ``{"lr":0.1,"seed":2}``,
    ``{"lr":0.2,"seed":1}``, ``{"lr":0.2,"seed":2}``. The order of the axes is that in which they are written.
    """
    if not axes:
        raise SourceInvalid("grid: needs at least one axis, such as grid(seed=[1, 2, 3])")
    encode = context.encode()
    texts = tuple(_axis(name, values, encode) for name, values in axes.items())
    length = prod(map(len, texts))
    if length > INT64_MAX:
        raise SourceInvalid(f"grid: has {length} combinations; the limit is {INT64_MAX}")
    combinations = Combinations(texts, min(length, MAX_SEQ))
    longest = sum(max(len(text.encode()) for text in axis) for axis in texts) + len(texts) + 1
    if longest > context.max_value_bytes:
        raise SourceInvalid(
            f"grid: its longest object has {longest} bytes; the limit is {context.max_value_bytes}"
        )
    return Seekable(combinations)


def _axis(name: str, values: object, encode: Encode) -> tuple[str, ...]:
    """The members of the objects, ``"name":value``, as JSON texts."""
    if not isinstance(values, (list, tuple)):
        raise SourceInvalid(f"grid.{bare(name)}: must be a list of values, not {described(values)}")
    if not values:
        raise SourceInvalid(f"grid.{bare(name)}: must have at least one value")
    try:
        key = encode(name)
        return tuple(f"{key}:{encode(value)}" for value in values)
    except ValueRefused as error:
        raise SourceInvalid(f"grid.{bare(name)}: {error}") from error


@dataclass(frozen=True, slots=True)
class Combinations:
    """The cartesian product by index, each in O(axes): its digits, in mixed radix, are places on the axes."""

    axes: tuple[tuple[str, ...], ...]
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> list[str]:
        return [self._text(index) for index in range(self.length)[part]]

    def _text(self, index: int) -> str:
        members = []
        for axis in reversed(self.axes):
            index, place = divmod(index, len(axis))
            members.append(axis[place])
        return f"{{{','.join(reversed(members))}}}"
