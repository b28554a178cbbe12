"""The asks of a queue that wait.

An ask that got nothing and may wait is *parked*. It costs nothing until something changes that could serve
it; then the parked asks are tried again, in order of arrival.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable
from operator import attrgetter

from .deadlines import Deadlines
from .waiting import Waiting, items_of


class Parked:
    """The waiting asks of one queue, in order of arrival. Lives on the event loop, which alone touches it.

    It owns their order, their keys and their ``deadlines``. ``late`` is called with each ask whose deadline
    has come, and which is parked no longer. ``by_key`` finds an ask by the caller and the text of its key;
    ``size`` is how many they are, ``wanted`` how many items they ask for in all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[Waiting], None]) -> None:
        self._late = late
        self._order: deque[Waiting] = deque()
        self.deadlines = Deadlines(loop, self._over)
        self.by_key: dict[tuple[str, str], Waiting] = {}
        self.size = 0
        self.wanted = 0

    def add(self, waiting: Waiting) -> None:
        """Park an ask, in its place."""
        waiting.parked = True
        self.size += 1
        self.wanted += items_of(waiting)
        order = self._order
        if not order or order[-1].place < waiting.place:
            order.append(waiting)
        elif order[0].place > waiting.place:
            order.appendleft(waiting)
        else:
            insort(order, waiting, key=attrgetter("place"))
        key = waiting.ask.key
        if key is not None:
            self.by_key[key.caller, key.text] = waiting
        if waiting.noted != waiting.deadline:
            self.deadlines.note(waiting, self.size)

    def remove(self, waiting: Waiting) -> None:
        """Take an ask off the list, wherever it stands."""
        self._unpark(waiting)
        if 2 * self.size < len(self._order):  # the others in it are parked no longer
            self._order = deque([other for other in self._order if other.parked])

    def first(self, most: int) -> list[Waiting]:
        """Take the first asks off the list."""
        found: list[Waiting] = []
        order = self._order
        while order and len(found) < most:
            waiting = order.popleft()
            if waiting.parked:
                self._unpark(waiting)
                found.append(waiting)
        return found

    def all(self) -> list[Waiting]:
        """Take all asks off the list."""
        return self.first(len(self._order))

    def _unpark(self, waiting: Waiting) -> None:
        waiting.parked = False
        self.size -= 1
        self.wanted -= items_of(waiting)
        key = waiting.ask.key
        if key is not None:
            self.by_key.pop((key.caller, key.text), None)

    def _over(self, waiting: Waiting) -> None:
        """End the wait of an ask, as its deadline has come."""
        self.remove(waiting)
        self._late(waiting)
