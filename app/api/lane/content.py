"""Reads the body of a message, up to its end and no further."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from ..problems import RequestRefused, malformed

CHUNK_LINE: Final = 1_024
"""Bytes of the line before a chunk: its size, and extensions that nobody reads."""
TRAILER_BYTES: Final = 8_192
"""Bytes of the trailers after the last chunk. They are read, and dropped."""
ROOM: Final = 65_536
"""Bytes of a body that are read before somebody asks for them."""
LITTLE: Final = 65_536
"""A body of so few bytes counts no longer when it is whole; answered early, it is still read to its end."""
LINES_A_TURN: Final = 4_096
"""Lines of chunks that are read at once; then the other connections have their turn."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_BEGUN: Final = (re.compile(rb"[0-9A-Fa-f]+[ \t]*(?:;.*|\r)?"), re.compile(rb"\r"))
"""How the line before a chunk begins, and that behind it."""
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*\r\n")


class Fixed:
    """A body of a length that was announced."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left: int | None = length

    @property
    def done(self) -> bool:
        """Whether the body has come to its end."""
        return self.left == 0

    def feed(self, data: bytes, at: int, out: bytearray) -> int:
        """Read from ``at`` on into ``out``, while there is room; where that ended."""
        piece = data[at : at + min(self.left or 0, max(ROOM - len(out), 0))]
        out += piece
        self.left = (self.left or 0) - len(piece)
        return at + len(piece)


class Chunked:
    """A body that comes in chunks (RFC 9112 section 7.1). Extensions and trailers are bounded and dropped."""

    __slots__ = ("_chunk", "_line", "_next", "_trailers", "done", "left")

    def __init__(self) -> None:
        self.left: int | None = None  # nobody knows
        self.done = False
        self._chunk = 0
        self._line = b""
        self._trailers = -1
        self._next = self._size

    def feed(self, data: bytes, at: int, out: bytearray) -> int:
        """As ``Fixed.feed``, but many small chunks take more than one turn.

        Raises:
            RequestRefused: They are not what chunks are (400), or the trailers are too large (431).
        """
        turns = LINES_A_TURN
        while turns and at < len(data) and not self.done and len(out) < ROOM:
            turns -= 1
            if self._chunk:
                piece = data[at : at + min(self._chunk, ROOM - len(out))]
                out += piece
                at += len(piece)
                self._chunk -= len(piece)
            else:
                at = self._line_at(data, at)
        return at

    def _line_at(self, data: bytes, at: int) -> int:
        most = TRAILER_BYTES if self._trailers >= 0 else CHUNK_LINE
        end = data.find(b"\n", at, at + most + 1) + 1
        self._line += data[at : end or at + most + 1]
        if len(self._line) > most:
            self._too_long()
        if end:
            line, self._line = self._line, b""
            self._next(line)
            return end
        if self._next != self._trailer and not _BEGUN[self._next == self._after].fullmatch(self._line):
            self._next(self._line)  # no end can make it good
        return len(data)

    def _size(self, line: bytes) -> None:
        found = _SIZE.fullmatch(line)
        if found is None:
            raise malformed("the body's chunks can't be read: there is no size before a chunk", "body")
        self._chunk = int(found[1], 16)
        if self._chunk:
            self._next = self._after
        else:
            self._trailers, self._next = 0, self._trailer

    def _after(self, line: bytes) -> None:
        if line != b"\r\n":
            raise malformed("the body's chunks can't be read: one is longer than its size", "body")
        self._next = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if line == b"\r\n":
            self.done = True
        elif not _FIELD.fullmatch(line):
            raise malformed("the trailers after the body can't be read", "body")
        elif self._trailers > TRAILER_BYTES:
            self._too_long()

    def _too_long(self) -> NoReturn:
        if self._trailers < 0:
            raise malformed(f"the line before a chunk is over {CHUNK_LINE} bytes", "body")
        raise RequestRefused(
            "headers-too-large",
            f"the trailers are over {TRAILER_BYTES} bytes",
            field="trailers",
            limit=TRAILER_BYTES,
        )
