"""Checksums of the rows that hold values and answers, so that a row changed on the disk is never served.

A page has a sum of its own (see ``sums.py``). These go with the row: they hold where a page's sum can't be
had, in the log too, and they tell which item is damaged, so that the others can go on.
"""

from __future__ import annotations

from zlib import crc32


def of_block(queue: int, first: int, last: int, texts: bytes) -> int:
    """The CRC-32 of a block: its values, their queue and their seqs."""
    return crc32(texts, crc32(b"%d %d %d" % (queue, first, last)))


def of_answer(  # noqa: PLR0917  # the columns of a row, in their order
    queue: int,
    generation: int,
    caller: str,
    key: str,
    request: str,
    outcome: str,
    values: str | None,
    expires: int,
    n: int = 0,
) -> int:
    """The CRC-32 of all columns of a filed answer; without a sequence it is that of formats before 4."""
    number = f"\0{n}" if n else ""
    row = f"{queue}\0{generation}\0{caller}\0{key}\0{request}\0{outcome}\0{values}\0{expires}{number}"
    return crc32(row.encode())
