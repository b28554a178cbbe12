"""A batch: what goes to the disk together, and what it has room for yet."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..ledger.inbox import TakeIn
from ..ledger.serve import Keyed

if TYPE_CHECKING:
    from .round import Round
    from .waiting import Waiting

ASKS_MOST: Final = 1_024
"""Asks of one batch."""
ITEMS_MOST: Final = 10_000
"""Items, and ranges of settlings, of one batch: others wait while its answers are made."""
BYTES_MOST: Final = 16 * 1024 * 1024
"""Bytes of values of one batch."""


class Op(NamedTuple):
    """An op of one caller, and the future that it waits for."""

    op: Any
    future: asyncio.Future[Any]


class Batch:
    """Ops of callers, and rounds of queues, for one transaction. The event loop alone touches it.

    ``asks``, ``items``, ``ranges`` and ``bytes``: what it has room for yet. ``ops`` go to the ledger: those
    of the callers ``others`` first, then those of ``rounds``.
    """

    __slots__ = ("asks", "bytes", "items", "ops", "others", "ranges", "rounds")

    def __init__(self) -> None:
        self.asks = ASKS_MOST
        self.items = self.ranges = ITEMS_MOST
        self.bytes = BYTES_MOST
        self.others: list[Op] = []
        self.rounds: list[Round] = []
        self.ops: list[Any] = []

    @property
    def full(self) -> bool:
        """Whether no further queue can begin a round in it."""
        return self.asks <= 0 or self.items <= 0 or self.bytes <= 0 or self.ranges <= 0

    def add(self, other: Op) -> None:
        """Take in an op of a caller; this comes before all rounds."""
        pushed = other.op.op if isinstance(other.op, Keyed) else other.op
        for parcel in getattr(pushed, "parcels", ()):
            self.bytes -= sum(map(len, parcel.texts))
        if isinstance(pushed, TakeIn):
            self.bytes -= pushed.size
        self.others.append(other)

    def fit(self, asked: list[Waiting]) -> tuple[int, int]:
        """Take in as many of the asks as there is room for, one at least.

        Returns how many these are, and for how many fresh items they ask.
        """
        items = 0
        for count, waiting in enumerate(asked):
            if count and self.full:
                return count, items
            handout, entries = waiting.ask.handout, waiting.ask.entries
            if handout is not None:
                size = 1 if handout.block else handout.most
                if count and size > self.items:
                    return count, items
                self.items -= size
                items += size
            for entry in entries:
                self.ranges -= 1 if entry.seqs is None else len(entry.seqs)
            self.asks -= 1
        return len(asked), items
