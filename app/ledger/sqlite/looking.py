"""Reading the items inside a queue, on a connection that sees one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..state.blocks import BlocksDamaged, Reader
from ..state.runs import DEAD, LEASED, Run
from ..state.transaction import settings_of
from ..work import DAMAGED, Counts, ItemRow, ItemState, QueueSettings
from . import run_statements as sql

Execute = Callable[..., Any]


def counts(execute: Execute, queue: int, now: int) -> Counts:
    """The counts of the items inside, run by run; all zero if there is no such queue."""
    found = execute(sql.COUNTS, {"queue": queue, "now": now}).fetchone()
    return Counts(*found) if found else Counts(0, 0, 0, 0, 0, 0, 0, 0, 0, None, 0)


def items(
    execute: Execute, queue: int, state: ItemState | None, *, after: int, most: int, most_bytes: int, now: int
) -> tuple[list[ItemRow], bool]:
    """Items above ``after`` in the order of seqs, one by one; and whether there are more."""
    found: list[ItemRow] = []
    reader = Reader(execute, queue, most_bytes, careful=True)
    text = execute(sql.SETTINGS, (queue,)).get
    if text is None:
        return [], False  # there is no such queue, or it was deleted
    settings = settings_of(text)
    values = {"queue": queue, "after": after}
    if state is not None:
        values["now"] = now
    for row in execute(sql.ITEMS[state], values):
        if len(found) >= most:
            return found, True
        run = Run._make(row)
        first, last = (
            max(run.first, after + 1),
            min(run.last, max(run.first, after + 1) + most - len(found) - 1),
        )
        texts: list[str | None] = [None] * (last - first + 1)
        if run.kept:
            try:
                texts = list(reader.read(first, last, one=not found))
            except BlocksDamaged as damage:
                texts = [DAMAGED] * (min(damage.last, last) - first + 1)
        found += [
            ItemRow(seq, _state(run, now, settings), run.attempt, run.priority, run.due, run.worker, text)
            for seq, text in enumerate(texts, first)
        ]
        if first + len(texts) <= run.last:
            return found, True
    return found, False


def _state(run: Run, now: int, settings: QueueSettings) -> ItemState:
    if run.state == DEAD or run.spent(now, settings):
        return "dead"
    return "leased" if run.state == LEASED and run.due > now else "waiting"
