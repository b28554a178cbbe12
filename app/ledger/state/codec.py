"""Outcomes of work as JSON, for filing under idempotency keys; an outcome is read back as it was filed.

Each is a list that begins with its kind, so that a later version can tell them apart. The values of a claim
are filed beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..work import (
    Claimed,
    Moved,
    Pushed,
    Settled,
    Settlement,
    Span,
    Woken,
    WorkOutcome,
)

Texts = tuple[str, ...]


def values_of(work: WorkOutcome | None) -> Texts | None:
    """The values in an outcome, which are filed beside it."""
    claimed = work.claimed if isinstance(work, Settlement) else work
    return claimed.values if isinstance(claimed, Claimed) else None


def to_json(work: WorkOutcome) -> list[Any]:
    """An outcome as JSON has it, without its values."""
    return _WRITERS[type(work)](work)


def from_json(filed: Sequence[Any], values: Texts | None) -> WorkOutcome:
    """The outcome that was filed, with its values."""
    kind, *rest = filed
    return _READERS[kind](rest, values)


def _write_claimed(work: Claimed) -> list[Any]:
    return ["claimed", work.spans, work.due, work.next_due]


def _read_claimed(rest: list[Any], values: Texts | None) -> Claimed:
    spans, due, next_due = rest
    return Claimed(tuple([Span(*span) for span in spans]), values, due, next_due)


def _write_pushed(work: Pushed) -> list[Any]:
    seqs = work.seqs
    kept = {"from": seqs.start, "to": seqs.stop} if isinstance(seqs, range) else seqs
    return ["pushed", kept, work.known, work.due, work.refused, work.ready]


def _read_pushed(rest: list[Any], values: Texts | None) -> Pushed:
    kept, known, due, refused, ready = rest
    seqs = range(kept["from"], kept["to"]) if isinstance(kept, dict) else tuple(kept)
    return Pushed(seqs, tuple(known), due, refused, ready)


def _write_settled(part: Settled) -> list[Any]:
    if part.reason is None:
        return [part.verdict, part.first, part.last, part.due]
    return [part.verdict, part.first, part.last, part.due, part.reason, part.target]


def _write_settlement(work: Settlement) -> list[Any]:
    entries = [[_write_settled(part) for part in entry] for entry in work.entries]
    claimed = None if work.claimed is None else _write_claimed(work.claimed)
    return ["settlement", entries, claimed, work.woken]


def _read_settlement(rest: list[Any], values: Texts | None) -> Settlement:
    entries, claimed, woken = rest
    return Settlement(
        tuple([tuple([Settled(*part) for part in entry]) for entry in entries]),
        None if claimed is None else _read_claimed(claimed[1:], values),
        tuple([Woken(*wake) for wake in woken]),
    )


def _write_moved(work: Moved) -> list[Any]:
    unfinished = [] if work.rest is None else [work.rest, work.upto]
    return ["moved", work.count, work.due, *unfinished]


def _read_moved(rest: list[Any], values: Texts | None) -> Moved:
    return Moved(*rest)


_WRITERS: dict[type, Callable[[Any], list[Any]]] = {
    Claimed: _write_claimed,
    Pushed: _write_pushed,
    Settlement: _write_settlement,
    Moved: _write_moved,
}
_READERS: dict[str, Callable[[list[Any], Texts | None], WorkOutcome]] = {
    "claimed": _read_claimed,
    "pushed": _read_pushed,
    "settlement": _read_settlement,
    "moved": _read_moved,
}
