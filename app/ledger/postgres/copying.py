"""Whole tables between the two kinds of ledgers: rows in the binary format of COPY, counted and summed.

Each side makes the same bytes of a row: here from SQLite's values, in PostgreSQL by the send functions of its
types. So the sum of a table over the hashes of its rows is the same on both sides if and, but for one chance
in 2^64, only if the same rows are there. See https://www.postgresql.org/docs/current/sql-copy.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import sha256
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .loading import rows
from .tables import TABLES, Kind, Table

if TYPE_CHECKING:
    import psycopg

    Session = psycopg.Connection[Any]

WHOLE: Final = {
    **TABLES,
    "history": TABLES["history"]._replace(columns={"id": "int", **TABLES["history"].columns}),
}
"""All tables as they are moved: the rows of the history keep their numbers, by which they are paged."""
PIECE: Final = 256 * 1024
"""Bytes of rows that go out together."""

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = Struct("!i").pack

Encode = Callable[[Any], bytes]


class Sum(NamedTuple):
    """How many rows a table has, and the sum of their hashes."""

    rows: int
    digest: int


class Layout(NamedTuple):
    """A table: its columns as they are in SQLite, and the types that they have in PostgreSQL."""

    table: Table
    types: dict[str, str]

    def encoder(self) -> Encode:
        """What makes of a row the bytes that COPY takes."""
        fields = [_field(self.types[column], kind) for column, kind in self.table.columns.items()]
        head = len(fields).to_bytes(2, "big")

        def encode(row: Iterable[Any]) -> bytes:
            return head + b"".join(
                [_NULL if value is None else field(value) for field, value in zip(fields, row, strict=True)]
            )

        return encode

    def encoded(self) -> str:
        """The same bytes, made in SQL."""
        head = f"'\\x{len(self.table.columns):04x}'::bytea"
        return " || ".join(
            [head, *[_SENT[self.types[column]].format(column) for column in self.table.columns]]
        )


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _bytes(value: bytes) -> bytes:
    return _LENGTH(len(value)) + value


_INTEGERS: Final[dict[str, Encode]] = {
    "smallint": partial(Struct("!ih").pack, 2),
    "integer": partial(Struct("!ii").pack, 4),
    "bigint": partial(Struct("!iq").pack, 8),
}
_OR_NULL: Final = "CASE WHEN {{0}} IS NULL THEN '\\xffffffff'::bytea ELSE {} END"
_SENT: Final = {
    "smallint": _OR_NULL.format("'\\x00000002'::bytea || int2send({0})"),
    "integer": _OR_NULL.format("'\\x00000004'::bytea || int4send({0})"),
    "bigint": _OR_NULL.format("'\\x00000008'::bytea || int8send({0})"),
    "text": _OR_NULL.format("int4send(octet_length({0})) || textsend({0})"),
    "bytea": _OR_NULL.format("int4send(octet_length({0})) || {0}"),
}


def _field(type_: str, kind: Kind) -> Encode:
    return _INTEGERS[type_] if kind == "int" else _bytes if kind == "bytes" else _text


_TYPES: Final = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""


def layouts(session: Session) -> list[Layout]:
    """All tables of the ledger that is there."""
    return [Layout(table, dict(session.execute(_TYPES, (name,)).fetchall())) for name, table in WHOLE.items()]


def copy_in(session: Session, layout: Layout, rows: Iterable[Any], told: Callable[[int], None]) -> Sum:
    """Copy rows into a table; how many they were, and their sum. ``told``: how many there are so far."""
    table, encode = layout.table, layout.encoder()
    count = digest = size = 0
    piece: list[bytes] = []
    copied = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT binary)"
    with session.cursor() as cursor, cursor.copy(copied.encode()) as copy:
        copy.write(_HEADER)
        for row in rows:
            encoded = encode(row)
            count += 1
            digest += hash_of(encoded)
            piece.append(encoded)
            size += len(encoded)
            if size >= PIECE:
                copy.write(b"".join(piece))
                piece.clear()
                size = 0
                told(count)
        copy.write(b"".join([*piece, _TRAILER]))
    told(count)
    return Sum(count, digest)


def copy_out(session: Session, layout: Layout, told: Callable[[int], None]) -> Iterator[list[Any]]:
    """All rows of a table, as SQLite takes them."""
    count = 0
    for row in rows(session, layout.table):
        yield row
        count += 1
        if count % 1_000 == 0:
            told(count)
    told(count)


def hash_of(encoded: bytes) -> int:
    """The hash of a row, a signed number of 64 bits."""
    return int.from_bytes(sha256(encoded).digest()[:8], "big", signed=True)


def sum_of(layout: Layout, rows: Iterable[Any]) -> Sum:
    """The sum of rows that SQLite has."""
    count, encode = 0, layout.encoder()
    digest = 0
    for row in rows:
        count += 1
        digest += hash_of(encode(row))
    return Sum(count, digest)


def sum_there(session: Session, layout: Layout) -> Sum:
    """The sum of a table in PostgreSQL, made there."""
    hashed = f"encode(sha256({layout.encoded()}), 'hex')"
    number = f"('x' || left({hashed}, 16))::bit(64)::int8"
    asked = f"SELECT count(*), coalesce(sum({number}), 0)::text FROM {layout.table.name}"
    [(count, digest)] = session.execute(asked.encode()).fetchall()
    return Sum(count, int(digest))
