"""JSON as the wire carries it, ranges of seqs, and texts that fit their limit."""

from __future__ import annotations

import json
import math
import traceback
from collections.abc import Callable, Iterable
from typing import Any, Final

from .errors import ValueNotJson

ERROR_BYTES: Final = 8_192
"""The longest error of a nack."""
_COMPACT: Final[Any] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
_CUT: Final = "…"
_SHOWN: Final = 40
_LOOKED_AT: Final = 100_000


Default = Callable[[Any], Any]
"""Makes a JSON value of a value that JSON can't carry, or raises TypeError, as for ``json.dumps``."""


def encode(value: Any, default: Default | None = None) -> str:
    """The JSON text of a value.

    Raises:
        ValueNotJson: JSON, or UTF-8, can't carry the value.
    """
    try:
        text = json.dumps(value, default=default, **_COMPACT)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueNotJson(_why_not(value) or f"a {type(value).__name__} is not JSON: {error}") from error
    return text


def _why_not(value: Any) -> str | None:
    """The part of a value that JSON can't carry, and its place; None if it was not found."""
    rest, seen = [(value, "")], 0
    while rest and (seen := seen + 1) <= _LOOKED_AT:
        one, place = rest.pop()
        if len(place) > _SHOWN * _SHOWN:  # nested too deep, or in itself
            return None
        where = f" (at {place})" if place else ""
        if isinstance(one, str):
            if one.isascii() or one == one.encode(errors="ignore").decode():
                continue
            return f"{one[:_SHOWN]!a} is not JSON{where}: it has half a surrogate pair"
        if isinstance(one, float):
            if not math.isfinite(one):
                return f"{one} is not JSON{where}"
        elif isinstance(one, dict):
            for key in one:
                if key is not None and not isinstance(key, str | int | float):
                    return f"a {type(key).__name__} as a key is not JSON{where}"
            rest += [(inside, f"{place}[{key!r}]") for key, inside in reversed(one.items())]
            rest += [(key, place) for key in one]
        elif isinstance(one, list | tuple):
            rest += [(inside, f"{place}[{n}]") for n, inside in reversed(list(enumerate(one)))]
        elif one is not None and not isinstance(one, int):
            return f"a {type(one).__name__} is not JSON{where}"
    return None


def decode(body: bytes) -> Any:
    """The value of a JSON text; ValueError if it is not JSON."""
    return json.loads(body)


def fit(text: str, limit: int = ERROR_BYTES) -> str:
    """The end of a text, which says most in a traceback; at most ``limit`` bytes of UTF-8."""
    data = text.encode(errors="backslashreplace")
    if len(data) <= limit:
        return data.decode()
    return _CUT + data[len(data) - limit + len(_CUT.encode()) :].decode(errors="ignore")


def told(error: str | BaseException) -> str:
    """An error as a nack carries it, cut to the limit: of an exception what it says, then its traceback.

    Dead letters are told apart by how their errors begin, and each traceback begins alike.
    """
    if isinstance(error, str):
        return fit(error)
    said = fit("".join(traceback.format_exception_only(error)).strip(), ERROR_BYTES // 4)
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{said}\n\n{fit(trace, ERROR_BYTES - len(said.encode()) - 2)}"


def ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """The fewest ranges that hold exactly these seqs, in order."""
    found: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if found and seq <= found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found
