"""Pushing any iterable: atomic chunks, each with a key of its own, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from . import calls
from .errors import ClientError, LimitExceeded, QueueFull, ServerRefused
from .flow import Flow, Gather, Terms
from .persist import FULL, persist
from .records import NewItem, Pushed, PushReport
from .text import Default

CHUNK_BYTES: Final = 1024 * 1024
"""A chunk of so many bytes is sent, however few items it has."""


@dataclass
class Packer:
    """Makes items of values, and chunks of items.

    Attributes:
        key: Gives each value its key; None: none has one.
        delay, priority: The delay and the priority of every item.
        chunk: Items of a chunk, at most; it may be made smaller under way.
        default: Makes a JSON value of a value that JSON can't carry.
        texts: The items of the chunk that is being packed.
    """

    key: Callable[[Any], str] | None
    delay: float
    priority: int
    chunk: int
    default: Default | None = None
    texts: list[str] = field(default_factory=list)
    _size: int = 0
    _packed: int = 0

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk {self.chunk}: at least 1 item")

    def add(self, value: Any) -> bool:
        """Pack a value; return whether the chunk is full."""
        item = NewItem(value, None if self.key is None else self.key(value), self.delay, self.priority)
        text = calls.item_text(self._packed, item, self.default)
        self._packed += 1
        self.texts.append(text)
        self._size += len(text)
        return len(self.texts) >= self.chunk or self._size >= CHUNK_BYTES

    def take(self) -> list[str]:
        """Take the chunk, if it has any item, and begin the next one."""
        texts, self.texts, self._size = self.texts, [], 0
        return texts


def push(
    queue: str, values: Iterable[Any] | AsyncIterable[Any], packer: Packer, terms: Terms
) -> Flow[PushReport]:
    """Push all values that arrive; no more than a chunk of them is in memory.

    While the queue is full (429) the same chunk is sent again, for as long as it takes. The key makes it
    safe: a chunk whose answer was lost is not pushed twice. A chunk that is larger than the queue may ever
    be, or than the server's limits let a request be, is cut.
    """
    if isinstance(values, str | bytes | bytearray):
        raise TypeError(
            f"push takes an iterable of values, not one {type(values).__name__}: push([x]) or put(x)"
        )
    source = aiter(values) if isinstance(values, AsyncIterable) else iter(values)
    report, more = PushReport(), True
    try:
        while more:
            more = yield Gather(source, packer.add)
            texts = packer.take()
            while texts:
                pushed = yield from _send(queue, texts, packer, terms)
                known = sum(item.duplicate for item in pushed)
                report += PushReport(len(pushed) - known, known)
                del texts[: len(pushed)]
    except ClientError as error:
        error.pushed = report
        raise
    return report


def _send(queue: str, texts: list[str], packer: Packer, terms: Terms) -> Flow[list[Pushed]]:
    """Push the first chunk of these items; none of them if the chunk must be cut first."""
    chunk = texts[: packer.chunk]
    try:
        return (
            yield from persist(calls.push(queue, chunk), terms, endless=FULL, vain=never_fits(len(chunk)))
        )
    except ServerRefused as refused:
        packer.chunk = fewer(refused, len(chunk))
        if not packer.chunk:
            raise
        return []


def fewer(refused: ServerRefused, items: int) -> int:
    """How many items to push at once instead of so many; 0 where that is not why they were refused.

    A queue that never takes so many gets half of what may wait in it, so that consumers and producers work
    side by side.
    """
    less = 0
    if isinstance(refused, QueueFull):
        less = max(1, _room(refused) // 2)
    elif refused.problem.name == "body-too-large":
        less = items // 2
    elif isinstance(refused, LimitExceeded) and refused.field == "items":
        less = refused.most
    return less if less < items else 0


def never_fits(items: int) -> Callable[[ServerRefused], bool]:
    """Whether a queue refuses so many items at once even when it is empty."""
    return lambda refused: isinstance(refused, QueueFull) and 0 < _room(refused) < items


def _room(full: ServerRefused) -> int:
    """How many items may wait in the queue, if it has such a limit."""
    return full.limit if isinstance(full.limit, int) else 0
