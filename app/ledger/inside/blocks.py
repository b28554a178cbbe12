"""Blocks: the values of consecutive items, where they can't be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..ops import OpFailed
from . import sql

PAGE = 3_900
"""Bytes of values in a block, so that its row fits a page of the database; one value may be larger."""

Execute = Callable[..., Any]


def size(text: str) -> int:
    """Bytes of a JSON text."""
    return len(text) if text.isascii() else len(text.encode())


def write(executemany: Execute, queue: int, first: int, texts: Sequence[str]) -> None:
    """Keep the values of the items from ``first`` on."""
    executemany(sql.BLOCK, _rows(queue, first, texts))


def _rows(queue: int, first: int, texts: Sequence[str]) -> Iterator[tuple[int, int, int, str]]:
    begin = room = 0
    for at, text in enumerate(texts):
        needed = size(text) + 1
        if needed > room:
            if at > begin:
                yield queue, first + begin, first + at - 1, _joined(texts[begin:at])
            begin, room = at, PAGE
        room -= needed
    yield queue, first + begin, first + len(texts) - 1, _joined(texts[begin:])


def _joined(texts: Sequence[str]) -> str:
    """One a line. A line break in JSON is white space between tokens, where a space says the same."""
    joined = "\n".join(texts)
    if joined.count("\n") < len(texts):
        return joined
    return "\n".join([text.replace("\n", " ") for text in texts])


def sweep(execute: Execute, queue: int, gone: list[tuple[int, int]]) -> None:
    """Delete the blocks that had values of these items and of no other that is inside."""
    gone.sort()
    begin, end = gone[0]
    for first, last in gone:
        if first > end + 1:
            execute(sql.SWEEP, (queue, begin, end))
            begin = first
        end = max(end, last)
    execute(sql.SWEEP, (queue, begin, end))


class BlocksLost(OpFailed):
    """The ledger is damaged: an item's value is not where it was kept."""


class Reader:
    """The kept values of one queue; quick where they are asked for in the order of seqs.

    It gives ``room`` bytes of them altogether, but one value at least.
    """

    __slots__ = ("_ahead", "_ascii", "_execute", "_first", "_last", "_lines", "_queue", "_size", "room")

    def __init__(self, execute: Execute, queue: int, room: int) -> None:
        self._execute = execute
        self._queue = queue
        self._ahead: Iterator[Any] | None = None
        self._first, self._last = 1, 0  # the block at hand
        self._lines: list[str] = []
        self._size = 0
        self._ascii = True
        self.room = room

    def read(self, first: int, last: int, *, one: bool) -> list[str]:
        """The values from ``first`` on, up to ``last`` or while there is room; ``one``: at least one."""
        texts: list[str] = []
        while first <= last:
            if not self._first <= first <= self._last:
                self._go(first)
            part = self._lines[first - self._first : last - self._first + 1]
            needed = self._size if len(part) == len(self._lines) else self._bytes(part)
            if needed > self.room:
                return texts + self._fitting(part, one=one and not texts)
            self.room -= needed
            texts += part
            first += len(part)
        return texts

    def _fitting(self, part: list[str], *, one: bool) -> list[str]:
        for at, text in enumerate(part):
            needed = size(text)
            if needed > self.room and not (one and at == 0):
                return part[:at]
            self.room -= needed
        return part

    def _bytes(self, part: list[str]) -> int:
        return sum(map(len if self._ascii else size, part))

    def _go(self, seq: int) -> None:
        """To the block that has this item: the next one, as a rule."""
        if self._ahead is None or seq != self._last + 1:
            self._ahead = iter(self._execute(sql.BLOCKS, (self._queue, seq)))
        found = next(self._ahead, None)
        if found is None or not found[0] <= seq <= found[1]:
            raise BlocksLost(f"the value of item {seq} is lost")
        self._first, self._last, text = found
        self._lines = text.split("\n")
        if len(self._lines) != self._last - self._first + 1:
            raise BlocksLost(f"the values of items {self._first} to {self._last} are damaged")
        self._ascii = text.isascii()
        self._size = self._bytes(self._lines)
