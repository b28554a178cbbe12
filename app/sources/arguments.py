"""A source's arguments: bound by the signature of its function, then checked, strictly and by name.

Types are strict: nothing is converted but integers that JSON can't carry as numbers, and a boolean is not an
integer. Every refusal is a ``SourceInvalid`` whose text begins with ``source.argument`` and has the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from inspect import Parameter, signature
from typing import Any, Final

from ..errors import SourceInvalid
from ..quote import bare, quoted
from .encode import MAX_SAFE
from .spec import SourceSpec

_DIGITS: Final = re.compile(r"-?[1-9][0-9]{15,18}")
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1


def parameters(function: Callable[..., Any], *, skip: int = 0) -> tuple[Parameter, ...] | None:
    """The parameters after the first ``skip``; None for a C function without a signature."""
    try:
        return tuple(signature(function).parameters.values())[skip:]
    except ValueError:
        return None


def bind(spec: SourceSpec, takes: tuple[Parameter, ...]) -> dict[str, Any]:
    """The arguments by name, in the order of the signature (then as given); defaults are not filled in."""
    given = _bind_positions(spec, takes)
    for name, value in spec.args.items():
        if name in given:
            raise SourceInvalid(f"{spec.name}.{bare(name)}: given twice, by position and by name")
        given[name] = value
    named = {p.name: p for p in takes if p.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)}
    if not any(p.kind is Parameter.VAR_KEYWORD for p in takes) and (unknown := given.keys() - named.keys()):
        raise SourceInvalid(f"{spec.name}.{bare(min(unknown))}: no such argument; {_takes(named)}")
    for name, parameter in named.items():
        if name not in given and parameter.default is Parameter.empty:
            raise SourceInvalid(f"{spec.name}.{name}: missing; {_takes(named)}")
    return {name: given.pop(name) for name in named if name in given} | given


def _bind_positions(spec: SourceSpec, takes: tuple[Parameter, ...]) -> dict[str, Any]:
    by_position = [p.name for p in takes if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if len(spec.positional) > len(by_position):
        limit = f"at most {len(by_position)}" if by_position else "no"
        raise SourceInvalid(f"{spec.name}: takes {limit} arguments by position; give the others by name")
    return dict(zip(by_position, spec.positional, strict=False))


def without_defaults(args: Mapping[str, Any], takes: tuple[Parameter, ...]) -> dict[str, Any]:
    """``args`` without those that only repeat their default: ``count(start=1)`` is ``count``."""
    default = {p.name: p.default for p in takes if p.default is not Parameter.empty}
    return {
        name: value
        for name, value in args.items()
        if not (name in default and type(value) is type(default[name]) and value == default[name])
    }


def from_digits(value: Any) -> Any:
    """An integer from text, as JSON has to write those beyond 2^53-1; any other value as it is."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) and abs(int(value)) > MAX_SAFE:
        return int(value)
    return value


def integer(where: str, value: object, low: int = INT64_MIN, high: int = INT64_MAX) -> int:
    """Return ``value`` if it is an integer from ``low`` to ``high``; ``where`` is ``source.argument``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise SourceInvalid(f"{where}: must be an integer, not {described(value)}")
    if not low <= value <= high:
        raise SourceInvalid(f"{where}: must be from {low} to {high}")
    return value


def string(where: str, value: object) -> str:
    """Return ``value`` if it is text."""
    if not isinstance(value, str):
        raise SourceInvalid(f"{where}: must be text, not {described(value)}; quote it if it is")
    return value


def boolean(where: str, value: object) -> bool:
    """Return ``value`` if it is true or false."""
    if not isinstance(value, bool):
        raise SourceInvalid(f"{where}: must be true or false, not {described(value)}")
    return value


def described(value: object) -> str:
    """A JSON value in a few words, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {quoted(value)}"
        case int() | float():
            return f"the number {value!r:.40}"
        case list() | tuple():
            return "a list"
        case _:
            return "an object"


def _takes(named: Mapping[str, Parameter]) -> str:
    return f"it takes {', '.join(named)}" if named else "it takes no arguments"
