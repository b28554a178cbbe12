r"""A source's name and arguments as text: ``count(start=100)``, ``lines(files.txt)``, ``jobs:generate(n=3)``.

The grammar is small and only reads; nothing is ever evaluated::

    spec   = name [ "(" [ argument { "," argument } [ "," ] ] ")" ]
    name   = a built-in source, such as count, or module:function, such as jobs.sweep:generate
    argument = [ key "=" ] value              positions first, as in Python
    key    = an identifier, or quoted text
    value  = text in '…' or "…" (JSON's escapes, and \' \xHH)
           | "[" values "]" | "(" values ")"  a list
           | "{" text ":" value, … "}"        an object, as in JSON or Python
           | word

A word is a run of characters without ``, ( ) [ ] { } " ' =``, trimmed: a number as JSON or Python writes
it (``-5``, ``1e-3``, ``1_000``, ``2**63-1``), ``true false null True False None``, or else bare text, such as
a file's name: ``lines(/tmp/a b.txt)``. Text with one of those characters is quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NoReturn

from ..errors import SourceInvalid
from ..quote import quoted

MAX_TEXT: Final = 65_536
"""Characters in the text of one source. A larger list of values belongs in a file."""

_MAX_DEPTH: Final = 100
_MAX_POWER: Final = 64 * 64

_NAME = re.compile(r"[A-Za-z_][\w.]*(?::[A-Za-z_][\w.]*)?")
_KEY = re.compile(r"([A-Za-z_]\w*)\s*=")
_QUOTED = re.compile(r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""", re.DOTALL)
_WORD = re.compile(r"""[^,()\[\]{}"'=]+""")
_PLAIN_WORD = re.compile(r"""[^,()\[\]{}"'=:]+""")
_SPACE = re.compile(r"\s*")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d*(?:_\d+)*)")
_POWER = re.compile(r"([+-]?)(\d{1,4})\s*\*\*\s*(\d{1,4})(?:\s*([+-])\s*(\d{1,20}))?")
_FLOAT = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?")
_NOT_JSON = re.compile(r"[+-]?(?:NaN|Infinity)")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)

_WORDS: Final = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_ESCAPES: Final = {c: c for c in "\\/'\""} | {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True, eq=False)
class SourceSpec:
    """A source's name and its arguments, as JSON values.

    ``positional`` holds the arguments written without a name; ``Registry.check`` binds them, so a checked
    spec has none. The order of ``args`` is kept and counts (a grid's axes). Two specs are equal when their
    ``text`` is: 1, 1.0 and true are three different arguments.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", dict(self.args))
        object.__setattr__(self, "positional", tuple(self.positional))

    @property
    def text(self) -> str:
        """The spec as users write it; ``parse_source`` reads it back as an equal spec."""
        given = [_json(value) for value in self.positional]
        given += [f"{_key(key)}={_json(value)}" for key, value in self.args.items()]
        return f"{self.name}({', '.join(given)})" if given else self.name

    @property
    def is_function(self) -> bool:
        """Whether the spec names the user's own ``module:function``."""
        return ":" in self.name

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, SourceSpec) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)


def parse_source(text: str) -> SourceSpec:
    """Read a source as it is written on the command line; ``SourceInvalid`` names the position.

    Only the syntax is checked here; ``Registry.check`` looks for the source and checks its arguments.
    """
    if len(text) > MAX_TEXT:
        raise SourceInvalid(f"the source's text has {len(text)} characters; the limit is {MAX_TEXT}")
    return _Reader(text).spec()


