"""Outcomes as they are filed under keys, and read back.

An outcome is a JSON list that begins with its kind. The values of a hand-out stand beside it, one a line,
where they can't be computed. Formats 1 to 3 wrote JSON objects: ``former.py`` reads those.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from json.encoder import encode_basestring as quote
from typing import Any

from ..ops import QueueRow
from ..serve import Handed, Served
from ..work import Moved, Pushed, Settled, Span, Traced
from . import former
from .blocks import joined
from .rows import Answer

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


LATER = "\n"
"""The end of the key under which 0.3 filed a lease that a settling had to wait for."""


@lru_cache(maxsize=1024)
def computed_by(source: str, args: str) -> str:
    """The source of a queue, as it is filed where it computes the values."""
    return _json((source, args))


def of_served(served: Served, computed: str) -> tuple[str, str | None]:
    """What came of an ask, and its values; those that are None are ``computed`` by this source."""
    entries, handed, _, state, _, _ = served
    told = _told(entries) if entries else "[]"
    if handed is None:
        return f'["served",{told},null,"{state}"]', None
    spans, values, token, due, _, _, traces = handed
    if len(spans) == 1:
        [(first, last, attempt)] = spans
        ranges = f"[[{first},{last},{attempt}]]"
    else:
        ranges = _json(spans)
    lease = "null,null" if token is None else f"{quote(token)},{due}"
    if values is None:
        return f'["served",{told},[{ranges},{lease},{computed}],"{state}"]', None
    texts = values[0] if len(values) == 1 and "\n" not in values[0] else joined(values)
    more = "" if traces is None else f",{_json(traces)}"
    return f'["served",{told},[{ranges},{lease},null{more}],"{state}"]', texts


def _told(entries: tuple[tuple[Settled, ...], ...]) -> str:
    """What became of entries; of one that was acked whole, as a rule, without the detour of an encoder."""
    if len(entries) == 1 and len(entries[0]) == 1:
        verdict, first, last, _, _, _ = entries[0][0]
        if verdict == "acked":
            return f'[[["acked",{first},{last}]]]'
    return _json(entries)


def of_other(outcome: Any) -> str:
    """The outcome of any other op: a row, or what was pushed or moved."""
    if isinstance(outcome, QueueRow):
        return _json(("row", asdict(outcome)))
    if isinstance(outcome, Moved):
        return _json(("moved", outcome.count, outcome.due, outcome.rest, outcome.upto))
    seqs = outcome.seqs
    kept = {"from": seqs.start, "to": seqs.stop} if isinstance(seqs, range) else seqs
    return _json(("pushed", kept, outcome.known, outcome.due))


def read(filed: Answer) -> Any:
    """The outcome that was filed: :class:`Served`, as a replay; or that of another op."""
    found = json.loads(filed.outcome)
    if isinstance(found, dict):
        return former.read(found, filed.values)
    kind, *rest = found
    return _READERS[kind](rest, filed.values)


def again(served: Served, source: str, args: str) -> Served:
    """An answer as a second caller with the same key gets it: what was fresh is handed out already."""
    handed = served.handed
    if handed is None:
        return served._replace(replayed=not served.why, known=bool(served.entries and served.why))
    own = (source, args) if handed.values is None else None
    return served._replace(handed=handed._replace(fresh=False, source=own), replayed=True)


def _served(rest: list[Any], values: str | None) -> Served:
    entries, handed, state = rest
    settled = tuple([tuple([Settled(*part) for part in entry]) for entry in entries])
    if handed is None:
        return Served(settled, None, None, state, True)
    spans, token, due, source, *traces = handed
    texts = None if values is None else tuple(values.split("\n"))
    computed = None if source is None else (source[0], source[1])
    traced = tuple([Traced(*each) for each in traces[0]]) if traces else None
    given = Handed(tuple([Span(*span) for span in spans]), texts, token, due, computed, traces=traced)
    return Served(settled, given, None, state, True)


def _row(rest: list[Any], _: str | None) -> QueueRow:
    return QueueRow.of(rest[0])


def _moved(rest: list[Any], _: str | None) -> Moved:
    return Moved(*rest)


def _pushed(rest: list[Any], _: str | None) -> Pushed:
    kept, known, due = rest
    seqs = range(kept["from"], kept["to"]) if isinstance(kept, dict) else tuple(kept)
    return Pushed(seqs, tuple(known), due)


_READERS: dict[str, Callable[[list[Any], str | None], Any]] = {
    "served": _served,
    "row": _row,
    "moved": _moved,
    "pushed": _pushed,
}
