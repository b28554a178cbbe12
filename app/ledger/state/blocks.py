"""Blocks: the values of consecutive items, where they can't be computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..looks import Kept
from .rows import Block
from .store import Blocks

PAGE = 3_900
"""Bytes of values in a block, so that its row fits a page of the database; one value may be larger."""

MOST = 2**63 - 1
"""The largest seq."""


def size(text: str) -> int:
    """Bytes of a JSON text."""
    return len(text) if text.isascii() else len(text.encode())


def write(blocks: Blocks, queue: int, first: int, texts: Sequence[str], kept: Kept) -> None:
    """Keep the values of the items from ``first`` on."""
    begin = room = 0
    for at, text in enumerate(texts):
        needed = size(text) + 1
        if needed > room:
            if at > begin:
                blocks.insert(queue, first + begin, first + at - 1, joined(texts[begin:at]).encode(), kept)
            begin, room = at, PAGE
        room -= needed
    blocks.insert(queue, first + begin, first + len(texts) - 1, joined(texts[begin:]).encode(), kept)


def joined(texts: Sequence[str]) -> str:
    """The texts, one per line. A line break in JSON is white space between tokens, so it becomes a space."""
    together = "\n".join(texts)
    if together.count("\n") < len(texts):
        return together
    return "\n".join([text.replace("\n", " ") for text in texts])


class BlocksDamaged(Exception):
    """The values of the items ``first`` to ``last`` are lost, or are not what was kept."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


class Reader:
    """The kept values of one queue; quick where they are asked for in the order of seqs.

    It gives ``room`` bytes of them altogether, but one value at least.
    """

    def __init__(self, blocks: Blocks, queue: int, room: int) -> None:
        self._blocks = blocks
        self._queue = queue
        self._ahead: Iterator[Block] | None = None
        self._first, self._last = 1, 0  # the block at hand
        self._lines: list[str] = []
        self._size = 0
        self._ascii = True
        self.room = room

    def read(self, first: int, last: int, *, one: bool) -> list[str]:
        """The values from ``first`` on, up to ``last`` or while there is room; ``one``: at least one.

        Before a damaged block it stops.

        Raises:
            BlocksDamaged: The first of them is in one.
        """
        texts: list[str] = []
        while first <= last:
            if not self._first <= first <= self._last:
                try:
                    self._go(first)
                except BlocksDamaged:
                    if texts:
                        return texts
                    raise
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
        """Go to the block that has this item: the next one, as a rule."""
        if self._ahead is None or seq != self._last + 1:
            self._ahead = self._blocks.read(self._queue, seq)
        block = next(self._ahead, None)
        if block is None or not block.sound or not block.first <= seq <= block.last:
            raise BlocksDamaged(seq, self._end(seq))
        self._first, self._last = block.first, block.last
        text = block.texts.decode()
        self._lines = text.split("\n")
        self._ascii = text.isascii()
        self._size = self._bytes(self._lines)

    def _end(self, seq: int) -> int:
        """The last item of the damaged block that has this one: up to where a sound one begins."""
        self._ahead = None
        block = self._blocks.after(self._queue, seq)
        if block is None:
            return MOST
        return block.first - 1 if block.sound else seq
