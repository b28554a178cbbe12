"""Asks of callers, and the list of those of a queue that wait.

An ask that got nothing and may wait is *parked*. It costs nothing until something changes that could serve
it; then the parked asks are tried again, in order of arrival.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Protocol

from ..ledger.serve import Ask
from ..ledger.work import Settled

if TYPE_CHECKING:
    from .callers import Caller

FIRST_TRIES: Final = 64
"""Parked asks that are tried again at first; twice as many each time while all of them were served."""

_places = count()


class Home(Protocol):
    """The line in which an ask stands."""

    def end(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.end`."""

    def drop(self, waiting: Waiting) -> None:
        """See :meth:`Waiting.drop`."""


class Waiting:
    """One ask of a caller, from its arrival to its answer. The event loop alone touches it.

    ``line`` is where it stands: another one once its queue was defined anew. ``until`` is when its own wait
    ends, ``deadline`` when it is answered at the latest, both in the loop's time. ``place`` is its turn among
    all asks. ``entries``: what became of its settlings, which are on disk. ``why``: the reason for which it
    waits. ``alone``: it is a hand-out with nothing settled. ``over``: its caller waits no longer. ``noted``:
    the deadline under which the list of those that wait has it. ``asked``: it is in the line for the next
    round. ``done``: it has its answer.
    """

    __slots__ = (
        "alone",
        "ask",
        "asked",
        "began",
        "caller",
        "deadline",
        "done",
        "entries",
        "line",
        "noted",
        "over",
        "parked",
        "place",
        "until",
        "why",
    )

    def __init__(self, line: Home, ask: Ask, caller: Caller, now: float, wait: float) -> None:
        self.line = line
        self.ask = ask
        self.caller = caller
        self.began = now
        self.until = self.deadline = now + wait
        self.place = next(_places)
        self.entries: tuple[tuple[Settled, ...], ...] = ()
        self.why = "empty"
        self.alone = not ask.entries
        self.noted = 0.0
        self.over = self.parked = self.asked = self.done = False

    def end(self) -> None:
        """End the wait, as the caller sends nothing more: ask once more without waiting, and answer."""
        self.line.end(self)

    def drop(self) -> None:
        """Drop the ask, as its caller has gone; what it settles is settled all the same."""
        self.line.drop(self)


class Parked:
    """The waiting asks of one queue, in order of arrival. Lives on the event loop, which alone touches it.

    It owns their order, their keys and their deadlines, with the one timer for these. ``late`` is called with
    each ask whose deadline has come, and which is parked no longer. ``by_key`` finds an ask by the caller and
    the text of its key; ``size`` is how many they are, ``wanted`` how many items they ask for in all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, late: Callable[[Waiting], None]) -> None:
        self._loop = loop
        self._late = late
        self._order: deque[Waiting] = deque()
        self._deadlines: list[tuple[float, int, Waiting]] = []
        self._timer: asyncio.TimerHandle | None = None
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
            self._note(waiting)

    def _note(self, waiting: Waiting) -> None:
        """Note a deadline; what asks have left behind is forgotten before it is most of the list."""
        deadlines = self._deadlines
        if len(deadlines) > 2 * len(self._order) + FIRST_TRIES:
            for entry in deadlines:
                if not _due(entry) and entry[2].noted == entry[0]:
                    entry[2].noted = 0.0  # it is being tried, and may come back
            deadlines[:] = [entry for entry in deadlines if _due(entry)]
            heapify(deadlines)
        waiting.noted = waiting.deadline
        heappush(deadlines, (waiting.deadline, waiting.place, waiting))
        if deadlines[0][2] is waiting:
            self._arm()

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

    def _arm(self) -> None:
        self.close()
        if self._deadlines:
            self._timer = self._loop.call_at(self._deadlines[0][0], self._look)

    def _look(self) -> None:
        """End the waits that are over; an ask that was served meanwhile has left its deadline behind."""
        now, deadlines = self._loop.time(), self._deadlines
        self._timer = None
        while deadlines and (deadlines[0][0] <= now or not _due(deadlines[0])):
            entry = heappop(deadlines)
            if entry[2].noted == entry[0]:
                entry[2].noted = 0.0
            if _due(entry):
                self.remove(entry[2])
                self._late(entry[2])
        self._arm()

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _due(entry: tuple[float, int, Waiting]) -> bool:
    """Whether this deadline is still that of a parked ask."""
    deadline, _, waiting = entry
    return waiting.parked and waiting.deadline == deadline


def items_of(waiting: Waiting) -> int:
    """How many items an ask wants."""
    handout = waiting.ask.handout
    return 0 if handout is None else handout.most
