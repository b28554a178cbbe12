"""Where a queue's fresh items come from: nowhere (pushed), a computed source, or a source that is drawn from.

A computed source gives value n for seq n. So the ledger grants seqs first, and their values are then pulled
from the shared generator, which stands there. Other sources are drawn before they are granted
(``feeder.py``).
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from ..iterators import IteratorStats
from ..ledger.serve import After, Drawn
from ..sources import Registry, Source, SourceSpec, Values
from .pull import numbers
from .values import Computing

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow

Times = deque[float]

SAMPLES: Final = 1024
"""The last pulls whose times are kept."""


class Supply(Protocol):
    """Gives a queue its fresh items.

    ``waits`` and ``holds``: seconds until a pull had its turn, and that it took.
    """

    waits: Times
    holds: Times

    @property
    def drawn(self) -> bool:
        """Whether values are drawn before they are granted, so that an ask may have to be patient."""

    @property
    def length(self) -> int | None:
        """How many values a computed source has; None for others."""

    @property
    def ready(self) -> bool:
        """Whether a round may grant fresh items now, or record an end, while the queue has not ended."""

    @property
    def end_pending(self) -> bool:
        """Whether the source has ended, all its values are granted, and the ledger does not know it yet."""

    @property
    def starting(self) -> bool:
        """Whether the source is not open yet."""

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

    def offer(self, items: int) -> Drawn | None:
        """What a round may grant of drawn values, for so many items asked for."""

    def granted(self, first: int, size: int) -> Values | None:
        """The values of fresh items that were granted, in order, bare; None where the ledger gives them."""

    def want(self, items: int) -> None:
        """See to it that so many values are drawn, for asks that wait."""

    def learn(self, after: After) -> None:
        """Follow the queue after a batch that touched it: of drawn values some may be granted."""

    def open(self, row: QueueRow) -> None:
        """Open the source at the queue's cursor."""

    def stop(self) -> None:
        """Let the source go; nothing is drawn any more."""

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""


class Undrawn:
    """No source, as producers push; or a computed one, of which nothing is drawn before it is granted.

    Lives on the event loop, which alone pulls. It owns the shared generator, and knows at which seq that
    stands. ``openings`` counts how often the generator was opened: once, but for jumps.
    """

    drawn = end_pending = starting = keeps_mark = pulling = False
    buffered = threads = 0

    def __init__(self, spec: SourceSpec | None, sources: Registry, computing: Computing) -> None:
        self.waits: Times = deque(maxlen=SAMPLES)
        self.holds: Times = deque(maxlen=SAMPLES)
        self.openings = 0
        self._spec = spec
        self._sources = sources
        self._computing = computing
        self.length = None if computing.seekable is None else len(computing.seekable.values)
        self.ready = computing.seekable is not None
        self._source: Source | None = None
        self._next = 0  # the seq that the open generator gives next

    def granted(self, first: int, size: int) -> Values:
        """Pull the values of granted items from the shared generator, whoever still waits for them."""
        assert self._spec is not None  # noqa: S101  # nothing fresh is granted of a queue without a source
        began = perf_counter()
        source = self._source
        if source is None or self._next != first:  # opened anew there, in constant time, after a jump
            self.stop()
            self._source = source = self._sources.open(self._spec, cursor=first - 1)
            self.openings += 1
        taken: Values = source.iterator.take(size)
        self.waits.append(0.0)
        self.holds.append(perf_counter() - began)
        self._next = first + size
        if len(taken) < size:  # an interrupt: its values would be the next ones out
            self.stop()
            return self._computing.between(first, size, bare=True)
        return taken if type(taken) is range or not source.arithmetic else numbers(taken)

    def offer(self, items: int) -> None:
        """Nothing is drawn."""

    def want(self, items: int) -> None:
        """There is nothing to draw ahead."""

    def learn(self, after: After) -> None:
        """There is nothing to follow."""

    def open(self, row: QueueRow) -> None:
        """The source is opened when its first values are granted."""

    def stop(self) -> None:
        """Close the generator."""
        if self._source is not None:
            self._source.close(timeout=0)
            self._source = None

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        return None if self._source is None else self._source.iterator.stats()
