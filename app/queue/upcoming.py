"""The asks of a queue that join its next round."""

from __future__ import annotations

from bisect import insort
from operator import attrgetter
from typing import Final

from .waiting import Waiting, items_of

_place: Final = attrgetter("place")


class Upcoming:
    """The asks that join the next round, in the order of their places. The event loop alone touches it.

    ``wanted``: for how many items of a source that is ``drawn`` they ask; of one key those of one ask.
    """

    __slots__ = ("_asks", "_drawn", "_dropped", "_keys", "wanted")

    def __init__(self, *, drawn: bool) -> None:
        self._drawn = drawn
        self._asks: list[Waiting] = []
        self._dropped = False  # whether some of them were
        self._keys: set[tuple[str, str]] = set()
        self.wanted = 0

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, waiting: Waiting) -> None:
        """Add an ask; one that is sent again has the place of the one before."""
        waiting.asked = True
        asks = self._asks
        if asks and asks[-1].place > waiting.place:
            insort(asks, waiting, key=_place)
        else:
            asks.append(waiting)
        if self._drawn:
            self._want(waiting)

    def _want(self, waiting: Waiting) -> None:
        """Count the items of an ask, unless another of its key asks for them already."""
        key = waiting.ask.key
        if key is not None:
            if (key.caller, key.text) in self._keys:
                return
            self._keys.add((key.caller, key.text))
        self.wanted += items_of(waiting)

    def drop(self) -> None:
        """Note that an ask was dropped: many may be at once, and the list is cleared once."""
        self._dropped = True

    def take(self) -> list[Waiting]:
        """Take all asks, but for those that were dropped."""
        asks, self._asks = self._asks, []
        if self._dropped:
            self._dropped = False
            asks = [waiting for waiting in asks if not waiting.done]
        if self._drawn:
            self.wanted = 0
            self._keys.clear()
        for waiting in asks:
            waiting.asked = False
        return asks


def in_order(some: list[Waiting], others: list[Waiting]) -> list[Waiting]:
    """All of these asks in the order of their places."""
    return sorted([*some, *others], key=_place)
