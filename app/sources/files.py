"""``lines``, ``jsonl`` and ``csv``: the rows of a file, read as they are asked for.

A file is UTF-8, with or without a byte order mark; a line ends with LF or CR LF (a row of CSV with CR alone,
too, as for the standard library's reader). No more than one value's limit is held in memory, however long a
line is. A line that can't be read fails the source, with the line's number. The file must not change while it
is handed out: after a restart it is read again up to the cursor and its last value compared. To go on with a
file that grows, push its lines instead.
"""

from __future__ import annotations

import csv as rows
import json
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, NoReturn

from ..errors import SourceInvalid, ValueRefused
from ..quote import quoted
from .arguments import boolean, string
from .context import Context
from .paths import locate
from .source import Replayed

_AFTER_CR: Final = re.compile(r"(?<=\r)(?!\n|\Z)")
_OTHER_MARKS: Final = {"UTF-32": (BOM_UTF32_LE, BOM_UTF32_BE), "UTF-16": (BOM_UTF16_LE, BOM_UTF16_BE)}


def lines(context: Context, /, path: str, *, root: str | None = None) -> Replayed:
    """Each line as text, without its line end; empty lines too, and a last line without a line end."""
    file = locate("lines", path, root)
    return Replayed(partial(_lines, file, context.max_value_bytes), context.encode())


def jsonl(context: Context, /, path: str, *, root: str | None = None) -> Replayed:
    """Each line's JSON value; blank lines are passed over. Of repeated names in an object the last counts."""
    file = locate("jsonl", path, root)
    return Replayed(partial(_jsonl, file, context.max_value_bytes), context.encode())


def csv(
    context: Context,
    /,
    path: str,
    *,
    delimiter: str = ",",
    quote: str = '"',
    header: bool = True,
    root: str | None = None,
) -> Replayed:
    r"""Each row as an object of texts, named by the header row; as an array where ``header`` is false.

    Quoting is RFC 4180's: a field in quotes may hold the delimiter, line ends and doubled quotes.
    ``delimiter`` and ``quote`` are one ASCII character each (``"\t"`` reads TSV; a quote of ``""`` turns
    quoting off). The text between quotes is given as it is, line ends too, in the header as in the rows.
    Blank lines are passed over, also those before the header. A row with more or fewer fields than the header
    is a failure. A field holds at most 131,072 characters.
    """
    dialect = _Dialect(_one("csv.delimiter", delimiter), _one("csv.quote", quote, or_none=True))
    if dialect.delimiter == dialect.quote:
        raise SourceInvalid("csv.quote: must not be the delimiter")
    named = boolean("csv.header", header)
    file = locate("csv", path, root)
    table = partial(_csv, file, context.max_value_bytes, dialect, named)
    return Replayed(table, context.encode(), formerly=_with_plain_ends)


def _lines(path: Path, limit: int) -> Iterator[str]:
    with path.open("rb") as file:
        for _, text, _ in _numbered(file, limit):
            yield text


def _jsonl(path: Path, limit: int) -> Iterator[object]:
    with path.open("rb") as file:
        for number, text, _ in _numbered(file, limit):
            if not text.strip(" \t\r"):
                continue
            try:
                value = json.loads(text, parse_constant=_not_json)
            except (ValueError, RecursionError) as error:
                raise ValueRefused(f"line {number} is not JSON: {error}") from error
            yield value


def _csv(path: Path, limit: int, dialect: _Dialect, named: bool) -> Iterator[object]:
    with path.open("rb") as file:
        feed = _Feed(file, limit)
        table = dialect.rows(feed)
        try:
            names: list[str] | None = None
            for row in table:
                feed.row_done()
                if not row:
                    continue
                if named and names is None:
                    names = _header(row, feed.number)
                else:
                    yield row if names is None else _record(names, row, feed.number)
        except rows.Error as error:
            raise ValueRefused(f"line {feed.number}: {error}") from error


def _header(names: list[str], number: int) -> list[str]:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueRefused(f"line {number}: the header has {quoted(twice[0])} more than once")
    return names


def _record(names: list[str], row: list[str], number: int) -> dict[str, str]:
    if len(row) != len(names):
        raise ValueRefused(f"line {number}: the row has {len(row)} fields, the header {len(names)}")
    return dict(zip(names, row, strict=True))


@dataclass(frozen=True, slots=True)
class _Dialect:
    delimiter: str
    quote: str

    def rows(self, lines: Iterator[str]) -> Iterator[list[str]]:
        if self.quote:
            return rows.reader(lines, delimiter=self.delimiter, quotechar=self.quote, strict=True)
        return rows.reader(lines, delimiter=self.delimiter, quoting=rows.QUOTE_NONE, strict=True)


class _Feed(Iterator[str]):
    """The lines of a file for the csv module, with their ends, as of one that is opened with ``newline=""``.

    A row that is spread over lines stays within the limit too.
    """

    def __init__(self, file: BufferedReader, limit: int) -> None:
        self._lines = _numbered(file, limit)
        self._limit = limit
        self._row = 0
        self._pieces: Iterator[str] = iter(())
        self.number = 0

    def __next__(self) -> str:
        for piece in self._pieces:
            return piece
        self.number, text, end = next(self._lines)
        self._row += len(text)
        if self._row > self._limit:
            raise ValueRefused(f"line {self.number}: the row is longer than {self._limit} bytes")
        self._row += 1
        if "\r" not in text:
            return text + end
        self._pieces = iter(_AFTER_CR.split(text + end))
        return next(self._pieces)

    def row_done(self) -> None:
        self._row = 0


def _with_plain_ends(row: Any) -> object:
    """A row as dibs gave it up to release 0.3, which made each CR LF between quotes an LF."""
    if isinstance(row, dict):
        return {_plain(name): _plain(field) for name, field in row.items()}
    return [_plain(field) for field in row]


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _numbered(file: BufferedReader, limit: int) -> Iterator[tuple[int, str, str]]:
    """The lines of ``file`` with their numbers, from 1, and ends; each at most ``limit`` bytes and UTF-8."""
    _pass_mark(file)
    number = 0
    while line := file.readline(limit + 2):  # with CR LF
        number += 1
        end = "\r\n" if line.endswith(b"\r\n") else "\n" if line.endswith(b"\n") else ""
        body = line[: len(line) - len(end)]
        if len(body) > limit:
            raise ValueRefused(f"line {number} is longer than {limit} bytes")
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            raise ValueRefused(
                f"line {number} is not UTF-8: {error.reason} at byte {error.start + 1}"
            ) from error
        yield number, text, end


def _pass_mark(file: BufferedReader) -> None:
    """Pass over a byte order mark; that of another encoding is a failure which names it."""
    first = file.peek(4)
    for name, marks in _OTHER_MARKS.items():
        if first.startswith(marks):
            raise ValueRefused(f"the file is {name}: convert it to UTF-8 first (iconv -f {name} -t UTF-8)")
    if first.startswith(BOM_UTF8):
        file.read(len(BOM_UTF8))


def _not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _one(where: str, value: object, *, or_none: bool = False) -> str:
    """One ASCII character that can't be a part of a line end."""
    text = string(where, value)
    if or_none and not text:
        return text
    if len(text) != 1 or not text.isascii() or text in "\r\n\0":
        raise SourceInvalid(f"{where}: must be one ASCII character, not {text[:20]!r}")
    return text
