"""Blocks: the values of consecutive items, where they can't be computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apsw

from ..checksum import of_block
from ..sqlite import run_statements as sql
from ..sqlite.damage import is_damage

PAGE = 3_900
"""Bytes of values in a block, so that its row fits a page of the database; one value may be larger."""

MOST = 2**63 - 1
"""The largest seq."""

Execute = Callable[..., Any]


def size(text: str) -> int:
    """Bytes of a JSON text."""
    return len(text) if text.isascii() else len(text.encode())


def write(executemany: Execute, queue: int, first: int, texts: Sequence[str]) -> None:
    """Keep the values of the items from ``first`` on."""
    executemany(sql.BLOCK, _rows(queue, first, texts))


def _rows(queue: int, first: int, texts: Sequence[str]) -> Iterator[tuple[int, int, int, bytes, int]]:
    begin = room = 0
    for at, text in enumerate(texts):
        needed = size(text) + 1
        if needed > room:
            if at > begin:
                yield _row(queue, first + begin, first + at - 1, texts[begin:at])
            begin, room = at, PAGE
        room -= needed
    yield _row(queue, first + begin, first + len(texts) - 1, texts[begin:])


def _row(queue: int, first: int, last: int, texts: Sequence[str]) -> tuple[int, int, int, bytes, int]:
    joined = _joined(texts).encode()
    return queue, first, last, joined, of_block(queue, first, last, joined)


def _joined(texts: Sequence[str]) -> str:
    """The texts, one per line. A line break in JSON is white space between tokens, so it becomes a space."""
    joined = "\n".join(texts)
    if joined.count("\n") < len(texts):
        return joined
    return "\n".join([text.replace("\n", " ") for text in texts])


def sweep(execute: Execute, queue: int, gone: list[tuple[int, int]]) -> None:
    """Delete the blocks that had values of these items and of no other that is inside."""
    gone.sort()
    begin, end = gone[0]
    try:
        for first, last in gone:
            if first > end + 1:
                execute(sql.SWEEP, (queue, begin, end))
                begin = first
            end = max(end, last)
        execute(sql.SWEEP, (queue, begin, end))
    except apsw.Error as error:
        if not is_damage(error):
            raise
        raise BlockPageDamaged from error


class BlockPageDamaged(Exception):
    """A page of the table of blocks fails its checksum. Its rows have their own: read ``carefully``."""


class BlocksDamaged(Exception):
    """The values of the items ``first`` to ``last`` are lost, or are not what was kept."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(first, last)
        self.first = first
        self.last = last


def carefully(execute: Execute) -> Execute:
    """Run statements on blocks even if the checksums of their pages are wrong."""

    def run(statement: str, values: Any) -> Any:
        execute(sql.PAGE_SUMS_OFF)
        try:
            return iter(execute(statement, values).fetchall())
        except apsw.CorruptError:
            return iter(())  # as if there were none
        finally:
            execute(sql.PAGE_SUMS_ON)

    return run


class Reader:
    """The kept values of one queue; quick where they are asked for in the order of seqs.

    It gives ``room`` bytes of them altogether, but one value at least. ``careful``: pages of blocks are known
    to be damaged, so that only the checksums of the rows count.
    """

    __slots__ = (
        "_ahead",
        "_ascii",
        "_execute",
        "_first",
        "_last",
        "_lines",
        "_queue",
        "_size",
        "_statement",
        "room",
    )

    def __init__(self, execute: Execute, queue: int, room: int, *, careful: bool = False) -> None:
        self._execute = carefully(execute) if careful else execute
        self._statement = sql.ONE_BLOCK if careful else sql.BLOCKS
        self._queue = queue
        self._ahead: Iterator[Any] | None = None
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
            BlockPageDamaged: A page of blocks is damaged, and this reader is not careful.
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
        found = self._found(seq)
        if found is None or not found[0] <= seq <= found[1] or found[3] != of_block(self._queue, *found[:3]):
            raise BlocksDamaged(seq, self._end(seq))
        self._first, self._last, kept, _ = found
        text = kept.decode()
        self._lines = text.split("\n")
        self._ascii = text.isascii()
        self._size = self._bytes(self._lines)

    def _found(self, seq: int) -> Any:
        try:
            if self._ahead is None or seq != self._last + 1:
                self._ahead = iter(self._execute(self._statement, (self._queue, seq)))
            found = next(self._ahead, None)
            if found is None:  # one at a time, or there was none
                self._ahead = iter(self._execute(self._statement, (self._queue, seq)))
                found = next(self._ahead, None)
        except apsw.Error as error:
            if not is_damage(error):
                raise
            raise BlockPageDamaged from error
        return found

    def _end(self, seq: int) -> int:
        """The last item of the damaged block that has this one: up to where a sound one begins."""
        self._ahead = None
        found = next(iter(self._execute(sql.NEXT_BLOCK, (self._queue, seq))), None)
        if found is None:
            return MOST
        sound: bool = found[3] == of_block(self._queue, *found[:3])
        return found[0] - 1 if sound else seq
