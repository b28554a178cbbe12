"""Lines of a file or a pipe, and the items that they become."""

from __future__ import annotations

import hashlib
import json
import os
import select
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final, NamedTuple

from .json_value import NotJson, json_value

LINE_BYTES: Final = 16 * 1024 * 1024
"""A longer line is refused before it is held in memory; the server's own limit is far lower."""
KEY_BYTES: Final = 255
CHUNK_ITEMS: Final = 1000
CHUNK_BYTES: Final = 1024 * 1024
"""Characters of JSON; a line may be larger by itself."""
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode
_READ: Final = 1024 * 1024
_LULL: Final = 0.05
"""Seconds without input after which a pipe's lines are sent, though more of them would fit."""


class BadLine(ValueError):
    """A line that can't be pushed. Those before it can."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a line becomes an item.

    ``json``: the line is the value; otherwise its text is. ``null``: lines end with NUL, and are texts as
    they are. ``unique``: the line itself is the item's key. ``key_field``: the key is this member of the
    value. ``delay`` in seconds; ``priority`` 0 to 9, 0 first.
    """

    json: bool = False
    null: bool = False
    delay: float = 0.0
    priority: int = 0
    unique: bool = False
    key_field: str | None = None
    _rest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        given = {"delay": self.delay, "priority": self.priority}
        rest = "".join(f',"{name}":{_encode(value)}' for name, value in given.items() if value)
        object.__setattr__(self, "_rest", rest)

    @property
    def end(self) -> bytes:
        """The byte that ends a line."""
        return b"\0" if self.null else b"\n"

    def content(self, number: int, line: bytes) -> bytes:
        """A line as the source ``lines`` has it: without its end, the first one without a byte order mark."""
        if self.null:
            return line.removesuffix(b"\0")
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        return line.removeprefix(BOM_UTF8) if number == 1 else line

    def item(self, number: int, text: str) -> str | None:
        """The JSON of the item that a line with this content is; None where there is nothing to push.

        Raises:
            BadLine: It is not JSON, or has no key where one is wanted.
        """
        if self.json and not text.strip():
            return None
        try:
            value = json_value(text) if self.json else text
        except NotJson as error:
            raise BadLine(f"line {number:,} {error}") from error
        written = text.strip() if self.json else _encode(text)
        key = self._key(number, text, value)
        named = "" if key is None else f',"key":{_encode(key)}'
        return f'{{"value":{written}{named}{self._rest}}}'

    @property
    def keyed(self) -> bool:
        """Whether each item has a key of its own."""
        return self.unique or self.key_field is not None

    def _key(self, number: int, text: str, value: Any) -> str | None:
        if self.unique:
            return _fitting(text.strip() if self.json else text)
        return None if self.key_field is None else _fitting(_key(number, value, self.key_field))


class Line(NamedTuple):
    """An item of the input: its JSON, the number of its line, and a digest of all content up to there.

    ``read`` bytes of the input have been read with it.
    """

    item: str
    number: int
    digest: str
    read: int


def lines(source: Iterable[bytes | None], shape: Shape) -> Iterator[Line | None]:
    """The items of lines; a ``None`` stays one.

    Raises:
        BadLine: One is too long, not UTF-8, not JSON, or has no key where one is wanted.
    """
    number = read = 0
    mode = "json" if shape.json else "null" if shape.null else "lines"
    digest = hashlib.blake2b(mode.encode(), digest_size=12)
    for line in source:
        if line is None:
            yield None
            continue
        number += 1
        read += len(line)
        if len(line) > LINE_BYTES:
            raise BadLine(f"line {number:,} is longer than {LINE_BYTES:,} bytes")
        content = shape.content(number, line)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise BadLine(f"line {number:,} is not UTF-8 (byte {error.start + 1})") from error
        digest.update(b"%d:%b" % (len(content), content))
        item = shape.item(number, text)
        if item is not None:
            yield Line(item, number, digest.hexdigest(), read)


def chunks(source: Iterable[Line | None]) -> Iterator[list[Line]]:
    """The items in chunks, of which each is pushed whole. A ``None`` ends a chunk early.

    Raises:
        BadLine: After a chunk with everything before it.
    """
    held: list[Line] = []
    size = 0
    try:
        for line in source:
            if line is not None:
                held.append(line)
                size += len(line.item)
            if held and (line is None or len(held) >= CHUNK_ITEMS or size >= CHUNK_BYTES):
                yield held
                held, size = [], 0
    except BadLine:
        if held:
            yield held
        raise
    if held:
        yield held


class Input:
    """The input of a push: lines with their ends, of a file, whose ``size`` is known, or of a pipe.

    The last line of a file that has no end yet may be half of one that is being written: it is left alone
    (``waits``), unless ``last_line``. The end of a pipe ends its last line; a pipe can be read once only.
    """

    def __init__(
        self, name: str, file: BinaryIO, size: int | None = None, *, last_line: bool = False
    ) -> None:
        self.name = name
        self.size = size
        self.pipe = size is None
        self.waits = False
        self._file = file
        self._takes_last = self.pipe or last_line

    def lines(self, end: bytes) -> Iterator[bytes | None]:
        """All lines, of a file as often as wanted; None where a pipe pauses: send what has come."""
        if not self.pipe:
            self._file.seek(0)
        first, self.waits = True, False
        for line in _split(self._chunks(), end):
            if line is not None and not line.endswith(end) and len(line) <= LINE_BYTES:
                if first and line == BOM_UTF8 and end == b"\n":
                    return  # there is nothing but the mark
                if not self._takes_last:
                    self.waits = True
                    return
            yield line
            first = first and line is None

    def _chunks(self) -> Iterator[bytes | None]:
        if not self.pipe:
            yield from iter(lambda: self._file.read(_READ), b"")
            return
        descriptor = self._file.fileno()
        while data := os.read(descriptor, _READ):
            yield data
            if not select.select([descriptor], [], [], _LULL)[0]:
                yield None


def _split(chunks: Iterator[bytes | None], end: bytes) -> Iterator[bytes | None]:
    """Lines with their ends; the last one may have none. Not much more than :data:`LINE_BYTES` are held."""
    rest = b""
    for data in chunks:
        if data is None:
            yield None
            continue
        *whole, rest = (rest + data).split(end)
        yield from (line + end for line in whole)
        if len(rest) > LINE_BYTES:
            yield rest  # refused as too long, which ends it
            return
    if rest:
        yield rest


def _key(number: int, value: Any, field: str) -> str:
    key = value.get(field) if isinstance(value, dict) else None
    if isinstance(key, str) and key:
        return key
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise BadLine(f"line {number:,} has no text or whole number {field!r} to be its key")


def _fitting(key: str) -> str:
    """The key, or a digest of it where it would be empty or too long for the server."""
    written = key.encode(errors="surrogatepass")
    return key if 0 < len(written) <= KEY_BYTES else f"sha256:{hashlib.sha256(written).hexdigest()}"
