"""The fields of a request's JSON, read strictly.

Nothing is converted, unknown fields are refused, and every refusal names the field by its place
(``items.3.delay``) and its limit. What could be one number is one: 1.0 is the integer 1 (JSON Schema section
6.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..errors import LimitExceeded
from ..inert import acts
from ..ledger.work import Seqs
from ..quote import bare
from ..sources.encode import MAX_SAFE
from .params import refuse

Members = dict[str, Any]


def members_of(value: object, field: str) -> Members:
    """A JSON object."""
    if type(value) is not dict:
        refuse(field, "it must be an object")
    return value


def items_of(value: object, field: str, most: int | None = None) -> list[Any]:
    """A JSON array of at most ``most`` items."""
    if type(value) is not list:
        refuse(field, "it must be an array")
    if most is not None and len(value) > most:
        over(field, f"{len(value)} of them; the limit is {most}", most)
    return value


def check_known(members: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    """Refuse a field that there is not; ``where`` is what stands before its name."""
    for name in members:
        if name not in known:
            refuse(where + bare(name), f"there is no such field; there are {', '.join(sorted(known))}")


def required(members: Mapping[str, Any], name: str, where: str) -> Any:
    """The value of a field that must be there."""
    if name not in members:
        refuse(where + name, "it is required")
    return members[name]


def whole(value: object, field: str, lowest: int, highest: int) -> int:
    """A whole number from ``lowest`` to ``highest``."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        refuse(field, "it must be a whole number", f"{lowest}..{highest}")
    if not lowest <= value <= highest:
        over(field, f"it must be from {lowest} to {highest}", f"{lowest}..{highest}")
    return value


def number(value: object, field: str, lowest: float, highest: float) -> float:
    """A number from ``lowest`` to ``highest``, decimals allowed."""
    if type(value) is not int and type(value) is not float:
        refuse(field, "it must be a number", f"{lowest:g}..{highest:.10g}")
    if not lowest <= value <= highest:
        over(field, f"it must be from {lowest:g} to {highest:.10g}", f"{lowest:g}..{highest:.10g}")
    return value


def flag(value: object, field: str) -> bool:
    """True or false."""
    if type(value) is not bool:
        refuse(field, "it must be true or false")
    return value


def text(value: object, field: str, most: int, *, least: int = 0) -> str:
    """Text of ``least`` to ``most`` bytes in UTF-8."""
    if type(value) is not str:
        refuse(field, "it must be a string")
    if value.isascii():
        size = len(value)
    else:
        try:
            size = len(value.encode())
        except UnicodeEncodeError:
            refuse(field, "it has half of a surrogate pair")
    if not least <= size <= most:
        over(field, f"{size} bytes; it must be from {least} to {most}", most)
    return value


def name(value: object, field: str, most: int) -> str:
    """A text of at most ``most`` bytes for people to read, so without characters that act on a terminal."""
    found = text(value, field, most)
    if acts(found):
        refuse(field, "it has control characters, or others that turn or hide text on a terminal")
    return found


def ranges(value: object, field: str) -> Seqs:
    """Ranges of seqs, ``[[1, 40], [42, 42]]``: both ends included, in any order, no seq twice."""
    found: list[tuple[int, int]] = []
    for position, pair in enumerate(items_of(value, field)):
        if type(pair) is not list or len(pair) != 2:  # noqa: PLR2004
            refuse(f"{field}.{position}", "it must be a range, [first, last]")
        first, last = pair
        if type(first) is not int or type(last) is not int or not 1 <= first <= last <= MAX_SAFE:
            first = whole(first, f"{field}.{position}.0", 1, MAX_SAFE)
            last = whole(last, f"{field}.{position}.1", 1, MAX_SAFE)
            if first > last:
                refuse(f"{field}.{position}", "its first seq is above its last")
        found.append((first, last))
    if not found:
        refuse(field, "it names no seq; leave it out to mean all of them")
    found.sort()
    check_once(found, field)
    return tuple(found)


def check_once(found: Iterable[tuple[int, int]], field: str) -> None:
    """Refuse a seq that is named twice; the ranges are sorted."""
    end = 0
    for first, last in found:
        if first <= end:
            refuse(field, f"seq {first} is named twice")
        end = last


def milliseconds(seconds: float) -> int:
    """Seconds as milliseconds of ledger time; a duration above 0 stays above 0."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def over(field: str, why: str, limit: int | str) -> NoReturn:
    """422 limit-exceeded; nothing was spent."""
    raise LimitExceeded(f"{field}: {why}", field=field, limit=limit)
