"""Columns of values as PostgreSQL takes them: one array for each column, in its binary format.

As `array_recv` reads it (src/backend/utils/adt/arrayfuncs.c): the number of dimensions, whether there are
nulls, the type of the elements; for the one dimension its length and lower bound; each element with its
length, -1 for null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from struct import Struct, unpack_from
from typing import Any, Final

from .tables import Kind

OIDS: Final[dict[Kind, int]] = {"int": 20, "text": 25, "utf8": 17, "bytes": 17}
TYPES: Final[dict[Kind, str]] = {"int": "int8", "text": "text", "utf8": "bytea", "bytes": "bytea"}

_HEAD: Final = Struct("!iiIii")
_INTEGER: Final = Struct("!iq")
_ALONE: Final = Struct("!iiIiiiq")
_LENGTH: Final = Struct("!i")
_NULL: Final = _LENGTH.pack(-1)
_AT_ONCE: Final = 256
"""Integers that are packed by one call."""


def columns_of(columns: Iterable[tuple[str, Kind]]) -> str:
    """The columns, by name, that a SELECT makes of the first parameters: an array for each, all equally long.

    ``SELECT * FROM unnest($1, $2, …)`` makes the same, but writes each array to a store of its own before it
    reads any: to exchange a run for another took PostgreSQL half as long again.
    """
    named = enumerate(columns, 1)
    return ", ".join([f"unnest(${at}::{TYPES[kind]}[]) AS {name}" for at, (name, kind) in named])


def array_of(kind: Kind, values: Sequence[Any]) -> bytes:
    """A column of values, None for null.

    In most columns of a transaction all values are the same, and are encoded once.
    """
    if (
        kind == "int" and len(values) == 1 and values[0] is not None
    ):  # a queue's counters, in each transaction
        return _ALONE.pack(1, 0, OIDS["int"], 1, 1, 8, values[0])
    size, nulls = len(values), None in values
    head = _HEAD.pack(1, nulls, OIDS[kind], size, 1)
    if size and values.count(values[0]) == size:
        return head + _one(kind, values[0]) * size
    if nulls:
        return head + b"".join([_one(kind, value) for value in values])
    if kind == "int":
        return head + _integers(values)
    return head + _texts(values if kind == "bytes" else list(map(str.encode, values)))


def _one(kind: Kind, value: Any) -> bytes:
    if value is None:
        return _NULL
    if kind == "int":
        return _INTEGER.pack(8, value)
    encoded: bytes = value if kind == "bytes" else value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def _integers(values: Sequence[int]) -> bytes:
    size = len(values)
    if size > _AT_ONCE:
        return b"".join([_integers(values[at : at + _AT_ONCE]) for at in range(0, size, _AT_ONCE)])
    both = [8] * (2 * size)
    both[1::2] = values
    return _packing(size).pack(*both)


@cache
def _packing(size: int) -> Struct:
    """Packs so many integers, each behind its length."""
    return Struct("!" + "iq" * size)


def _texts(values: Sequence[bytes]) -> bytes:
    both = [b""] * (2 * len(values))
    both[::2] = map(_LENGTH.pack, map(len, values))
    both[1::2] = values
    return b"".join(both)


def decoded(kind: Kind, value: bytes | None) -> Any:
    """A value in PostgreSQL's binary format; integers are of any width."""
    if value is None or kind == "bytes":
        return value
    return int.from_bytes(value, "big", signed=True) if kind == "int" else value.decode()


def decoder(kind: Kind) -> Callable[[Any], Any] | None:
    """What makes of a value that was read the one that SQLite has; None: it is the same."""
    return _decoded if kind == "utf8" else None


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def values_of(kind: Kind, array: bytes) -> list[Any]:
    """The column of an array, as SQLite takes it; what :func:`array_of` has made of it."""
    _, nulls, _, count, _ = _HEAD.unpack_from(array)
    if kind == "int" and not nulls:
        return list(unpack_from(f"!{'iq' * count}", array, _HEAD.size)[1::2])
    found: list[Any] = []
    at = _HEAD.size
    for _ in range(count):
        [length] = _LENGTH.unpack_from(array, at)
        at += _LENGTH.size
        if length < 0:
            found.append(None)
            continue
        value = array[at : at + length]
        at += length
        if kind == "int":
            found.append(int.from_bytes(value, "big", signed=True))
        else:
            found.append(value if kind == "bytes" else value.decode())
    return found
