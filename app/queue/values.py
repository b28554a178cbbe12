"""The values of items that were claimed: kept in the ledger, or computed again from their seqs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from ..ledger.ops import Recalled
from ..ledger.work import Claimed, Settlement, Span
from ..sources import Registry, SourceSpec
from .answers import Values


class Computing:
    """Computes the values of a queue whose source counts; for other queues the ledger keeps them."""

    def __init__(self, spec: SourceSpec | None, sources: Registry) -> None:
        self._seekable = sources.seekable(spec) if spec else None
        self._sources = sources
        self.arithmetic = self._seekable is not None and self._seekable.arithmetic

    def of(self, spans: Sequence[Span], texts: Sequence[str] | None) -> Values:
        """The values of ``spans``, in order: ``texts`` if they were kept, else computed."""
        if texts is not None or self._seekable is None:
            return texts or ()
        wide, arithmetic = self._seekable.wide, self._seekable.arithmetic
        found = [self._seekable.values.at(span.first - 1, span.size) for span in spans]
        if not arithmetic:
            return [str(text) for values in found for text in values]
        if wide:
            return [f'"{number}"' for values in found for number in values]
        return found[0] if len(found) == 1 else [int(number) for values in found for number in values]

    def recalled(self, recalled: Recalled, spans: Sequence[Span]) -> Values:
        """The values of a repeated answer: as they were filed, or computed by the source of that time."""
        claimed = recalled.work.claimed if isinstance(recalled.work, Settlement) else recalled.work
        if isinstance(claimed, Claimed) and claimed.values is not None:
            return claimed.values
        if recalled.source is None:
            return recalled.values
        name, args = recalled.source
        return Computing(SourceSpec(name, json.loads(args)), self._sources).of(spans, None)

    def known_text(self, seq: int) -> str | None:
        """One value as JSON text, if it is computed: also of an item that is done."""
        return None if self._seekable is None else self.text(seq)

    def text(self, seq: int) -> str:
        """One value as JSON text."""
        return str(self.of((Span(seq, seq),), None)[0])


def seqs_of(spans: Sequence[Span]) -> Sequence[int]:
    """The seq of each item."""
    if len(spans) == 1:
        return range(spans[0].first, spans[0].last + 1)
    return [seq for span in spans for seq in range(span.first, span.last + 1)]


def attempts_of(spans: Iterable[Span]) -> list[int]:
    """The attempt of each item."""
    return [span.attempt for span in spans for _ in range(span.size)]
