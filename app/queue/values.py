"""The values of items: kept in the ledger, or computed again from their seqs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ..ledger.serve import Handed
from ..ledger.work import Span
from ..sources import Registry, SourceSpec
from .answers import Values


class Computing:
    """Computes the values of a queue whose source counts; for other queues the ledger keeps them."""

    def __init__(self, spec: SourceSpec | None, sources: Registry) -> None:
        self.seekable = sources.seekable(spec) if spec else None
        self._sources = sources
        self.wide = self.seekable is not None and self.seekable.wide
        self.arithmetic = self.seekable is not None and self.seekable.arithmetic

    def of(self, handed: Handed, *, bare: bool = False) -> Values:
        """The values of what was handed out: kept, or computed by the queue's source or an earlier one."""
        if handed.values is not None:
            return handed.values
        if handed.source is None:
            return self.at(handed.spans, bare=bare)
        name, args = handed.source
        return Computing(SourceSpec(name, json.loads(args)), self._sources).at(handed.spans, bare=bare)

    def at(self, spans: Iterable[Span], *, bare: bool = False) -> Values:
        """The values of ``spans``, computed, in order."""
        found = [self.between(span.first, span.last - span.first + 1, bare=bare) for span in spans]
        return found[0] if len(found) == 1 else [value for values in found for value in values]  # type: ignore[return-value]

    def between(self, first: int, size: int, *, bare: bool = False) -> Values:
        """The values of ``size`` items from ``first`` on; ``bare``: numbers, of a wide source too."""
        if self.seekable is None:
            return ()
        values = self.seekable.values[first - 1 : first - 1 + size]
        return values if bare else self.shown(values)

    def shown(self, values: Sequence[int] | Sequence[str]) -> Values:
        """Values as answers have them: the numbers of a wide source are JSON strings."""
        if self.arithmetic and self.wide:
            return [f'"{number}"' for number in values]
        return values

    def known_text(self, seq: int) -> str | None:
        """One value as JSON text, if it is computed: also of an item that is done."""
        return None if self.seekable is None else self.text(seq)

    def text(self, seq: int) -> str:
        """One value as JSON text."""
        return str(self.between(seq, 1)[0])
