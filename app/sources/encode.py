"""Values to JSON text: encoded once, where they are drawn, and refused where JSON can't carry them exactly.

The text is compact, in UTF-8 (nothing escaped that need not be), and what a receiver decodes is the
value that was yielded. So these are refused, at their seq, rather than bent:

- integers beyond ±(2^53-1), anywhere inside the value: most receivers read numbers as doubles
  (RFC 8259 section 6). A source that has larger ones declares itself *wide*: see ``wide_encoder``;
- NaN and the infinities, which JSON has not;
- lone surrogates, which UTF-8 has not;
- keys that are not text (``json`` would turn 1 and "1" into the same key);
- anything that is not text, a number, a boolean, None, a list, a tuple or a dict; sub-classes of these
  (enumerations of text or integers, named tuples, ordered dicts) travel as what they are derived from,
  tuples as arrays. Floats travel as ``repr`` writes them, as in ``json``;
- more than 100 levels of nesting, more than the limit of bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring as quote
from math import isfinite
from typing import Final

from ..errors import ValueRefused
from ..quote import cut, quoted

MAX_SAFE: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps (RFC 7493 section 2.2)."""
MAX_SEQ: Final = MAX_SAFE
"""Where every queue ends: seqs are numbers of JSON too, and never become text."""
MAX_DEPTH: Final = 100
"""Levels of lists and objects in one value. Receivers have limits of their own, from 64 on."""
MAX_VALUE_BYTES: Final = 262_144
"""The default limit of one value's JSON text, in bytes of UTF-8."""

Encode = Callable[[object], str]

_compact = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def encoder(max_bytes: int = MAX_VALUE_BYTES) -> Encode:
    """The function from a value to its JSON text; it raises ``ValueRefused``.

    Text and integers, the common values, take a short way; both ways give the same text.
    """

    def encode(value: object) -> str:
        if type(value) is int and -MAX_SAFE <= value <= MAX_SAFE:  # not a bool, nor another sub-class
            text = str(value)
        elif type(value) is str and len(value) <= max_bytes:
            text = quote(value)
        else:
            if fault := find_fault(value, budget=max_bytes):
                raise ValueRefused(f"the source yielded {fault}")
            text = _compact(value)
        return text if text.isascii() and len(text) <= max_bytes else within(text, max_bytes)

    return encode


def wide_encoder(max_bytes: int = MAX_VALUE_BYTES) -> Encode:
    """The encoder of a source that declares ``wide``: every value is a JSON string, from the first on.

    A wide source yields integers of any size, or text; a receiver never meets a number that becomes
    text when it grows.
    """
    narrow = encoder(max_bytes)

    def encode(value: object) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            return within(f'"{_digits(value)}"', max_bytes)
        if isinstance(value, str):
            return narrow(value)
        raise ValueRefused(
            f"the source declares wide, so it yields integers or text, but it yielded {_name(value)}"
        )

    return encode


def within(text: str, max_bytes: int) -> str:
    """Return ``text`` if it is UTF-8 of at most ``max_bytes``; else raise ``ValueRefused``."""
    if fault := text_fault(text, max_bytes):
        raise ValueRefused(f"the source yielded {fault}")
    return text


def text_fault(text: str, max_bytes: int) -> str | None:
    """Why ``text`` is not UTF-8 of at most ``max_bytes``, or None."""
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError as error:
        lone = ord(error.object[error.start])
        return f"text with the lone surrogate U+{lone:04X}, which UTF-8 can't carry"
    return f"a value of {size} bytes; the limit is {max_bytes}" if size > max_bytes else None


def find_fault(value: object, *, budget: int, wide: bool = False) -> str | None:
    """Why JSON can't carry ``value``, with the place inside it, or None.

    ``budget`` is the limit of bytes: the walk ends as soon as the text must be longer, so that neither
    a cycle nor lists that share their items cost more than the limit. ``wide`` lets integers be of any size.
    """
    try:
        _Walk(budget, wide).check(value, MAX_DEPTH)
    except _Fault as fault:
        place = cut("".join(reversed(fault.path)))
        return f"a value whose {place} is {fault.reason}" if place and fault.local else fault.reason
    return None


class _Fault(Exception):
    """A fault found inside a value; each level adds its step to ``path`` on the way out."""

    def __init__(self, reason: str, *, local: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.local = local
        self.path: list[str] = []


class _Walk:
    """One walk through a value; ``left`` is the rest of the budget, in bytes."""

    __slots__ = ("budget", "left", "wide")

    def __init__(self, budget: int, wide: bool) -> None:
        self.budget = self.left = budget
        self.wide = wide

    def check(self, value: object, depth: int) -> None:
        self._spend(len(value) if isinstance(value, str) else 1)
        if value is None or isinstance(value, (str, bool)):
            return
        if isinstance(value, (int, float)):
            _check_number(value, self.wide)
        elif not isinstance(value, (list, tuple, dict)):
            raise _Fault(f"{_name(value)}, which is not JSON: yield text, numbers, lists or dicts")
        elif not depth:
            raise _Fault(f"a value nested more than {MAX_DEPTH} levels deep", local=False)
        elif isinstance(value, dict):
            self._check_members(value, depth - 1)
        else:
            self._check_items(value, depth - 1)

    def _check_items(self, items: Sequence[object], depth: int) -> None:
        for index, item in enumerate(items):
            try:
                self.check(item, depth)
            except _Fault as fault:
                fault.path.append(f"[{index}]")
                raise

    def _check_members(self, members: dict[object, object], depth: int) -> None:
        for key, member in members.items():
            if not isinstance(key, str):
                raise _Fault(f"a dict with {_name(key)} as a key; JSON's keys are text")
            self._spend(len(key))
            try:
                self.check(member, depth)
            except _Fault as fault:
                fault.path.append(f"[{quoted(key)}]")
                raise

    def _spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _Fault(f"a value of more than {self.budget} bytes", local=False)


def _check_number(value: float, wide: bool) -> None:
    if isinstance(value, float):
        if not isfinite(value):
            raise _Fault(f"{value!r}, which JSON has not")
    elif not (wide or -MAX_SAFE <= value <= MAX_SAFE):
        raise _Fault(
            f"an integer beyond ±(2^53-1), {_shown(value)}, which many readers of JSON would round: "
            "declare the source wide, or yield text"
        )


def _shown(value: int) -> str:
    """An integer for a message; a huge one isn't written out, as str() refuses beyond 4300 digits."""
    return str(value) if value.bit_length() <= 256 else f"of {value.bit_length()} bits"  # noqa: PLR2004


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # sys.set_int_max_str_digits
        raise ValueRefused(f"the source yielded an integer of {value.bit_length()} bits") from None


def _name(value: object) -> str:
    return f"a value of type {type(value).__qualname__}"
