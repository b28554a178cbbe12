"""Runs, and how one is cut into several.

A run's row is found by its first seq. So a cut changes that row for the part that begins where the run began,
and adds rows for the others.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..work import FAILURES_KEPT
from .rows import DEAD, Acked, Failed, Run
from .transaction import Transaction

EXPIRED = "the lease expired"

CUT = " ..."
"""The end of an error that was shortened."""


def rewrite(tx: Transaction, queue: int, run: Run, parts: Iterable[Run]) -> None:
    """Replace a run by parts of it; what none of them has is gone."""
    account, insert, stays = tx.touched[queue], tx.runs.insert, False
    for part in parts:
        if part.due < account.due and part.state != DEAD:
            account.due = part.due
        if part.first == run.first:
            stays = True
            tx.runs.change(queue, part)
        else:
            insert(queue, part)
    if not stays:
        tx.runs.remove(queue, run.first)


def failed(tx: Transaction, queue: int, run: Run, error: str, at: int) -> Run:
    """Write that this attempt of each item failed; the run, with that in its history."""
    tx.store.failures.add(queue, Failed(run.first, run.last, run.attempt, at, run.worker, error, run.began))
    if run.history < FAILURES_KEPT:
        return run._replace(history=run.history + 1)
    tx.store.failures.trim(queue, run.first, run.last)
    return run


def expired(tx: Transaction, queue: int, run: Run) -> Run:
    """Write that its lease has expired: an attempt of its one item has failed."""
    return failed(tx, queue, run, EXPIRED, run.due)


def shortened(text: str, most: int) -> str:
    """As much of the beginning as fits so many bytes."""
    whole = text.encode()
    return text if len(whole) <= most else whole[: most - len(CUT)].decode(errors="ignore") + CUT


def done(tx: Transaction, queue: int, first: int, last: int, run: Run | Acked) -> None:
    """Items of a run are done: nobody needs their values any more, nor what else is known of them."""
    if run.history:
        tx.store.failures.forget(queue, first, last)
    if run.kept:
        tx.blocks.gone(queue, first, last)
        if first <= tx.touched[queue].traced:
            tx.store.traces.gone(queue, first, last)
