"""Damage on purpose: a checker that never says no proves nothing, so it is shown a wrong history.

Each damage is clean: it breaks one promise and leaves everything else as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from random import Random

from .errors import PlantError
from .fold import LONG_AGO, Answer, Folded, fold
from .missing import arrived_before
from .records import History, Record
from .spans import shown
from .verdict import Column, Findings
from .work.rules import WorkColumn


class Damage(StrEnum):
    """A damage that can be planted, named after the violation that the checker must then find."""

    DUPLICATE = "duplicate"
    SKIP = "skip"
    REORDER = "reorder"
    LOST = "lost"
    TWO_OWNERS = "two-owners"
    ACKED_AGAIN = "acked-again"
    VALUE = "value"

    @property
    def column(self) -> StrEnum:
        """The column of the verdict that must grow."""
        return _COLUMNS[self]


_COLUMNS: dict[Damage, StrEnum] = {
    Damage.DUPLICATE: Column.DUPLICATES,
    Damage.SKIP: Column.SKIPPED,
    Damage.REORDER: Column.REORDERED,
    Damage.LOST: WorkColumn.LOST,
    Damage.TWO_OWNERS: WorkColumn.TWO_OWNERS,
    Damage.ACKED_AGAIN: WorkColumn.ACKED_AGAIN,
    Damage.VALUE: WorkColumn.VALUES,
}


def plant(history: History, damage: Damage, random: Random) -> tuple[History, str]:
    """Damage a copy of a history of takes.

    Returns:
        The damaged history, and a sentence that describes the damage.

    Raises:
        PlantError: the history is too short, or too concurrent, for this damage.
    """
    if damage not in _PLANTERS:
        raise PlantError(f"this is a history of takes, which knows {', '.join(_PLANTERS)}")
    folded = fold(history.records, Findings(0))
    if not folded.answers:
        raise PlantError("nothing was handed out in this history")
    return _PLANTERS[damage](history, folded, random)


def _duplicate(history: History, folded: Folded, random: Random) -> tuple[History, str]:
    """A second client gets the same items at the same time."""
    answer = random.choice(folded.answers)
    copy = replace(
        answer.record,
        client="planted",
        key=None if answer.record.key is None else f"planted-{answer.record.key}",
        invoked=answer.record.invoked if answer.since == LONG_AGO else answer.since,
        completed=answer.until,
        replay=False,
        line=0,
    )
    told = f"{_shown(answer)} of {_whose(answer)} went to a second client too"
    return replace(history, records=[*history.records, copy]), told


def _skip(history: History, folded: Folded, random: Random) -> tuple[History, str]:
    """A request disappears with all its attempts, where no request without a reply could own its items."""
    header, end = history.header, history.end
    low = 0 if header.cursor is not None else min(answer.lowest for answer in folded.answers)
    high = max(answer.highest for answer in folded.answers)
    top = high + 1 if end and end.audits else high
    top = min([top, *arrived_before(folded.unresolved, folded.answers)])
    able = [answer for answer in folded.answers if low < answer.lowest and answer.highest < top]
    if not able:
        raise PlantError("no request can be left out unnoticed: the history is too short for a skip")
    answer = random.choice(able)
    left = [record for record in history.records if not _is_of(record, answer)]
    # Nobody else is in a planted history: the server's counters are not to excuse the gap.
    told = f"{_shown(answer)} of {_whose(answer)} went to nobody"
    return History(replace(header, exclusive=True, taken=None, jumped=None), left, end), told


def _reorder(history: History, folded: Folded, random: Random) -> tuple[History, str]:
    """Two requests swap their items, though the first was answered before the second was sent."""
    soonest = min(answer.until for answer in folded.answers)
    later = [answer for answer in folded.answers if answer.since > soonest]
    if not later:
        raise PlantError("all requests of this history were in the air at once: nothing has an order")
    second = random.choice(later)
    first = random.choice([answer for answer in folded.answers if answer.until < second.since])
    records = [_swapped(record, first, second) for record in history.records]
    told = (
        f"{_whose(first)} and {_whose(second)}, which was sent after the first had its answer, "
        f"swapped {_shown(first)} and {_shown(second)}"
    )
    return replace(history, records=records), told


def _swapped(record: Record, first: Answer, second: Answer) -> Record:
    for mine, other in ((first, second), (second, first)):
        if _is_of(record, mine):
            pieces = other.pieces if record.pieces else ()
            return replace(record, pieces=pieces, count=other.record.count)
    return record


def _is_of(record: Record, answer: Answer) -> bool:
    return record is answer.record or (record.key is not None and record.key == answer.record.key)


def _shown(answer: Answer) -> str:
    return shown((answer.lowest, answer.highest))


def _whose(answer: Answer) -> str:
    return f"client {answer.record.client} (line {answer.record.line})"


_Planter = Callable[[History, Folded, Random], tuple[History, str]]
_PLANTERS: dict[Damage, _Planter] = {
    Damage.DUPLICATE: _duplicate,
    Damage.SKIP: _skip,
    Damage.REORDER: _reorder,
}
