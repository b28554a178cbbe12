"""The files that a queue knows. It knows a file by its content so far, under any name and in any place.

What the server has of a file is a stream under an idempotency key. The keys of all files whose first lines
are alike begin alike, so one request finds their streams, each with the lines, bytes and CRC-32 that are in.
A file that begins with exactly what is in a stream is that stream's file, grown or not; any other is new.

A key also says with which options its lines were sent, and has a digest of the first part that was sent and a
number: two pushes of one new file at the same time use the same key, so that each line still goes in once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode
from zlib import crc32

from .push_lines import BadLine, Shape
from .push_stream import StreamRefused, Sums, sums_of

if TYPE_CHECKING:
    from .http import Api

_PAGE: Final = 1000
_HEAD: Final = 32
_DIGEST: Final = 16
_TAG_BYTES: Final = 150
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream that the server knows: which options its lines were sent with, its number, how far it is."""

    key: str
    options: str
    number: int
    sums: Sums


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a known file: its stream, and how many bytes of the file are in it."""

    begun: Begun
    offset: int


class Family:
    """The streams of all files whose first line is ``head`` in one mode (texts, JSON, NUL-separated)."""

    def __init__(self, api: Api, queue: str, head: bytes, shape: Shape) -> None:
        mode = "json" if shape.json else "null" if shape.null else "lines"
        named = hashlib.sha256(mode.encode() + b"\n" + head).hexdigest()[:_HEAD]
        self._prefix = f"dibs-push|{named}|"
        self._options = options_of(shape)
        self.begun = list(_streams(api, queue, self._prefix))

    def key(self, first: bytes, *, again: bool) -> str:
        """The key of a new stream that begins with the part ``first``."""
        stem = f"{self._prefix}{self._options}|{hashlib.sha256(first).hexdigest()[:_DIGEST]}|"
        taken = self.begun if again else [each for each in self.begun if each.key.startswith(stem)]
        return f"{stem}{max((each.number + 1 for each in taken), default=0)}"

    def of_options(self, shape: Shape) -> list[Begun]:
        """The streams whose lines were sent with these options."""
        return [each for each in self.begun if each.options == options_of(shape)]

    def other_shapes(self, shape: Shape) -> list[Shape]:
        """The other options that streams were sent with, as far as their keys tell."""
        told = {each.options for each in self.begun} - {self._options}
        return [other for options in sorted(told) if (other := _shape_of(options, shape)) is not None]


def place(lines: Iterable[bytes | None], shape: Shape, begun: Sequence[Begun]) -> Place | None:
    """The stream that the file goes on with: of those that it begins with the last begun, or the longest.

    The file is read once, no further than the longest stream.
    """
    wanted: dict[int, list[Begun]] = {}
    for each in begun:
        wanted.setdefault(each.sums.lines, []).append(each)
    found: list[Place] = []
    for number, offset, sums in _sums_along(lines, shape, max(wanted, default=0)):
        found += [Place(each, offset) for each in wanted.get(number, ()) if _at(each) == sums]
    return max(found, key=lambda place: (place.begun.number, place.offset), default=None)


def _sums_along(
    lines: Iterable[bytes | None], shape: Shape, most: int
) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """After each line: its number, the bytes of the file until here, bytes and CRC-32 of the stream."""
    offset = size = crc = 0
    for number, line in enumerate(lines, 1):
        if number > most or line is None:
            return
        try:
            item = shape.item(number, line)
        except BadLine:
            return
        offset, size, crc = offset + len(line), size + len(item), crc32(item, crc)
        yield number, offset, (size, crc)


def _at(begun: Begun) -> tuple[int, int]:
    return begun.sums.bytes, begun.sums.crc


def options_of(shape: Shape) -> str:
    """The options that change what is sent, as they stand in a key; a digest where they are too long."""
    plain = Shape(json=shape.json, null=shape.null)
    given = {name: value for name, value in _public(shape).items() if value != _public(plain)[name]}
    told = urlencode({name: json.dumps(value) for name, value in given.items()}, quote_via=quote)
    return told if len(told) <= _TAG_BYTES else hashlib.sha256(told.encode()).hexdigest()


def _shape_of(options: str, shape: Shape) -> Shape | None:
    """The shape of these options in the mode of another; None where they can't be read back."""
    try:
        given = {name: json.loads(text) for name, text in parse_qsl(options, strict_parsing=bool(options))}
        return Shape(json=shape.json, null=shape.null, **given)
    except (ValueError, TypeError):
        return None


def _public(shape: Shape) -> dict[str, object]:
    names = {each.name for each in fields(Shape) if each.init}
    return {name: value for name, value in asdict(shape).items() if name in names}


def _streams(api: Api, queue: str, prefix: str) -> Iterator[Begun]:
    path = f"/queues/{quote(queue, safe='')}/streams"
    after: dict[str, str] = {}
    while True:
        response = api.send("GET", path, params={"key": prefix, "limit": _PAGE, **after})
        if response.status_code != _OK:
            raise StreamRefused(response, None)
        page = response.json()
        for each in page["streams"]:
            options, _, number = (each["key"].removeprefix(prefix) + "||").split("|")[:3]
            if number.isdecimal():
                yield Begun(each["key"], options, int(number), sums_of(each, Sums()))
        if page["next"] is None:
            return
        after = {"after": page["next"]}
