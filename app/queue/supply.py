"""Where a queue's fresh items come from: nowhere (pushed), a computed source, or a source that is drawn from.

A computed source gives value n for seq n. So the ledger grants seqs first, and their values are then pulled
from the shared generator, which stands there. Other sources are drawn before they are granted
(``feeder.py``).
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from ..iterators import IteratorStats
from ..ledger.serve import After, Drawn
from ..sources import MAX_SEQ, Registry, Source, SourceSpec, Values
from .pull import numbers
from .values import Computing

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow

Times = deque[float]


class Supply(Protocol):
    """Gives a queue its fresh items.

    ``waits`` and ``holds``: seconds until a pull had its turn, and that it took.
    """

    waits: Times
    holds: Times

    @property
    def ready(self) -> bool:
        """Whether a round may grant fresh items now, or record an end."""

    @property
    def end_pending(self) -> bool:
        """Whether the source has ended, all its values are granted, and the ledger does not know it yet."""

    @property
    def starting(self) -> bool:
        """Whether the source is not open yet."""

    @property
    def drawn(self) -> bool:
        """Whether values are drawn before they are granted, so that an ask may have to be patient."""

    @property
    def keeps_mark(self) -> bool:
        """Whether the source goes on above its last value, whatever its seq."""

    @property
    def pulling(self) -> bool:
        """Whether a pull runs."""

    @property
    def threads(self) -> int:
        """Threads that open the source or pull."""

    @property
    def buffered(self) -> int:
        """Values that were drawn and are not granted yet."""

    def offer(self, items: int) -> tuple[Drawn | None, int | None]:
        """What a round may grant for so many items asked for: drawn values, or a computed source's length."""

    def granted(self, first: int, size: int) -> Values | None:
        """The values of fresh items that were granted, in order, bare; None where the ledger gives them."""

    def want(self, items: int) -> None:
        """See to it that so many values come, for asks that wait."""

    def learn(self, after: After) -> None:
        """Follow the queue after a batch that touched it."""

    def open(self, row: QueueRow) -> None:
        """Open the source at the queue's cursor."""

    def stop(self) -> None:
        """Let the source go; nothing is drawn any more."""

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""


class Pushed:
    """No source: producers push."""

    ready = end_pending = starting = drawn = keeps_mark = pulling = False
    buffered = threads = 0

    def __init__(self) -> None:
        self.waits: Times = deque(maxlen=1)
        self.holds: Times = deque(maxlen=1)

    def offer(self, items: int) -> tuple[None, None]:
        """Nothing."""
        return None, None

    def granted(self, first: int, size: int) -> None:
        """Nothing is granted."""

    def want(self, items: int) -> None:
        """Nothing comes from here."""

    def learn(self, after: After) -> None:
        """There is nothing to follow."""

    def open(self, row: QueueRow) -> None:
        """There is nothing to open."""

    def stop(self) -> None:
        """There is nothing to let go."""

    def iterator_stats(self) -> None:
        """There is no iterator."""


class Counted:
    """A computed source. Lives on the event loop, which alone pulls.

    ``length`` is how many values it has. ``openings`` counts how often the shared generator was opened: once,
    but for jumps.
    """

    end_pending = starting = drawn = keeps_mark = pulling = False
    buffered = threads = 0

    def __init__(self, spec: SourceSpec, sources: Registry, computing: Computing, length: int) -> None:
        self.waits: Times = deque(maxlen=1024)
        self.holds: Times = deque(maxlen=1024)
        self.openings = 0
        self._spec = spec
        self._sources = sources
        self._computing = computing
        self.length = min(length, MAX_SEQ)
        self._ended = False
        self._source: Source | None = None
        self._next = 0  # the seq that the open generator gives next

    @property
    def ready(self) -> bool:
        """A computed value never has to be waited for."""
        return not self._ended

    def offer(self, items: int) -> tuple[None, int]:
        """The length; the ledger grants seqs up to it."""
        return None, self.length

    def granted(self, first: int, size: int) -> Values:
        """Pull the values of granted items from the shared generator, whoever still waits for them."""
        began = perf_counter()
        source = self._at(first)
        taken: Values = source.iterator.take(size)
        self.waits.append(0.0)
        self.holds.append(perf_counter() - began)
        self._next = first + size
        if len(taken) < size:  # an interrupt: its values would be the next ones out
            self._close()
            return self._computing.between(first, size, bare=True)
        return numbers(taken) if source.arithmetic else taken

    def _at(self, first: int) -> Source:
        """The open generator, at this seq; opened anew there, in constant time, after a jump."""
        if self._source is None or self._next != first:
            self._close()
            self._source = self._sources.open(self._spec, cursor=first - 1)
            self.openings += 1
        return self._source

    def _close(self) -> None:
        if self._source is not None:
            self._source.close(timeout=0)
            self._source = None

    def want(self, items: int) -> None:
        """There is nothing to draw ahead."""

    def learn(self, after: After) -> None:
        """Know whether the source has ended."""
        self._ended = after.ending is not None

    def open(self, row: QueueRow) -> None:
        """Know whether the source has ended; it is opened when its first values are granted."""
        self._ended = row.ending is not None

    def stop(self) -> None:
        """Close the generator."""
        self._close()

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        return None if self._source is None else self._source.iterator.stats()
