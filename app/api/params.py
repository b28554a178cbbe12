"""The parameters in a URL and in the headers, read strictly.

A typo must never spend an item: unknown and repeated parameters are refused, and a number is what JSON
calls one (``1_000``, ``+1``, ``" 1"`` and ``1.5`` for a count are not). Every refusal names the parameter and
its limit. What is parsed is also what the OpenAPI document says, because both come from here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from ..errors import LimitExceeded
from ..queue.limits import NAME, check_name
from ..quote import bare, quoted
from .problems import RequestRefused

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_QUOTED_KEY = re.compile(rb'"((?:[^"\\]|\\["\\])*)"')
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")
_MAX_DIGITS: Final = 30
_MAX_FIELDS: Final = 20

Answer = int | float | str


def refuse(name: str, why: str, limit: int | float | str | None = None) -> NoReturn:
    """422: the parameter ``name`` is not what it should be."""
    raise RequestRefused("invalid", f"{name}: {why}", field=name, limit=limit)


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from ``lowest`` to ``highest``."""

    name: str
    lowest: int
    highest: int
    description: str
    default: int | None = None
    required: bool = False

    def parse(self, text: str) -> int:
        """The number, or a refusal that names the limits."""
        limits = f"{self.lowest}..{self.highest}"
        if not _WHOLE.fullmatch(text):
            refuse(self.name, f"{quoted(text)} is not a whole number from {limits}", limits)
        if len(text) > _MAX_DIGITS or not self.lowest <= int(text) <= self.highest:
            raise LimitExceeded(
                f"{self.name}: {quoted(text)} is not within {limits}", field=self.name, limit=limits
            )
        return int(text)

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return _with_default(
            {"type": "integer", "minimum": self.lowest, "maximum": self.highest}, self.default
        )


@dataclass(frozen=True, slots=True)
class Seconds:
    """A duration from 0 to ``highest`` seconds, decimals allowed."""

    name: str
    highest: float
    description: str
    default: float | None = None
    required: bool = False

    def parse(self, text: str) -> float:
        """The seconds, or a refusal that names the limit."""
        limits = f"0..{self.highest:g}"
        if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text) or not isfinite(float(text)):
            refuse(self.name, f"{quoted(text)} is not a number of seconds from {limits}", limits)
        if not 0 <= float(text) <= self.highest:
            raise LimitExceeded(
                f"{self.name}: {quoted(text)} s is not within {limits}", field=self.name, limit=limits
            )
        return float(text)

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return _with_default({"type": "number", "minimum": 0, "maximum": self.highest}, self.default)


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a queue."""

    name: str
    description: str
    default: str | None = None
    required: bool = False

    def parse(self, text: str) -> str:
        """The name, or a refusal that says what names are."""
        check_name(text)
        return text

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return {
            "type": "string",
            "pattern": rf"^(?!\.{{1,2}}$){NAME.pattern}$",
            "minLength": 1,
            "maxLength": 64,
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    name: str
    words: tuple[str, ...]
    description: str
    default: str | None = None
    required: bool = False

    def parse(self, text: str) -> str:
        """The word, or a refusal that says which there are."""
        if text not in self.words:
            refuse(self.name, f"{quoted(text)} is none of {', '.join(self.words)}")
        return text

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return {"type": "string", "enum": list(self.words)}


@dataclass(frozen=True, slots=True)
class Text:
    """Any text of 1 to ``most`` bytes in UTF-8."""

    name: str
    most: int
    description: str
    default: str | None = None
    required: bool = False

    def parse(self, text: str) -> str:
        """The text, or a refusal that names the limits."""
        size = len(text.encode())
        if not 1 <= size <= self.most:
            limits = f"1..{self.most}"
            raise LimitExceeded(
                f"{self.name}: {size} bytes; it must have {limits}", field=self.name, limit=limits
            )
        return text

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAPI writes it."""
        return {"type": "string", "minLength": 1, "maxLength": self.most}


Parameter = Whole | Seconds | Name | Choice | Text


class Query:
    """The query parameters of one operation; anything else in the query is refused."""

    def __init__(self, *parameters: Parameter) -> None:
        self.parameters = parameters
        self._by_name = {parameter.name: parameter for parameter in parameters}
        self._defaults: dict[str, Any] = {parameter.name: parameter.default for parameter in parameters}
        self._required = [parameter for parameter in parameters if parameter.required]

    def parse(self, query_string: bytes) -> Mapping[str, Any]:
        """Every parameter, its default where it was not given.

        Raises:
            RequestRefused: A parameter is unknown, repeated, missing or not what it should be.
            LimitExceeded: It is over or under its limit.
        """
        if not query_string and not self._required:
            return self._defaults
        found: dict[str, Any] = {}
        for name, text in _pairs(query_string):
            parameter = self._by_name.get(name)
            if parameter is None:
                known = ", ".join(self._by_name) or "no parameters"
                refuse(bare(name), f"there is no such parameter; this path takes {known}")
            if name in found:
                refuse(name, "it is given more than once")
            found[name] = parameter.parse(text)
        for parameter in self._required:
            if parameter.name not in found:
                refuse(parameter.name, f"it is required: {parameter.description}")
        return {**self._defaults, **found}


PAGE_OF_QUEUES: Final = Query(
    Whole("limit", 1, 1000, "The most queues of a page.", 100),
    Name("after", "Show the queues whose names come after this one."),
)


def _pairs(query_string: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except UnicodeDecodeError:
        raise RequestRefused("malformed", "the query is not UTF-8, percent-encoded") from None
    except ValueError:
        raise RequestRefused(
            "invalid", "the query has too many parameters", field="query", limit=_MAX_FIELDS
        ) from None


def parse_key(raw: bytes | None, limit: int) -> str | None:
    """The Idempotency-Key of a request: bare or quoted (RFC 8941 section 3.3.3), one and the same key."""
    if raw is None:
        return None
    key = raw.strip(b" \t")
    if key.startswith(b'"'):
        quoted = _QUOTED_KEY.fullmatch(key)
        if quoted is None:
            refuse("Idempotency-Key", "the quoted text has no end, or something follows it")
        key = re.sub(rb"\\(.)", rb"\1", quoted[1])
    if not key:
        refuse("Idempotency-Key", "it is empty", limit)
    if len(key) > limit:
        raise LimitExceeded(
            f"Idempotency-Key: {len(key)} bytes; the limit is {limit}",
            field="Idempotency-Key",
            limit=limit,
        )
    if not _PRINTABLE.fullmatch(key):
        refuse("Idempotency-Key", "only printable ASCII characters can be in it")
    return key.decode("ascii")


def _with_default(schema: dict[str, Any], default: int | float | None) -> dict[str, Any]:
    return schema if default is None else {**schema, "default": default}
