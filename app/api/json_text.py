"""JSON text to values, without its loopholes, and in steps that are short however large the text is.

What two readers could read differently is refused: NaN and infinities, a name twice in one object, nesting
without end. Lone surrogates and 1e999 get through, to those who check the fields.

The C parser holds the interpreter's lock until it returns, so a body of 16 MiB would hold up everybody else
even on a thread of its own. Here a large text is given to it a window at a time. What does not fit into one
window is a list or an object of ours (items, entries, ranges); its members are read one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from json import JSONDecodeError, JSONDecoder
from json.decoder import WHITESPACE  # type: ignore[attr-defined]  # what the decoder itself skips with
from typing import Any, Final, NoReturn

from ..errors import LimitExceeded
from ..quote import bare, quoted
from ..sources.encode import MAX_DEPTH
from .problems import RequestRefused, malformed

WINDOW: Final = 256 * 1024
"""Characters that the C parser reads without a pause: 10 to 20 ms where they are nothing but members."""
LEVELS: Final = 6
"""How deep a list may stand that is larger than a window: those of ``{"acks":[{"push":[{…}]}]}``."""

Pairs = list[tuple[str, Any]]


class WindowedReader:
    """Reads one text. ``object_of`` makes an object of its pairs, as the decoder's own hook does.

    Args:
        decoder: Reads what fits into a window.
        object_of: Makes an object of its pairs.
        most: Members that a list or an object may have that is larger than a window.
        over: Raises for one that has more, and (with 0) for one that stands deeper than any of ours.
        window: Characters of a window.
    """

    def __init__(
        self,
        text: str,
        decoder: JSONDecoder,
        object_of: Callable[[Pairs], Any],
        *,
        most: int,
        over: Callable[[int], NoReturn],
        window: int = WINDOW,
    ) -> None:
        self._text = text
        self._scan = decoder.scan_once  # type: ignore[attr-defined]  # raw_decode without its own exception
        self._object_of = object_of
        self._most = most
        self._over = over
        self._size = window
        self._begin = 0
        self._window = text[:window]
        self._depth = 0

    def read(self) -> Any:
        """The text's value.

        Raises:
            JSONDecodeError: It is not JSON, or something follows it.
        """
        value, end = self._value(self._skip(0))
        end = self._skip(end)
        if end != len(self._text):
            raise JSONDecodeError("Extra data", self._text, end)
        return value

    def _skip(self, at: int) -> int:
        end: int = WHITESPACE.match(self._text, at).end()
        return end

    def _value(self, at: int) -> tuple[Any, int]:
        if found := self._in_window(at):
            return found
        if at != self._begin:
            self._begin, self._window = at, self._text[at : at + self._size]
            if found := self._in_window(at):
                return found
        return self._piecewise(at)

    def _piecewise(self, at: int) -> tuple[Any, int]:
        opening = self._text[at : at + 1]
        if opening not in ("[", "{"):
            return self._whole(at)
        self._depth += 1
        if self._depth > LEVELS:
            self._over(0)
        found = self._list(at) if opening == "[" else self._object(at)
        self._depth -= 1
        return found

    def _in_window(self, at: int) -> tuple[Any, int] | None:
        """The value, if all of it is in the window and something comes after it there, or nothing at all."""
        place = at - self._begin
        try:
            value, end = self._scan(self._window, place)
        except (StopIteration, JSONDecodeError):
            return None
        if self._window[end : end + 1] in ".eE" and self._begin + end < len(self._text):
            return None  # a number may go on behind the window, where nothing follows it or not all of it
        return value, self._begin + end

    def _whole(self, at: int) -> tuple[Any, int]:
        """A long text or number; or what is no JSON, with its place in the whole text."""
        try:
            value, end = self._scan(self._text, at)
        except StopIteration as error:
            raise JSONDecodeError("Expecting value", self._text, error.value) from None
        return value, end

    def _list(self, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "]":
            return items, at + 1
        while True:
            value, at = self._value(at)
            self._add(items, value)
            at = self._skip(at)
            if self._text[at : at + 1] == "]":
                return items, at + 1
            at = self._after(",", at)

    def _object(self, at: int) -> tuple[Any, int]:
        pairs: Pairs = []
        at = self._skip(at + 1)
        if self._text[at : at + 1] == "}":
            return self._object_of(pairs), at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
            name, at = self._whole(at)
            value, at = self._value(self._after(":", self._skip(at)))
            self._add(pairs, (name, value))
            at = self._skip(at)
            if self._text[at : at + 1] == "}":
                return self._object_of(pairs), at + 1
            at = self._after(",", at)

    def _add(self, members: list[Any], member: Any) -> None:
        members.append(member)
        if len(members) > self._most:
            self._over(self._most)

    def _after(self, wanted: str, at: int) -> int:
        """Past the character and the space behind it."""
        if self._text[at : at + 1] != wanted:
            raise JSONDecodeError(f"Expecting {wanted!r} delimiter", self._text, at)
        return self._skip(at + 1)


def parse(body: bytes, members: int) -> Any:
    """What the bytes of a body say, read as strictly as RFC 8259 and RFC 7493 (I-JSON) allow.

    A list or an object that is larger than a window may have so many ``members``.

    Raises:
        RequestRefused, LimitExceeded: It is not JSON, or not what any request may be.
    """
    try:
        text = body.decode("utf-8")
        if len(text) <= WINDOW:
            return _decoder.decode(text)
        return WindowedReader(text, _decoder, _no_twins, most=members, over=_too_many).read()
    except UnicodeDecodeError as error:
        raise malformed(f"the body can't be read: it is not UTF-8, at byte {error.start}", "body") from None
    except JSONDecodeError as error:
        why = f"{error.msg}, at line {error.lineno} column {error.colno}"
        raise malformed(f"the body can't be read: {why}", "body") from None
    except RecursionError:
        why = f"the body is nested more than {MAX_DEPTH} levels deep"
        raise RequestRefused("invalid", why, field="body", limit=MAX_DEPTH) from None
    except ValueError:
        raise RequestRefused("invalid", "a number in the body has too many digits", field="body") from None


def parse_line(line: bytes) -> Any:
    """As ``parse``, of a line of a stream; a refusal says ``it`` and not ``the body``."""
    try:
        text = line.decode("utf-8")
        value, end = _decoder.raw_decode(text)
        if end == len(text):
            return value
    except (ValueError, RecursionError, RequestRefused):
        pass  # once more, to say what is wrong
    try:
        return parse(line, len(line))
    except RequestRefused as error:
        why = str(error).replace("the body can't be read: ", "").replace("the body", "it")
        why = why.replace("at line 1 column", "at column")
        raise RequestRefused(error.name, why, field=error.field, limit=error.limit) from None


def _no_constant(name: str) -> NoReturn:
    raise malformed(f"the body can't be read: {name} is not JSON", "body")


def _no_twins(pairs: Pairs) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RequestRefused("invalid", f"{quoted(twin)} stands twice in one object", field=bare(twin))
    return members


_decoder: Final = JSONDecoder(parse_constant=_no_constant, object_pairs_hook=_no_twins)


def _too_many(most: int) -> NoReturn:
    if most:
        raise LimitExceeded(
            f"body: a list or an object in it has more than {most} members", field="body", limit=most
        )
    raise LimitExceeded(
        f"body: a list or an object deep in it is over {WINDOW} characters", field="body", limit=WINDOW
    )
