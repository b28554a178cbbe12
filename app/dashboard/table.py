"""The queues that somebody may see, sorted by trouble, with their sums: only what moved is changed in it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Sequence
from operator import add, sub
from typing import TYPE_CHECKING, Final, NamedTuple

from ..ledger.sights import Inside
from ..queue.meters import Traffic
from ..queue.statistics import Sees, everything

if TYPE_CHECKING:
    from ..queue import Queue
    from .recorder import Track

FAILED, DEAD, PAUSED, OLD, WELL, ENDED = range(6)
"""The troubles by which queues are sorted, the worst first."""

Trouble = tuple[int, float, str]
"""What a queue is sorted by: its trouble, how bad that is (less is worse), its name."""


class Sums(NamedTuple):
    """What is added up over queues: items inside, deaths within the hour, counts of the last ten seconds."""

    inside: Inside = Inside(0, 0, 0)
    died: int = 0
    traffic: Traffic = Traffic()

    def plus(self, other: Sums) -> Sums:
        """With those of a queue that has come."""
        inside = Inside._make(map(add, self.inside, other.inside))
        return Sums(inside, self.died + other.died, self.traffic.plus(other.traffic))

    def minus(self, other: Sums) -> Sums:
        """Without those of a queue that has gone."""
        inside = Inside._make(map(sub, self.inside, other.inside))
        return Sums(inside, self.died - other.died, self.traffic.minus(other.traffic))


class Seen:
    """One queue as it was seen last. ``due``: since when the first item waits, in ledger milliseconds.

    ``row``: how it is written in the table, and the step of its line for which that holds.
    """

    __slots__ = ("due", "inside", "queue", "row", "state", "sums", "track", "trouble")

    def __init__(
        self,
        trouble: Trouble,
        queue: Queue,
        track: Track,
        *,
        state: str,
        inside: Inside,
        due: int | None,
        sums: Sums,
    ) -> None:
        self.trouble = trouble
        self.queue = queue
        self.track = track
        self.state = state
        self.inside = inside
        self.due = due
        self.sums = sums
        self.row: tuple[int, str] | None = None

    @property
    def well(self) -> bool:
        """Whether nothing is to be said of it."""
        return self.trouble[0] >= WELL


NONE: Final = Sums()


class Table:
    """The queues that somebody ``sees``. Lives on the event loop, which alone touches it.

    It owns their ``order``, and what is known of all of them together: ``sums``, ``states``, how many are in
    trouble, and of those where something waits since when: ``dues``.
    """

    def __init__(self, sees: Sees = everything) -> None:
        self.sees = sees
        self.seen: dict[str, Seen] = {}
        self.order: list[Trouble] = []
        self.sums = NONE
        self.states: Counter[str] = Counter()
        self.troubled = 0
        self.dues: dict[str, int] = {}

    def put(self, seen: Seen) -> None:
        """Put a queue in its place, as it is now."""
        name = seen.trouble[2]
        before = self.seen.get(name)
        if before is None or before.trouble != seen.trouble:
            self.drop(name)
            insort(self.order, seen.trouble)
            self._count(1, seen)
        else:
            self._count(-1, before)
            self._count(1, seen)
        self.seen[name] = seen
        if seen.due is None:
            self.dues.pop(name, None)
        else:
            self.dues[name] = seen.due

    def drop(self, name: str) -> None:
        """Drop a queue that has gone."""
        before = self.seen.pop(name, None)
        if before is not None:
            del self.order[bisect_left(self.order, before.trouble)]
            self.dues.pop(name, None)
            self._count(-1, before)

    def _count(self, sign: int, seen: Seen) -> None:
        self.states[seen.state] += sign
        self.troubled += sign * (not seen.well)
        if seen.sums is not NONE:
            self.sums = self.sums.plus(seen.sums) if sign > 0 else self.sums.minus(seen.sums)

    def first(self, after: int, most: int) -> Sequence[Seen]:
        """Some of the queues, in order."""
        return [self.seen[name] for _, _, name in self.order[after : after + most]]
