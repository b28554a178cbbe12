"""Answers that were filed by formats 1 to 3, read as today's: each was a JSON object."""

from __future__ import annotations

import json
from typing import Any

from ..ops import QueueRow
from ..serve import Handed, Served
from ..work import MAX_SEQ, Moved, Pushed, Settled, Span

Texts = tuple[str, ...]


def read(outcome: dict[str, Any], values: str | None) -> Any:
    """The outcome: :class:`Served` for a hand-out or a settling, else a row, or what was pushed or moved."""
    kind, *rest = outcome.get("work") or (None,)
    if kind == "settlement":
        return _settled(rest, outcome, values)
    if "first" in outcome:
        return Served((), _fresh(outcome, values), None, outcome["ending"] or "open", True)
    if kind is None:
        return _row(outcome)
    if kind == "claimed":
        return Served((), _claimed(rest, outcome, values), None, "open", True)
    return _pushed(rest) if kind == "pushed" else Moved(*rest)


def _row(outcome: dict[str, Any]) -> QueueRow:
    beside = {"wide", "start", "stop", "step"}
    return QueueRow.of({name: value for name, value in outcome.items() if name not in beside})


def _pushed(rest: list[Any]) -> Pushed:
    kept, known, due, *_ = rest
    seqs = range(kept["from"], kept["to"]) if isinstance(kept, dict) else tuple(kept)
    return Pushed(seqs, tuple(known), due)


def _fresh(outcome: dict[str, Any], values: str | None) -> Handed:
    """Fresh items, for good or under a lease: the outcome has the first of their seqs."""
    first = outcome["first"]
    lease = outcome.get("token"), outcome.get("due")
    if values is not None:
        texts = tuple(json.loads(values))
        return Handed((Span(first, first + len(texts) - 1),), texts, *lease)
    kept = range(outcome["start"], outcome["stop"], outcome["step"])
    last = first + (kept[-1] - kept[0]) // kept.step
    return Handed((Span(first, last),), None, *lease, source=_source(first, kept, wide=outcome["wide"]))


def _source(first: int, kept: range, *, wide: bool) -> tuple[str, str]:
    """The source that has these numbers at these seqs: only the numbers were filed."""
    step, begin = kept.step, kept.start - (first - 1) * kept.step
    if not wide:
        return "range", json.dumps({"start": begin, "stop": kept[-1] + step, "step": step})
    beyond = {"max": max(begin, kept[-1], MAX_SEQ + 1)} if step > 0 else {"min": min(kept[-1], -MAX_SEQ - 1)}
    return "count", json.dumps({"start": begin, "step": step, "max": max(begin, MAX_SEQ), **beyond})


def _claimed(rest: list[Any], outcome: dict[str, Any], values: str | None) -> Handed | None:
    spans, due, *_ = rest
    if not spans:
        return None
    source = outcome.get("computed")
    return Handed(
        tuple([Span(*span) for span in spans]),
        None if values is None or source is not None else tuple(json.loads(values)),
        outcome.get("token"),
        due,
        None if source is None else (source[0], source[1]),
    )


def _settled(rest: list[Any], outcome: dict[str, Any], values: str | None) -> Served:
    entries, claimed, *_ = rest
    settled = tuple([tuple([Settled(*part) for part in entry]) for entry in entries])
    handed = _fresh(outcome, values) if "first" in outcome else None
    if handed is None and claimed is not None:
        handed = _claimed(claimed[1:], outcome, values)
    return Served(settled, handed, None, outcome.get("ending") or "open", True)
