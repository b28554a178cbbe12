"""Pushing any iterable: atomic chunks, each with a key of its own, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from app.client import work
from app.client.errors import ClientError, ValueNotJson
from app.client.flow import FULL, Flow, Gather, Terms, persist
from app.client.records import NewItem, PushReport

CHUNK_BYTES: Final = 1024 * 1024
"""A chunk is sent when it has so many bytes, however few items that are."""


class Packer:
    """Makes items of values, and chunks of items.

    Args:
        key: Gives each value its key; None: none has one.
        delay, priority: Of every item.
        chunk: Items of a chunk, at most.
    """

    def __init__(self, key: Callable[[Any], str] | None, delay: float, priority: int, chunk: int) -> None:
        if chunk < 1:
            raise ValueError(f"chunk {chunk}: at least 1 item")
        self.texts: list[str] = []
        self._key = key
        self._delay = delay
        self._priority = priority
        self._chunk = chunk
        self._size = 0
        self._packed = 0

    def add(self, value: Any) -> bool:
        """Pack a value; whether the chunk is full."""
        self._packed += 1
        item = NewItem(value, None if self._key is None else self._key(value), self._delay, self._priority)
        try:
            text = work.item_text(item)
        except ValueNotJson as error:
            error.add_note(f"it is value number {self._packed} of the push")
            raise
        self.texts.append(text)
        self._size += len(text)
        return len(self.texts) >= self._chunk or self._size >= CHUNK_BYTES

    def clear(self) -> None:
        """Begin the next chunk."""
        self.texts = []
        self._size = 0


def push(queue: str, packer: Packer, terms: Terms) -> Flow[PushReport]:
    """Push all values that can be gathered; no more than a chunk of them is in memory.

    While the queue is full (429) the same chunk is sent again, for as long as it takes. The key makes it
    safe: a chunk whose answer was lost is not pushed twice.
    """
    report, more = PushReport(), True
    try:
        while more:
            more = yield Gather(packer.add)
            if packer.texts:
                pushed = yield from persist(work.push(queue, packer.texts), terms, endless=FULL)
                known = sum(item.duplicate for item in pushed)
                report += PushReport(len(pushed) - known, known)
                packer.clear()
    except ClientError as error:
        error.pushed = report
        raise
    return report
