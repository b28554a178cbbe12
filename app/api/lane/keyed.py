"""Heads with an idempotency key: known by their bytes around it, and around the number of its session."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

from ...errors import DibsError
from ...ledger.serve import Key
from ...queue.limits import Limits
from ..keys import read_key
from .heads import HEAD_BYTES, Call, Head, Heads

INSIDE: Final = b"dempotency-"
"""A head without these bytes has no key, or is for the parser."""

_LINE: Final = re.compile(rb"\r\nidempotency-(key|sequence):[ \t]*([^\r\n]*)(?=\r\n|\Z)", re.IGNORECASE)
_FOLDED: Final = re.compile(rb"\n[ \t]")
_PLAIN: Final = re.compile(rb"[0-9A-Za-z._-]+")
_DIGITS: Final = 15
"""Digits of a number that is within its limit, whatever they are."""

# As its own constructor does, in a third of the time.
_key: Callable[[Any], Key] = partial(tuple.__new__, Key)


class Around(NamedTuple):
    """A head but for what the next one has anew: the number of its ``session``, or else its key."""

    before: bytes
    after: bytes
    head: Head
    session: str
    signed: bytes
    edition: int


class KeyedHeads:
    """Reads the heads with keys of one connection: each is as the one before, but for a number or its key."""

    def __init__(self, heads: Heads, limits: Limits) -> None:
        self._heads = heads
        self._limits = limits
        self._last: Around | None = None

    def read(self, head: bytes) -> Call | None:
        """The meaning of a head; None if the framework must answer the request."""
        if self._last is not None:
            before, after, meant, session, signed, edition = self._last
            if head.startswith(before) and head.endswith(after) and edition == self._heads.edition:
                text = head[len(before) : len(head) - len(after)]
                if not session:
                    if len(text) <= self._limits.key_bytes and _PLAIN.fullmatch(text):
                        return meant, _key((text.decode(), "", 0, "")), b"%b%b\r\n" % (signed, text)
                elif text.isdigit() and len(text) <= _DIGITS and (number := int(text)):
                    return meant, _key((session, "", number, "")), b"%b%b\r\n" % (signed, text)
        return self._read(head)

    def _read(self, head: bytes) -> Call | None:
        """Read a head as all others are read, without the lines of its key."""
        if len(head) > HEAD_BYTES:
            return None
        lines = {found[1].lower(): found for found in _LINE.finditer(head)}
        rest, cut = _LINE.subn(b"", head)
        raw, number = lines.get(b"key"), lines.get(b"sequence")
        if raw is None or cut != len(lines) or INSIDE in rest or _FOLDED.search(head):
            return None  # not plainly one key
        meaning = self._heads.read(rest)
        try:
            key = read_key(raw[2], number and number[2], self._limits.key_bytes)
        except DibsError:
            return None  # it is refused the ordinary way
        if meaning is None or key is None:
            return None
        meant, _, signed = meaning
        anew, signed = number or raw, b"%bidempotency-key: " % signed
        if number is not None:
            signed = b"%b%b\r\nidempotency-sequence: " % (signed, raw[2].rstrip(b" \t"))
        text = anew[2].rstrip(b" \t")
        before, after = head[: anew.start(2)], head[anew.start(2) + len(text) :]
        session, edition = "" if number is None else key.text, self._heads.edition
        self._last = Around(before, after, meant, session, signed, edition)
        return meant, key, b"%b%b\r\n" % (signed, text)
