"""The types of fields: what a body or a query may say, how OpenAPI describes it, and how a refusal reads.

An annotation (``Annotated[int, Whole(1, "count", "The most items.", 1)]``) gives all three. A bound may be
the name of a limit: it is looked up when a model is compiled (see ``validation``). ``says`` is the
description, ``default`` what is meant where the field is missing; it is never null. What could be one number
is one: 1.0 is the integer 1 (JSON Schema section 6.3). Nothing else is converted.
"""

from __future__ import annotations

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
class Number:
    """A number from ``least`` to ``most``; ``nullable``: or null; ``whole``: without decimals."""

    least: float
    most: Bound
    says: str = ""
    default: float | None = None
    nullable: bool = False
    whole: bool = False

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        least, most = self.least, _bound(self.most)
        bounds = (f"{least}", f"{most}") if self.whole else (f"{least:g}", f"{most:.10g}")
        limits, document = "..".join(bounds), {"type": "number", "minimum": least, "maximum": most}
        kind: CoreSchema = core_schema.float_schema(strict=True)
        within: CoreSchema = core_schema.float_schema(ge=least, le=most)
        why = "it must be a number"
        if self.whole:
            kind, within = _WHOLE, core_schema.int_schema(ge=int(least), le=most)
            why, document["type"] = "it must be a whole number", "integer"
        number: CoreSchema = core_schema.chain_schema(
            [
                _or_else(kind, "invalid", why, limits),
                _or_else(within, "limit-exceeded", f"it must be from {' to '.join(bounds)}", limits),
            ]
        )
        if self.nullable:
            number, document = core_schema.nullable_schema(number), {"anyOf": [document, {"type": "null"}]}
        return _described(number, document, self.says, self.default)


Whole: Final = partial(Number, whole=True)
"""A whole number."""


def _integral(value: object) -> int:
    if type(value) is float and value.is_integer():
        return int(value)
    raise ValueError


_WHOLE: Final = core_schema.union_schema(
    [core_schema.int_schema(strict=True), core_schema.no_info_plain_validator_function(_integral)],
    mode="left_to_right",
)


@dataclass(frozen=True, slots=True)
class Text:
    """Text of ``least`` to ``most`` bytes in UTF-8; ``inert``: without what acts on a terminal."""

    least: int
    most: Bound
    says: str = ""
    default: str | None = None
    inert: bool = False

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        least, most, inert = self.least, _bound(self.most), self.inert

        def checked(text: str) -> str:
            size = _size(text)
            if not least <= size <= most:
                raise beyond(f"{size} bytes; it must be from {least} to {most}", most)
            if inert and acts(text):
                raise invalid("it has control characters, or others that turn or hide text on a terminal")
            return text

        document: Json = {"type": "string", "minLength": least, "maxLength": most}
        if inert:
            document["pattern"] = PATTERN
        return _described(_text(checked), document, self.says, self.default)


def _size(text: str) -> int:
    try:
        return len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise invalid("it has half of a surrogate pair") from None


@dataclass(frozen=True, slots=True)
class QueueName:
    """The name of a queue."""

    says: str = ""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return _described(_text(_named), NAME_SCHEMA, self.says)


def _named(name: str) -> str:
    try:
        check_name(name)
    except LimitExceeded as error:
        raise beyond(str(error), error.limit or "") from None
    return name


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]
    says: str = ""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        words = list(self.words)
        validator = _or_else(
            core_schema.literal_schema(words), "invalid", f"it is none of {', '.join(words)}"
        )
        return _described(validator, {"type": "string", "enum": words}, self.says)


@dataclass(frozen=True, slots=True)
class Flag:
    """True or false."""

    says: str
    default: bool = False

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        flag = core_schema.bool_schema(strict=True)
        return _described(flag, {"type": "boolean"}, self.says, self.default)


class Value:
    """Any JSON value, as the text that the ledger keeps (see ``values``)."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        encode = value_encoder(LIMITS.get().value_bytes)
        validator = core_schema.no_info_plain_validator_function(encode)
        return _described(validator, {}, "Any JSON value, up to the setting `value_bytes`.")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of seqs, ``[[1, 40], [42, 42]]``: both ends included, in any order, no seq twice."""

    says: str

    def __get_pydantic_core_schema__(self, _source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        seq = Whole(1, MAX_SAFE).__get_pydantic_core_schema__(int, handler)
        pair = core_schema.list_schema(seq, strict=True, fail_fast=True)
        pairs = core_schema.list_schema(pair, strict=True, fail_fast=True)
        validator = core_schema.no_info_after_validator_function(_in_order, pairs)
        bounds: Json = {"type": "integer", "minimum": 1, "maximum": MAX_SAFE}
        item: Json = {"type": "array", "items": bounds, "minItems": 2, "maxItems": 2}
        document = {"type": "array", "items": item, "minItems": 1, "maxItems": _bound("ranges")}
        return _described(validator, document, self.says)


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


def _described(validator: CoreSchema, document: Json, says: str, default: Any = None) -> CoreSchema:
    """The schema, and how OpenAPI writes it."""
    more = {"description": says} if says else {}
    more |= {} if default is None else {"default": default}

    def written(_schema: CoreSchema, _handler: GetJsonSchemaHandler) -> Json:
        return {**document, **more}

    return core_schema.chain_schema([validator], metadata={"pydantic_js_functions": [written]})
