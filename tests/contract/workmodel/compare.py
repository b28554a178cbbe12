"""Answers in a normal form: items one by one, however an engine cut its runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from dibs.ledger.ops import Conflict, QueueRow
from dibs.ledger.serve import Replay, Served
from dibs.ledger.work import Moved, Pushed

from workmodel.model import UNCHANGED


class Told(NamedTuple):
    """What came of one ask."""

    entries: list = []  # noqa: RUF012  # never changed
    items: list | None = None
    values: tuple | None = None
    token: str | None = None
    due: int | None = None
    why: str | None = None
    state: str = "open"
    replayed: bool = False


def normal(outcome):  # noqa: PLR0911  # one for each kind
    """An engine's outcome as the model gives it."""
    if isinstance(outcome, Replay):
        return Replay(normal(outcome.outcome))
    if isinstance(outcome, Moved):
        return outcome.count
    if isinstance(outcome, Pushed):
        return (list(outcome.seqs), tuple(outcome.known), outcome.due, outcome.refused, outcome.ready)
    if type(outcome) is tuple:
        return [told(served) for served in outcome]
    if isinstance(outcome, Conflict):
        return Conflict(outcome.why, normal(outcome.row))
    if isinstance(outcome, QueueRow):  # since when it is so: test_since.py
        return replace(outcome, paused_at=None, ended_at=None)
    return outcome


def told(served: Served) -> Told:
    handed: Any = served.handed
    entries = [[item for part in entry for item in single(part)] for entry in served.entries]
    found = Told(entries, why=served.why, state=served.state, replayed=served.replayed)
    if handed is None:
        return found
    items = [(seq, span.attempt) for span in handed.spans for seq in range(span.first, span.last + 1)]
    return found._replace(items=items, values=handed.values, token=handed.token, due=handed.due)


def single(part):
    """Each item of a range with its verdict, its due where one is meant, and the refusal."""
    due = part.due if part.verdict in {"nacked", "extended"} else None
    seqs = [None] if part.first is None else range(part.first, part.last + 1)
    return [(seq, part.verdict, due, part.reason, part.target) for seq in seqs]


def agree(expected, actual) -> bool:
    """Whether an outcome is the model's; of asks, an item that is left as it was may be told as either."""
    if not isinstance(expected, list):
        return expected == actual
    return len(expected) == len(actual) and all(map(agree_on_ask, expected, actual))


def agree_on_ask(want: Told, got: Told) -> bool:
    return (
        want._replace(entries=[]) == got._replace(entries=[])
        and len(want.entries) == len(got.entries)
        and all(map(agree_on_entry, want.entries, got.entries))
    )


def agree_on_entry(expected: list, told: list) -> bool:
    if len(expected) != len(told):
        return False
    return all(
        want == got or (want[1] == UNCHANGED and want[0] == got[0] and got[1] in {"stale", "refused"})
        for want, got in zip(expected, told, strict=True)
    )
