"""A computed source: the ledger grants seqs, and then the values that follow from them are pulled."""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING

from ..sources import Registry, Source, SourceSpec, Values
from .meters import SAMPLES, Times

if TYPE_CHECKING:
    from ..iterators import IteratorStats
    from .values import Computing


class Computed:
    """No source, as producers push; or a computed one, of which nothing is drawn before it is granted.

    Lives on the event loop, which alone pulls. It owns the shared generator, and knows at which seq that
    stands. ``openings`` counts how often the generator was opened: once, but for jumps.
    """

    drawn = starting = keeps_mark = pulling = False
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
        if len(taken) < size or (source.arithmetic and type(taken) is not range):
            self.stop()  # after an interrupt, which leaves values in front of the others
            return self._computing.between(first, size, bare=True)
        return taken

    def stop(self) -> None:
        """Close the generator."""
        if self._source is not None:
            self._source.close(timeout=0)
            self._source = None

    def iterator_stats(self) -> IteratorStats | None:
        """The counters of the shared iterator since it was opened."""
        return None if self._source is None else self._source.iterator.stats()
