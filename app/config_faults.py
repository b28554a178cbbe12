"""What is told of a setting that is wrong: a sentence for each, with what it may be and what it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from .ledger.database import Database

_NAMED: Final = re.compile(r"(\w+):? (.+)", re.DOTALL)
"""A sentence about a setting, which begins with its name."""
_NUMBER: Final = re.compile(r"[-+]?[\d.]+")
_SHOWN_MOST: Final = 60
_NUMBERS: Final[Mapping[Any, str]] = {int: "a whole number", float: "a number"}
_UNSEEN: Final = frozenset({"data"})
"""Settings whose wrong values are not shown: a URL may have a password in it."""


def faults(errors: Iterable[Any], model: type[BaseModel]) -> Iterator[tuple[list[str], str]]:
    """The settings that are wrong, by their names (of a table two), each with what is wrong with it.

    No names: it is about several settings. ``errors`` are pydantic's, of which there may be several for one.
    """
    told: set[tuple[str, ...]] = set()
    for error in errors:
        names, field, beside = _place(error["loc"], model)
        message = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            yield names, _unknown(names[-1], beside)
        elif error["type"] != "value_error":
            if tuple(names) not in told:
                told.add(tuple(names))
                yield names, _wrong(field, names, error)
        elif not names and (of := _NAMED.fullmatch(message)) and of[1] in beside:
            yield [of[1]], of[2]
        else:
            yield names, message


_Place = tuple[list[str], FieldInfo | None, Mapping[str, FieldInfo]]


def _place(loc: Iterable[Any], model: type[BaseModel]) -> _Place:
    """The names of a setting, its field if there is one, and the fields beside it."""
    names: list[str] = []
    fields, field = model.model_fields, None
    for part in loc:
        field = fields.get(str(part))
        names.append(str(part))
        if field is None or not _is_table(field):
            break
        fields = field.annotation.model_fields  # type: ignore[union-attr]  # it is a table
    return names, field, fields


def _wrong(field: FieldInfo | None, names: Sequence[str], error: Any) -> str:
    """What a setting must be, and what it is, as far as that can be shown."""
    value = error["input"]
    if isinstance(value, str) and not value.strip():
        return f"it is empty, and must be {may_be(field)}"
    must = f"it must be {may_be(field)}"
    if names[0] in _UNSEEN or not isinstance(value, str | int | float) or len(str(value)) > _SHOWN_MOST:
        return must
    written = isinstance(value, bool) or _NUMBER.fullmatch(str(value))
    shown = str(value).lower() if written else repr(value)
    of_a_list = any(isinstance(part, int) for part in error["loc"])
    return f"{must}, and {shown} is none" if of_a_list else f"{must}, and is {shown}"


def may_be(field: FieldInfo | None) -> str:
    """What a setting may be, with its bounds."""
    if field is None or _is_table(field):
        return "a table"
    kinds = [field.annotation, *get_args(field.annotation)]
    number = next((word for kind, word in _NUMBERS.items() if kind in kinds), None)
    if number is not None:
        words = f"{number}{_span(field)}"
    elif Database in kinds:
        words = "a folder, :memory:, or a database as postgresql://…"
    elif Path in kinds:
        words = "the name of a file or folder"
    elif IPv4Network in _leaves(kinds):
        words = 'a list of addresses or networks, such as ["10.0.0.0/8"]'
    elif any(get_origin(kind) is tuple for kind in kinds):
        words = 'a list of texts, such as ["a", "b"]'
    elif bool in kinds:
        words = "true, false or all" if len(kinds) > 1 else "true or false"
    elif get_origin(field.annotation) is Literal:
        *first, last = map(str, get_args(field.annotation))
        words = f"{', '.join(first)} or {last}"
    else:
        words = "a text"
    return words


def _is_table(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _leaves(kinds: Iterable[Any]) -> Iterator[Any]:
    for kind in kinds:
        yield kind
        yield from _leaves(get_args(kind))


def _bound(field: FieldInfo, kind: Any) -> Any:
    return next((each for each in field.metadata if isinstance(each, kind)), None)


def _span(field: FieldInfo) -> str:
    """The bounds of a number: `` from 0 to 65535``."""
    least, above, most = (_bound(field, kind) for kind in (Ge, Gt, Le))
    if least and most:
        return f" from {least.ge:g} to {most.le:.12g}"
    if above:
        return f" above {above.gt:g}"
    return f", {least.ge:.12g} or more" if least else ""


def _unknown(name: str, fields: Mapping[str, Any]) -> str:
    close = get_close_matches(name, fields, n=1, cutoff=0.75)
    return "there is no such setting" + (f"; did you mean {close[0]}?" if close else "")
