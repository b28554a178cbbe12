"""Usual bodies, remembered by their bytes: those of one worker differ in nothing but the token.

So what such a body asks for is read once, by the models of all others, and known from then on by its bytes
around the token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ..errors import DibsError
from ..ledger.work import Ack, Entry
from ..queue.answers import LeaseAsk
from ..queue.asking import digest_of, settling_text
from ..queue.tokens import TOKEN_BYTES
from .settling import Settling

MOST_SHAPES: Final = 1_024
"""Bodies without their tokens that are remembered; then it begins anew."""
SHAPE_BYTES: Final = 1_024
"""A larger body is not of the usual form."""

_PLAIN: Final = re.compile(rb"[0-9A-Za-z_-]{1,%d}" % TOKEN_BYTES)
_TOKEN: Final = re.compile(rb'"token": ?"(%b)"' % _PLAIN.pattern)
_ANY: Final = "any"
"""Stands for the token where a shape is read."""

# As the constructors of entries do, in a third of the time.
_entry: Callable[[type, Any], Entry] = tuple.__new__


class Shape(NamedTuple):
    """What bodies of one shape ask for: one entry for all of a lease, and perhaps the next one.

    ``before`` and ``after``: the text around the token whose digest tells such a request from others.
    """

    entry: Entry
    lease: LeaseAsk | None
    before: str
    after: str

    def settle(self, token: str) -> Entry:
        """The entry with this token."""
        return _entry(type(self.entry), (token, *self.entry[1:]))

    def digest(self, token: str) -> str:
        """The digest of the request with this token."""
        return "settle " + digest_of(f"{self.before}{token}{self.after}")


class Shapes:
    """The shapes of bodies that were read. ``read`` reads a body that is of no known shape."""

    def __init__(self, read: Callable[[bytes], Settling]) -> None:
        self._read = read
        self._known: dict[bytes, Shape | None] = {}
        self._last: tuple[bytes, bytes, Shape] | None = None

    def forget(self) -> None:
        """Forget all: they would be read otherwise now."""
        self._known.clear()
        self._last = None

    def find(self, body: bytes) -> tuple[Shape, str] | None:
        """The shape of a body, and its token; None where it is not of the usual form."""
        if self._last is not None:  # most bodies have the shape of the one before
            before, after, shape = self._last
            if body.startswith(before) and body.endswith(after):
                token = body[len(before) : len(body) - len(after)]
                if _PLAIN.fullmatch(token):
                    return shape, token.decode()
        found = _TOKEN.search(body)
        if found is None or len(body) > SHAPE_BYTES:
            return None
        begin, end = found.span(1)
        known = self._shape(body[:begin], body[end:])
        if known is None:
            return None
        self._last = body[:begin], body[end:], known
        return known, found[1].decode()

    def _shape(self, before: bytes, after: bytes) -> Shape | None:
        around = before + after
        if around not in self._known:
            if len(self._known) >= MOST_SHAPES:
                self._known.clear()
            self._known[around] = self._learn(before + _ANY.encode() + after)
        return self._known[around]

    def _learn(self, body: bytes) -> Shape | None:
        try:
            entries, lease = self._read(body)
        except DibsError:
            return None  # it is refused when it is read with its own token
        if len(entries) != 1 or entries[0].token != _ANY or entries[0].seqs is not None:
            return None
        entry = entries[0]
        if type(entry) is Ack and entry.push:
            return None  # the token may be one inside a value
        before, _, after = settling_text(entries, lease).partition(f"'{_ANY}'")
        return Shape(entry, lease, before + "'", "'" + after)
