"""Numbers: ``count`` and ``range``. A number follows from its seq, so they resume at any cursor at once."""

from __future__ import annotations

import builtins
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from json.encoder import encode_basestring as quote
from re import compile as pattern
from typing import Final

from ..errors import SourceInvalid
from . import arguments
from .arguments import INT64_MAX, integer
from .context import Context
from .encode import MAX_SAFE, MAX_SEQ, text_fault
from .source import Seekable
from .spec import SourceSpec

MAX_FORMAT: Final = 1000
"""Characters in a format, and the largest width that it may ask for."""

# [[fill]align][sign]["#"]["0"][width][grouping][type], for integers only (Python's format specification)
# A fill is one byte of JSON, so that the longest texts are those of the numbers at the ends.
_SPECIFICATION = pattern(
    r"(?:(?P<fill>[ !#-\[\]-z|~])?(?P<align>[<>=^]))?[-+ ]?#?(?P<zero>0)?(?P<width>[0-9]{0,4})[_,]?[bdoxX]?"
)
_LIKE_A_NUMBER: Final = frozenset("123456789abcdefABCDEF+-")


def count(
    context: Context,
    /,
    start: int = 1,
    step: int = 1,
    max: int = MAX_SAFE,  # the word that a user writes
    format: str | None = None,
    *,
    min: int = -MAX_SAFE,
) -> Seekable:
    """The numbers ``start``, ``start + step``, … up to ``max`` (down to ``min`` if step is negative).

    A bound beyond ±(2^53-1) declares the source wide: its numbers are JSON strings from the first on.
    ``format`` makes each number text: ``"INV-{:06d}"``.
    """
    high = integer("count.max", max)
    low = integer("count.min", min)
    first = integer("count.start", start)
    if not low <= first <= high:
        name, bound = ("max", high) if first > high else ("min", low)
        raise SourceInvalid(
            f"count.start: {first} is beyond {name}={bound}; where larger numbers are meant, give {name} "
            "(beyond ±(2^53-1) the numbers are JSON strings)"
        )
    by = _step("count.step", step)
    numbers = builtins.range(first, high + 1 if by > 0 else low - 1, by)
    wide = low < -MAX_SAFE or high > MAX_SAFE
    if format is None:
        return Seekable(_bounded("count", numbers), wide=wide, arithmetic=True)
    return Seekable(_formatted(context, numbers, arguments.string("count.format", format)), wide=wide)


def range(_: Context, /, start: int = 0, stop: int | None = None, step: int = 1) -> Seekable:
    """The numbers of Python's range: from ``start`` to before ``stop``; ``range(stop)`` begins at 0."""
    if stop is None:
        raise SourceInvalid("range.stop: missing; it takes start, stop, step")
    first = integer("range.start", start)
    end = integer("range.stop", stop)
    numbers = builtins.range(first, end, _step("range.step", step))
    wide = bool(numbers) and not all(-MAX_SAFE <= bound <= MAX_SAFE for bound in (numbers[0], numbers[-1]))
    return Seekable(_bounded("range", numbers), wide=wide, arithmetic=True)


def range_positions(spec: SourceSpec) -> SourceSpec:
    """Python's own rule: a single position is ``stop``."""
    if len(spec.positional) != 1 or "stop" in spec.args:
        return spec
    return replace(spec, args={"stop": spec.positional[0], **spec.args}, positional=())


def _step(where: str, step: object) -> int:
    by = integer(where, step)
    if not by:
        raise SourceInvalid(f"{where}: must not be 0")
    return by


def _bounded(name: str, numbers: builtins.range) -> builtins.range:
    """The first 2^53-1 of the ``numbers``, where every queue ends; slices of a range are ranges, in O(1)."""
    length = (numbers[-1] - numbers[0]) // numbers.step + 1 if numbers else 0  # len() ends at 2^63-1
    if length > INT64_MAX:
        raise SourceInvalid(f"{name}: has {length} numbers; the limit is {INT64_MAX}")
    return numbers[:MAX_SEQ]


@dataclass(frozen=True, slots=True)
class Formatted:
    """Numbers as text: JSON strings, computed again whenever they are asked for."""

    numbers: builtins.range
    format: str

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: slice) -> Sequence[str]:
        return list(map(quote, map(self.format.format, self.numbers[part])))


def _formatted(context: Context, numbers: builtins.range, form: str) -> Formatted:
    """The formatted numbers. The longest texts are at the ends, so if these fit, all fit."""
    _check_format(form, judge=context.judge)
    values = Formatted(_bounded("count", numbers), form)
    for end in (numbers[0], numbers[-1]):
        if fault := text_fault(quote(form.format(end)), context.max_value_bytes):
            raise SourceInvalid(f"count.format: gives {fault}")
    return values


def _check_format(form: str, *, judge: bool) -> None:
    """Refuse a format that is not text around one plain field for an integer.

    A format may come over HTTP, and Python's can do much: ``{0.__class__}`` reads attributes and
    ``{:999999999d}`` takes a gigabyte. Exactly one field, and one that can be read back, so that no two
    numbers have the same text.
    """
    if len(form) > MAX_FORMAT:
        raise SourceInvalid(f"count.format: has {len(form)} characters; the limit is {MAX_FORMAT}")
    try:
        fields = [field[1:] for field in string.Formatter().parse(form) if field[1] is not None]
    except ValueError as error:
        raise SourceInvalid(f"count.format: {error}") from error
    if len(fields) != 1:
        raise SourceInvalid(f"count.format: has {len(fields)} fields; it must have one, as in INV-{{:06d}}")
    _check_field(*fields[0], judge=judge)


def _check_field(name: str | None, specification: str | None, conversion: str | None, *, judge: bool) -> None:
    specification = specification or ""
    form = _SPECIFICATION.fullmatch(specification)
    if name not in ("", "0") or conversion or not form:
        raise SourceInvalid("count.format: the field must be for an integer, as in {:06d}, {:,} or {:x}")
    if int(form["width"] or 0) > MAX_FORMAT:
        raise SourceInvalid(f"count.format: the width is over {MAX_FORMAT}")
    try:
        format(0, specification)
    except ValueError as error:  # such as a comma with x
        raise SourceInvalid(f"count.format: {error}") from error
    if judge:
        _check_padding(form["fill"], form["align"], form["zero"], int(form["width"] or 0))


def _check_padding(fill: str | None, align: str | None, zero: str | None, width: int) -> None:
    """Refuse padding that could be read as a part of the number.

    Unpadded texts tell it, whatever base, sign, prefix or grouping they have, and so do those that are padded
    with what no number has in it. Zeros before the digits change no number, zeros behind them do (``1`` and
    ``10`` are both ``100000``), and so do other digits, or a sign (``-1`` and ``1`` are both ``-----1``).
    """
    padding = fill or ("0" if zero else " ")
    before = align in (">", "=") or (align is None and bool(zero))
    if width > 1 and (padding in _LIKE_A_NUMBER or (padding == "0" and not before)):
        raise SourceInvalid(
            f"count.format: two numbers could look alike, as they are padded with {padding!r}; "
            "pad with zeros before the digits ({:06d}), or with a space or another sign"
        )
