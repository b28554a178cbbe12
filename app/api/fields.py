"""The types of fields: what a body or a query may say, how OpenAPI describes it, and how a refusal reads.

An annotation (``Annotated[int, Whole(1, "count", "The most items.", 1)]``) gives all three. A bound may be
the name of a limit: it is looked up when a model is compiled (see ``validation``). ``says`` is the
description, ``default`` what is meant where the field is missing; it is never null. What could be one number
is one: 1.0 is the integer 1 (JSON Schema section 6.3). Nothing else is converted.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema
from pydantic_core.core_schema import CoreSchema

from ..errors import LimitExceeded
from ..inert import PATTERN, acts
from ..queue.limits import NAME, Limits, check_name
from ..sources.encode import MAX_SAFE
from .values import value_encoder

Bound = int | float | str
Json = dict[str, Any]
Seqs = tuple[tuple[int, int], ...]

LIMITS: Final[ContextVar[Limits]] = ContextVar("limits")
"""The limits by which a model is being compiled."""

_NAME: Final[Json] = {"type": "string", "pattern": rf"^(?!\.{{1,2}}$){NAME.pattern}$"}
NAME_SCHEMA: Final[Json] = {**_NAME, "minLength": 1, "maxLength": 64}


@dataclass(frozen=True, slots=True)
class Typed:
    """The type of a field. ``made`` gives, by the limits, what validates it and how OpenAPI writes it."""

    made: Callable[[], tuple[CoreSchema, Json]]
    says: str = ""
    default: Any = None

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        validator, document = self.made()
        more = {"description": self.says} if self.says else {}
        more |= {} if self.default is None else {"default": self.default}

        def written(_schema: CoreSchema, _handler: GetJsonSchemaHandler) -> Json:
            return {**document, **more}

        return core_schema.chain_schema([validator], metadata={"pydantic_js_functions": [written]})


def Number(
    least: float,
    most: Bound,
    says: str = "",
    default: float | None = None,
    *,
    nullable: bool = False,
    whole: bool = False,
) -> Typed:
    """A number from ``least`` to ``most``; ``nullable``: or null; ``whole``: without decimals."""

    def made() -> tuple[CoreSchema, Json]:
        top = _bound(most)
        bounds = (f"{least}", f"{top}") if whole else (f"{least:g}", f"{top:.10g}")
        kind: CoreSchema = _WHOLE if whole else core_schema.float_schema(strict=True)
        within: CoreSchema = core_schema.float_schema(ge=least, le=top)
        if whole:
            within = core_schema.int_schema(ge=int(least), le=top)
        why = "it must be a whole number" if whole else "it must be a number"
        number: CoreSchema = core_schema.chain_schema(
            [
                _or_else(kind, "invalid", why, "..".join(bounds)),
                _or_else(
                    within, "limit-exceeded", f"it must be from {' to '.join(bounds)}", "..".join(bounds)
                ),
            ]
        )
        document: Json = {"type": "integer" if whole else "number", "minimum": least, "maximum": top}
        if nullable:
            return core_schema.nullable_schema(number), {"anyOf": [document, {"type": "null"}]}
        return number, document

    return Typed(made, says, default)


def _integral(value: object) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    raise ValueError


_WHOLE: Final = core_schema.union_schema(
    [core_schema.int_schema(strict=True), core_schema.no_info_plain_validator_function(_integral)],
    mode="left_to_right",
)
Whole: Final = partial(Number, whole=True)
"""A whole number."""


def Text(
    least: int, most: Bound, says: str = "", default: str | None = None, *, inert: bool = False
) -> Typed:
    """Text of ``least`` to ``most`` bytes in UTF-8; ``inert``: without what acts on a terminal."""

    def made() -> tuple[CoreSchema, Json]:
        top = _bound(most)

        def checked(text: str) -> str:
            size = _size(text)
            if not least <= size <= top:
                raise beyond(f"{size} bytes; it must be from {least} to {top}", top)
            if inert and acts(text):
                raise invalid("it has control characters, or others that turn or hide text on a terminal")
            return text

        document: Json = {"type": "string", "minLength": least, "maxLength": top}
        return _text(checked), {**document, "pattern": PATTERN} if inert else document

    return Typed(made, says, default)


def _size(text: str) -> int:
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise invalid("it has half of a surrogate pair") from None


def QueueName(says: str = "") -> Typed:
    """The name of a queue."""
    return Typed(lambda: (_text(_named), NAME_SCHEMA), says)


def _named(name: str) -> str:
    try:
        check_name(name)
    except LimitExceeded as error:
        raise beyond(str(error), error.limit or "") from None
    return name


def Choice(words: tuple[str, ...], says: str = "") -> Typed:
    """One of some words."""
    literal = core_schema.literal_schema([*words])
    validator = _or_else(literal, "invalid", f"it is none of {', '.join(words)}")
    return Typed(lambda: (validator, {"type": "string", "enum": [*words]}), says)


def Flag(says: str) -> Typed:
    """True or false; false where it is missing."""
    return Typed(lambda: (core_schema.bool_schema(strict=True), {"type": "boolean"}), says, default=False)


def Value() -> Typed:
    """Any JSON value, as the text that the ledger keeps (see ``values``)."""

    def made() -> tuple[CoreSchema, Json]:
        return core_schema.no_info_plain_validator_function(value_encoder(LIMITS.get().value_bytes)), {}

    return Typed(made, "Any JSON value, up to the setting `value_bytes`.")


def Ranges(says: str) -> Typed:
    """Ranges of seqs, ``[[1, 40], [42, 42]]``: both ends included, in any order, no seq twice."""

    def made() -> tuple[CoreSchema, Json]:
        seq, bounds = Whole(1, MAX_SAFE).made()
        pair = core_schema.list_schema(seq, strict=True, fail_fast=True)
        pairs = core_schema.list_schema(pair, strict=True, fail_fast=True)
        item: Json = {"type": "array", "items": bounds, "minItems": 2, "maxItems": 2}
        document = {"type": "array", "items": item, "minItems": 1, "maxItems": _bound("ranges")}
        return core_schema.no_info_after_validator_function(_in_order, pairs), document

    return Typed(made, says)


def _in_order(pairs: list[list[int]]) -> Seqs:
    if not pairs:
        raise invalid("it names no seq; leave it out to mean all of them")
    ranges = [_range(pair, at) for at, pair in enumerate(pairs)]
    ranges.sort()
    end = 0
    for first, last in ranges:
        if first <= end:
            raise invalid(f"seq {first} is named twice")
        end = last
    return tuple(ranges)


def _range(pair: list[int], at: int) -> tuple[int, int]:
    if len(pair) != 2:  # noqa: PLR2004
        raise _refusal("invalid", "it must be a range, [first, last]", at=at)
    first, last = pair
    if first > last:
        raise _refusal("invalid", "its first seq is above its last", at=at)
    return first, last


@dataclass(frozen=True, slots=True)
class Many:
    """A list of at most ``most`` members, at least ``least``. It is read up to the first that is refused."""

    most: Bound
    least: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        least, most = self.least, _bound(self.most)
        members: Any = handler(source)["items_schema"]

        def enough(items: list[Any]) -> list[Any]:
            if len(items) < least:
                raise beyond(f"it must have from {least} to {most} members", f"{least}..{most}")
            return items

        several = core_schema.list_schema(members, max_length=most, strict=True, fail_fast=True)
        return core_schema.no_info_after_validator_function(enough, several) if least else several


# -- refusals, and the parts of schemas


def invalid(why: str, limit: Bound | None = None) -> PydanticCustomError:
    """The refusal of a value of the wrong kind."""
    return _refusal("invalid", why, limit=limit)


def beyond(why: str, limit: Bound) -> PydanticCustomError:
    """The refusal of a value over or under its limit."""
    return _refusal("limit-exceeded", why, limit=limit)


def _refusal(problem: str, why: str, **context: Any) -> PydanticCustomError:
    """What a field's validator raises; ``problem`` is a row of the table of problems.

    The context may have the ``limit``, and the position (``at``) of the member that is meant, in a list.
    """
    return PydanticCustomError(problem, why, context)


def _bound(limit: Bound) -> Any:
    """A bound, or the limit of its name."""
    return getattr(LIMITS.get(), limit) if isinstance(limit, str) else limit


def _text(checked: Any) -> CoreSchema:
    return core_schema.no_info_after_validator_function(checked, core_schema.str_schema(strict=True))


def _or_else(schema: CoreSchema, problem: str, why: str, limit: str | None = None) -> CoreSchema:
    """The schema; whatever it refuses is refused with this problem."""
    context: Any = {"limit": limit}
    return core_schema.custom_error_schema(
        schema, custom_error_type=problem, custom_error_message=why, custom_error_context=context
    )
