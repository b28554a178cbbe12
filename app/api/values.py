"""Pushed values: the parsed value of a body becomes JSON text in one form, or is refused.

The ledger keeps the text that a source's value would have: compact, and nothing in it that a reader could
bend (``dibs.sources.encode`` says what that is, and has the last word).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from pydantic_core import PydanticCustomError

from ..errors import ValueRefused
from ..sources.encode import MAX_DEPTH, MAX_SAFE, encoder, find_fault, text_fault

Encode = Callable[[Any], str]
"""A value to its JSON text."""

_compact = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_long_number = re.compile("[0-9]{16}|Infinity").search
_TOO_DEEP: Final = "[" * (MAX_DEPTH + 1)
_ADVICE: Final = re.compile(": (?:declare the source wide, or yield|yield) .*", re.DOTALL)


def value_encoder(max_bytes: int) -> Encode:
    """The function from a value of a parsed body to its text; it raises the problem ``value-refused``.

    The careful encoder walks through lists and objects in Python. Most values don't need that: what the
    parser made is JSON by its types, a text without 16 digits in a row has no integer that is too large, and
    one with few brackets is not too deep. Both ways give the same text.
    """
    careful = encoder(max_bytes)

    def encode(value: Any) -> str:
        if type(value) in {dict, list}:
            text = _quickly(value)
            if len(text) <= max_bytes and text.isascii() and not _doubtful(text):
                return text
        try:
            return careful(value)
        except ValueRefused as error:
            why = _ADVICE.sub("", str(error).removeprefix("the source yielded "))
            limit = max_bytes if "bytes" in why else MAX_DEPTH if "nested" in why else None
            raise PydanticCustomError("value-refused", why, {"limit": limit}) from None

    return encode


def _quickly(value: Any) -> str:
    try:
        return _compact(value)
    except RecursionError:
        return _TOO_DEEP


def _doubtful(text: str) -> bool:
    return text.count("[") + text.count("{") > MAX_DEPTH or _long_number(text) is not None


def fault_of(value: Any) -> str | None:
    """Why JSON can't carry a value whose integers may be of any size, or None."""
    return find_fault(value, budget=MAX_SAFE, wide=True) or text_fault(_compact(value), MAX_SAFE)
