"""What became of the items of an entry, range by range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..work import Entry, Refusal, Seqs, Settled, Verdict

STALE = (Settled("stale"),)
"""The verdict on an entry whose token holds nothing at all."""


class Verdicts:
    """Outcomes in the order of seqs, neighbours with the same one joined."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[list[Any]] = []

    def add(
        self,
        verdict: Verdict,
        first: int,
        last: int,
        due: int | None = None,
        *,
        reason: Refusal | None = None,
        target: str | None = None,
    ) -> None:
        """Add the verdict on the next items."""
        before = self._parts[-1] if self._parts else None
        if (
            before is not None
            and before[2] + 1 == first
            and (before[0], *before[3:]) == (verdict, due, reason, target)
        ):
            before[2] = last
        else:
            self._parts.append([verdict, first, last, due, reason, target])

    def all(self) -> tuple[Settled, ...]:
        """As the op's outcome has them."""
        return tuple([Settled(*part) for part in self._parts])


def stale(entries: Sequence[Entry]) -> tuple[tuple[Settled, ...], ...]:
    """What becomes of entries where nothing is held."""
    return tuple([_stale(entry.seqs) for entry in entries])


def _stale(seqs: Seqs | None) -> tuple[Settled, ...]:
    if seqs is None:
        return STALE
    told = Verdicts()
    for first, last in seqs:
        told.add("stale", first, last)
    return told.all()
