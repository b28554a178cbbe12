"""The types of a history's fields: what each one may hold, and how it is read. Pydantic checks them."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from pydantic import Field, PlainValidator, ValidationError

from .values import Span, Value, identity, numbers

_LARGEST_SPAN = 1_000_000
_LONGEST = 1e9


def first_problem(error: ValidationError) -> str:
    """The first problem as a sentence that names its field."""
    first = error.errors(include_url=False)[0]
    name = next((part for part in reversed(first["loc"]) if isinstance(part, str)), "")
    if first["type"] == "missing":
        return f'"{name}" is missing'
    told = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return f'"{name}" {told}' if told.startswith("must ") else told


def is_span(value: object) -> bool:
    """Whether this is ``[first, last]`` with 1 <= first <= last."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:  # noqa: PLR2004
        return False
    first, last = value
    return type(first) is type(last) is int and 1 <= first <= last


def spans_of(value: Any) -> tuple[Span, ...]:
    """Ranges of seqs."""
    if not isinstance(value, list) or not all(map(is_span, value)):
        raise ValueError('"seqs" must be a list of [first, last], with 1 <= first <= last')
    return tuple((first, last) for first, last in value)


def nanoseconds(value: Any) -> int:
    """A duration; it stands in seconds in a history, as on the wire."""
    if type(value) not in {int, float} or not abs(value) < _LONGEST:
        raise ValueError("must be a number of seconds")
    return round(float(value) * 1e9)


def _seqs(value: Any) -> tuple[int, ...]:
    spans = spans_of(value)
    if any(last - first >= _LARGEST_SPAN for first, last in spans):
        raise ValueError(f"must not have a range of over {_LARGEST_SPAN} items")
    return tuple(numbers(spans))


def _values(value: Any) -> tuple[Value, ...]:
    if not isinstance(value, list):
        raise ValueError("must be a list")  # noqa: TRY004  # pydantic expects it of a validator
    return tuple(map(identity, value))


class Came(NamedTuple):
    """The outcome of a range of an entry. ``first`` None: the token held nothing.

    ``expires_in``: of an extension, from the reply on.
    """

    first: int | None
    last: int | None
    verdict: str
    expires_in: int = 0

    @property
    def spans(self) -> tuple[Span, ...]:
        """The seqs: one range, or none."""
        return () if self.first is None or self.last is None else ((self.first, self.last),)


def _came(value: Any) -> Came:
    """``[first, last, verdict]``, and of an extension the seconds from then on."""
    if isinstance(value, list) and len(value) in {3, 4} and isinstance(value[2], str):
        first, last, verdict, *expires = value
        if (first, last) == (None, None) or is_span([first, last]):
            return Came(first, last, verdict, *map(nanoseconds, expires))
    raise ValueError("must be a list of [first, last, verdict] or [null, null, verdict]")


Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]
Duration = Annotated[int, PlainValidator(nanoseconds)]
Spans = Annotated[tuple[Span, ...], PlainValidator(spans_of)]
Seqs = Annotated[tuple[int, ...], PlainValidator(_seqs)]
Values = Annotated[tuple[Value, ...], PlainValidator(_values)]
Outcomes = tuple[Annotated[Came, PlainValidator(_came)], ...]
