"""Blocks in SQLite, their checksums, and what is read of them where pages are damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from ..looks import Kept
from ..state.rows import Block
from .checksum import of_block
from .collected import Collected, write
from .damage import is_damage

INSERT = "INSERT INTO block (queue, first, last, texts, crc, at, caller) VALUES (?, ?, ?, ?, ?, ?, ?)"
FROM = """
SELECT first, last, texts, crc FROM block
WHERE queue = ?1 AND first >= ifnull((SELECT max(first) FROM block WHERE queue = ?1 AND first <= ?2), ?2)
ORDER BY first
"""
ONE_FROM = f"{FROM} LIMIT 1"
AFTER = "SELECT first, last, texts, crc FROM block WHERE queue = ? AND first > ? ORDER BY first LIMIT 1"

# When the value of an item was kept, and who pushed it.
KEPT = """
SELECT at, caller FROM block WHERE queue = ?1 AND last >= ?2
    AND first = (SELECT max(first) FROM block WHERE queue = ?1 AND first <= ?2)
"""

# Of the VFS that keeps checksums of pages (sums.py); where it is not, they do nothing.
PAGE_SUMS_OFF = "PRAGMA checksum_verification = 0"
PAGE_SUMS_ON = "PRAGMA checksum_verification = 1"

# A block is deleted with the last item of it that is inside. Runs don't overlap, so the last one that begins
# in or before the block is the only one to ask.
SWEEP = """
DELETE FROM block
WHERE queue = ?1 AND first <= ?3 AND last >= ?2
    AND first >= ifnull((SELECT max(first) FROM block WHERE queue = ?1 AND first <= ?2), ?2)
    AND ifnull((SELECT run.last FROM run WHERE run.queue = ?1 AND run.first <= block.last
                ORDER BY run.first DESC LIMIT 1), 0) < block.first
"""


class BlockPageDamaged(Exception):
    """A page of the table of blocks fails its checksum. Its rows have their own: read ``carefully``."""


class Blocks:
    """The table of blocks (see :class:`~..state.store.Blocks`).

    ``careful``: pages of blocks are known to be damaged, so that only the checksums of the rows count.
    ``vacated``: ranges of items that are gone, by queue.
    """

    def __init__(self, connection: apsw.Connection, *, careful: bool) -> None:
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._careful = careful
        self._inserted = Collected(connection, INSERT)
        self.collected = (self._inserted,)
        self.vacated: dict[int, list[tuple[int, int]]] = {}

    def insert(self, queue: int, first: int, last: int, texts: bytes, kept: Kept) -> None:
        """A new block."""
        self._inserted.add((queue, first, last, texts, of_block(queue, first, last, texts), *kept))

    def read(self, queue: int, seq: int) -> Iterator[Block]:
        """The blocks from the one on that may have this item; where pages are damaged, one at a time."""
        write(self.collected)
        if self._careful:
            return self._one_by_one(queue, seq)
        return _checked(queue, self._execute, FROM, seq)

    def after(self, queue: int, seq: int) -> Block | None:
        """The next block that begins after this item."""
        write(self.collected)
        if self._careful:
            return self._one(AFTER, queue, seq)
        return next(_checked(queue, self._execute, AFTER, seq), None)

    def gone(self, queue: int, first: int, last: int) -> None:
        """These items are gone: so are blocks that no run overlaps any more."""
        self.vacated.setdefault(queue, []).append((first, last))

    def sweep(self) -> None:
        """Delete the blocks that had values of items that are gone and of no other that is inside."""
        ranges = [(queue, *span) for queue, spans in self.vacated.items() for span in joined(spans)]
        self.vacated.clear()
        if self._careful:
            for span in ranges:
                self._carefully(SWEEP, span)
            return
        try:
            self._executemany(SWEEP, ranges)
        except apsw.Error as error:
            raise _told(error) from error

    def _one_by_one(self, queue: int, seq: int) -> Iterator[Block]:
        while (block := self._one(ONE_FROM, queue, seq)) is not None:
            yield block
            seq = block.last + 1

    def _one(self, statement: str, queue: int, seq: int) -> Block | None:
        return next(_checked(queue, self._carefully, statement, seq), None)

    def _carefully(self, statement: str, values: tuple[int, ...]) -> list[Any]:
        """Run a statement even if the checksums of pages are wrong; as if there were no rows if it can't."""
        self._execute(PAGE_SUMS_OFF)
        try:
            return self._execute(statement, values).fetchall()
        except apsw.CorruptError:
            return []
        finally:
            self._execute(PAGE_SUMS_ON)


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, neighbours as one."""
    spans.sort()
    found = spans[:1]
    for first, last in spans[1:]:
        begin, end = found[-1]
        if first > end + 1:
            found.append((first, last))
        elif last > end:
            found[-1] = begin, last
    return found


def _checked(queue: int, execute: Callable[..., Any], statement: str, seq: int) -> Iterator[Block]:
    try:
        for first, last, texts, crc in execute(statement, (queue, seq)):
            yield Block(first, last, texts, crc == of_block(queue, first, last, texts))
    except apsw.Error as error:
        raise _told(error) from error


def _told(error: apsw.Error) -> Exception:
    return BlockPageDamaged() if is_damage(error) else error
