"""Reading the items inside a queue, in a transaction that sees one moment."""

from __future__ import annotations

from ..looks import DAMAGED, ItemRow, ItemState
from ..work import QueueSettings
from .blocks import BlocksDamaged, Reader
from .rows import DEAD, LEASED, Run
from .store import Store


def items(
    store: Store, queue: int, state: ItemState | None, *, after: int, most: int, most_bytes: int, now: int
) -> tuple[list[ItemRow], bool]:
    """Items above ``after`` in the order of seqs, one by one; and whether there are more."""
    known = store.queues.by_id(queue)
    if known is None or known[0].deleted_at is not None:
        return [], False
    settings = known[0].settings
    found: list[ItemRow] = []
    reader = Reader(store.blocks, queue, most_bytes)
    for run in store.runs.inside(queue, state, after, now):
        if len(found) >= most:
            return found, True
        first = max(run.first, after + 1)
        last = min(run.last, first + most - len(found) - 1)
        texts = _texts(reader, run, first, last, one=not found)
        state = _state(run, now, settings)
        began = run.began if state == "leased" else 0
        found += [
            ItemRow(seq, state, run.attempt, run.priority, run.due, run.worker, text, began)
            for seq, text in enumerate(texts, first)
        ]
        if first + len(texts) <= run.last:
            return found, True
    return found, False


def _texts(reader: Reader, run: Run, first: int, last: int, *, one: bool) -> list[str | None]:
    if not run.kept:
        return [None] * (last - first + 1)
    try:
        return list(reader.read(first, last, one=one))
    except BlocksDamaged as damage:
        return [DAMAGED] * (min(damage.last, last) - first + 1)


def _state(run: Run, now: int, settings: QueueSettings) -> ItemState:
    if run.state == DEAD or run.spent(now, settings):
        return "dead"
    return "leased" if run.state == LEASED and run.due > now else "waiting"
