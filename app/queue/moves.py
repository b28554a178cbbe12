"""Which queues have moved since somebody looked last: a look at all costs what has happened since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .line import Line
    from .queue import Queue


class Moved:
    """The queues that have moved since they were taken last, of one who follows them.

    ``rows`` are those that batches touched, ``names`` those that were made, changed or deleted, or whose
    sources had news. ``end`` ends the following.
    """

    def __init__(self, names: Iterable[str], lines: Mapping[int, Line], end: Callable[[Moved], None]) -> None:
        self.names = set(names)
        self.rows: set[int] = set()
        self._lines = lines
        self._end = end

    def take(self) -> set[str]:
        """The names of those that have moved, some of which may be gone by now; at first, of all."""
        names, lines = self.names, self._lines
        names.update([lines[row].name for row in self.rows if row in lines])
        self.names = set()
        self.rows.clear()
        return names

    def end(self) -> None:
        """Follow no more."""
        self._end(self)


class Moves:
    """Tells those who follow which queues have moved. Lives on the event loop, which alone touches it.

    What changes a count of a meter or the state of a queue is told in the same step of the loop, or in a
    later one. ``touched`` are the rows of each follower, into which the rounds put what their batches touch.
    """

    def __init__(self, queues: Mapping[str, Queue], lines: Mapping[int, Line]) -> None:
        self.touched: list[set[int]] = []
        self._queues = queues
        self._lines = lines
        self._following: list[Moved] = []

    def follow(self) -> Moved:
        """Follow what moves from now on."""
        moved = Moved(self._queues, self._lines, self._ended)
        self._following.append(moved)
        self.touched.append(moved.rows)
        return moved

    def _ended(self, moved: Moved) -> None:
        if moved in self._following:
            at = self._following.index(moved)
            del self._following[at], self.touched[at]

    def changed(self, name: str) -> None:
        """Tell of a queue that was made, changed or deleted."""
        for moved in self._following:
            moved.names.add(name)

    def news_of(self, name: str, news: Callable[[], None]) -> None:
        """Tell of a queue whose source has news, and let the queue look."""
        self.changed(name)
        news()