class _Reader:
    """One pass over the text; ``at`` is the position that errors name (counted from 1)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def spec(self) -> SourceSpec:
        self._space()
        name = _NAME.match(self.text, self.at)
        if not name:
            self._fail("a source begins with its name, such as count or module:function")
        self.at = name.end()
        args: dict[str, Any] = {}
        positional: list[Any] = []
        if self._accept("("):
            self._arguments(args, positional)
        self._space()
        if self.at < len(self.text):
            self._fail(f"unexpected {self.text[self.at]!r} after the source")
        return SourceSpec(name.group(), args, tuple(positional))

    def _arguments(self, args: dict[str, Any], positional: list[Any]) -> None:
        while not self._accept(")"):
            begin = self.at
            key = self._argument_key()
            if key is not None and key in args:
                self._fail(f"argument {quoted(key)} is given twice", begin)
            if key is None and args:
                self._fail("an argument without a name comes after one with a name", begin)
            value = self._value(1, word=_WORD)
            if key is None:
                positional.append(value)
            else:
                args[key] = value
            self._separator(")")

    def _argument_key(self) -> str | None:
        """``key=`` or ``"key"=``; nothing is consumed where there is none."""
        if key := _KEY.match(self.text, self.at):
            self.at = key.end()
            return key.group(1)
        begin = self.at
        if _QUOTED.match(self.text, self.at):
            quoted = self._quoted()
            if self._accept("="):
                return quoted
        self.at = begin
        return None

    def _value(self, depth: int, *, word: re.Pattern[str]) -> Any:
        self._space()
        if depth > _MAX_DEPTH:
            self._fail(f"nested more than {_MAX_DEPTH} levels deep")
        first = self.text[self.at : self.at + 1]
        if first and first in "\"'":
            return self._quoted()
        if self._accept("["):
            return self._list("]", depth)
        if self._accept("("):
            return self._list(")", depth)
        if self._accept("{"):
            return self._object(depth)
        return self._word(word)

    def _list(self, closing: str, depth: int) -> list[Any]:
        items: list[Any] = []
        while not self._accept(closing):
            items.append(self._value(depth + 1, word=_WORD))
            self._separator(closing)
        return items

    def _object(self, depth: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        while not self._accept("}"):
            begin = self.at
            if not _QUOTED.match(self.text, self.at):
                self._fail("the names in { } are quoted text")
            key = self._quoted()
            if key in members:
                self._fail(f"{quoted(key)} is given twice", begin)
            if not self._accept(":"):
                self._fail(f"expected ':' after {quoted(key)}")
            members[key] = self._value(depth + 1, word=_PLAIN_WORD)
            self._separator("}")
        return members

    def _quoted(self) -> str:
        quoted = _QUOTED.match(self.text, self.at)
        if not quoted:
            self._fail("this quoted text has no end")
        begin, self.at = self.at, quoted.end()
        inner = quoted.group(1) if quoted.group(1) is not None else quoted.group(2)

        def unescape(found: re.Match[str]) -> str:
            code = found.group(1)
            if code in _ESCAPES:
                return _ESCAPES[code]
            if len(code) == 1:
                self._fail(f"unknown escape \\{code} in quoted text", begin + 1 + found.start())
            return chr(int(code[1:], 16))

        return _join_surrogates(_ESCAPE.sub(unescape, inner))

    def _word(self, pattern: re.Pattern[str]) -> Any:
        found = pattern.match(self.text, self.at)
        word = found.group().strip() if found else ""
        if not found or not word:
            self._fail("expected a value")
        begin, self.at = self.at, found.end()
        if word in _WORDS:
            return _WORDS[word]
        try:
            number = _number(word)
        except (ValueError, OverflowError) as error:
            self._fail(str(error), begin)
        return word if number is None else number

    def _separator(self, closing: str) -> None:
        """A comma, or ``closing`` ahead (which is left for the caller)."""
        if not self._accept(",") and self.text[self.at : self.at + 1] != closing:
            hint = "; quote text that has one of , ( ) [ ] { } = in it" if self.at < len(self.text) else ""
            self._fail(f"expected ',' or '{closing}'{hint}")

    def _accept(self, char: str) -> bool:
        """Whether ``char`` is next, after any space; it and the space around it are consumed."""
        self._space()
        if self.text[self.at : self.at + 1] != char:
            return False
        self.at += 1
        self._space()
        return True

    def _space(self) -> None:
        if space := _SPACE.match(self.text, self.at):
            self.at = space.end()

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        place = self.at if at is None else at
        raise SourceInvalid(f"source {quoted(self.text)}, position {place + 1}: {why}") from None


def _number(word: str) -> int | float | None:
    """The number that ``word`` writes, or None: it is text. ``ValueError``: a number that JSON has not."""
    if _INTEGER.fullmatch(word):
        return int(word)
    if power := _POWER.fullmatch(word):
        return _power(*power.groups())
    if _FLOAT.fullmatch(word):
        number = float(word)
        if not isfinite(number):
            raise ValueError(f"{word} is too large for a number")
        return number
    if _NOT_JSON.fullmatch(word):
        raise ValueError(f"{word} is not JSON; quote it if the text is meant")
    return None


def _power(sign: str, base: str, exponent: str, operator: str | None, offset: str | None) -> int:
    """``2**63-1``: limits are written so, and nothing larger is worth computing."""
    if int(base).bit_length() * int(exponent) > _MAX_POWER:
        raise ValueError(f"{base}**{exponent} is too large")
    power: int = int(base) ** int(exponent)
    return (-power if sign == "-" else power) + int(f"{operator or '+'}{offset or 0}")


def _key(key: str) -> str:
    bare = _KEY.fullmatch(f"{key}=")
    return key if bare and bare.group(1) == key else _json(key)  # the space before = is no part of a bare one


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _join_surrogates(text: str) -> str:
    """JSON writes characters beyond U+FFFF as two escapes; a lone one stays, for ``check`` to refuse."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
