"""The changes of one transaction as an owner sends them to the server that keeps a copy of its memory.

They are sent before the transaction is committed, and may be sent in vain. Which of those that were sent with
one number is there is told by their clocks: no two of them have the same (see :class:`~.fence.Position`).

A shipment is its length, its number, its clock and that of the transaction before, then for each table that
is loaded by an owner its name, how many rows are gone, how many arrays of keys and of columns there are, and
these, each with its length. The arrays are those that PostgreSQL gets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct, error
from typing import Final, NamedTuple

from .changes import Packed
from .tables import TABLES

_HEAD: Final = Struct("!Iqqq")
_TABLE: Final = Struct("!BIBB")
_LENGTH: Final = Struct("!I")


class Torn(Exception):
    """What came is no shipment."""


class Shipment(NamedTuple):
    """One transaction: its number, its clock, that of the one ``before``, and what it changes."""

    n: int
    clock: int
    before: int
    changes: list[Packed]


def shipment(n: int, clock: int, before: int, changes: Iterable[Packed]) -> bytes:
    """The bytes of a shipment; tables that no owner loads are left out."""
    parts = [b""]
    for table, less, gone, rows in changes:
        if TABLES[table].loaded:
            name = table.encode()
            parts += [_TABLE.pack(len(name), less, len(gone), len(rows)), name]
            for array in (*gone, *rows):
                parts += [_LENGTH.pack(len(array)), array]
    size = sum(map(len, parts))
    parts[0] = _HEAD.pack(_HEAD.size - _LENGTH.size + size, n, clock, before)
    return b"".join(parts)


class Shipments:
    """Takes shipments out of bytes that come in any pieces."""

    def __init__(self) -> None:
        self._left = b""

    def feed(self, data: bytes) -> Iterator[Shipment]:
        """The shipments that are whole now.

        Raises:
            Torn: what came is no shipment.
        """
        data, at = self._left + data, 0
        try:
            while len(data) - at >= _HEAD.size:
                size, n, clock, before = _HEAD.unpack_from(data, at)
                end = at + _LENGTH.size + size
                if end > len(data):
                    break
                yield Shipment(n, clock, before, list(_changes(data, at + _HEAD.size, end)))
                at = end
        except (error, UnicodeDecodeError, KeyError) as broken:
            raise Torn(str(broken)) from broken
        self._left = data[at:]


def _changes(data: bytes, at: int, end: int) -> Iterator[Packed]:
    while at < end:
        length, less, gone, rows = _TABLE.unpack_from(data, at)
        at += _TABLE.size
        name = data[at : at + length].decode()
        at += length
        arrays = []
        for _ in range(gone + rows):
            [size] = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size
            arrays.append(data[at : at + size])
            at += size
        table = TABLES[name]
        if at > end or gone not in {0, len(table.key)} or rows not in {0, len(table.columns)}:
            raise Torn(f"a change of {name} that this release does not know")
        yield Packed(name, less, arrays[:gone], arrays[gone:])
