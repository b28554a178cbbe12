"""Runs, and how one is cut into several.

A run's row is found by its first seq. So a cut changes that row for the part that begins where the run began,
and adds rows for the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..sqlite import run_statements as sql
from ..work import FAILURES_KEPT, QueueSettings
from .transaction import Transaction

WAITING, LEASED, DEAD = 0, 1, 2

EXPIRED = "the lease expired"


class Run(NamedTuple):
    """Consecutive items that share a state: a row of the table, but for its queue.

    ``worker`` is who has or had it last. ``history``: how many failures an item of it has at most. ``kept``:
    its values are in blocks. ``most``: how many items the answer had that leased it; 0: it is not leased.
    """

    first: int
    last: int
    state: int
    due: int
    ttl: int
    attempt: int
    token: str | None
    worker: str
    priority: int
    history: int
    kept: int
    most: int

    @property
    def size(self) -> int:
        """How many items these are."""
        return self.last - self.first + 1

    def part(self, first: int, last: int) -> Run:
        """A part of the run, in the same state."""
        return self._replace(first=first, last=last)

    def waits(self, due: int, attempt: int) -> Run:
        """The run as waiting until ``due``; its last worker stays known."""
        return self._replace(state=WAITING, due=due, ttl=0, attempt=attempt, token=None, most=0)

    def buried(self, now: int) -> Run:
        """The run as dead since ``now``."""
        return self._replace(state=DEAD, due=now, ttl=0, token=None, most=0)

    def lapsed(self, now: int) -> bool:
        """Whether the run's lease has expired."""
        return self.state == LEASED and self.due <= now

    def of_many(self, now: int) -> bool:
        """Whether the run expired together with others: nobody knows of which its worker died."""
        return self.most > 1 and self.lapsed(now)

    def spent(self, now: int, settings: QueueSettings) -> bool:
        """Whether the run is dead, though not yet written so: it expired alone, at its last attempt."""
        return self.most <= 1 and self.lapsed(now) and settings.buries(self.attempt)

    def next_attempt(self, now: int) -> int:
        """The attempt of its next hand-out: an answer of many that expired has used none."""
        return self.attempt + (not self.of_many(now))


def add(tx: Transaction, queue: int, run: Run) -> None:
    """A new row."""
    tx.execute(sql.INSERT, (queue, *run))


def rewrite(tx: Transaction, queue: int, run: Run, parts: Iterable[Run]) -> None:
    """Replace a run by parts of it; what none of them has is gone."""
    stays = False
    for part in parts:
        if part.first == run.first:
            stays = True
            tx.execute(
                sql.CHANGE,
                (
                    part.last,
                    part.state,
                    part.due,
                    part.ttl,
                    part.attempt,
                    part.token,
                    part.worker,
                    part.history,
                    part.most,
                    queue,
                    part.first,
                ),
            )
        else:
            tx.execute(sql.INSERT, (queue, *part))
    if not stays:
        tx.execute(sql.REMOVE, (queue, run.first))


def failed(tx: Transaction, queue: int, run: Run, error: str, at: int) -> Run:
    """Write that this attempt of each item failed; the run, with that in its history."""
    if run.first == run.last:
        tx.execute(sql.FAIL, (queue, run.first, run.attempt, at, run.worker, error))
    else:
        values = (queue, run.first, run.last, run.attempt, at, run.worker, error)
        tx.execute(sql.FAIL_ALL, values)
    if run.history < FAILURES_KEPT:
        return run._replace(history=run.history + 1)
    tx.execute(sql.TRIM, (queue, run.first, run.last, FAILURES_KEPT))
    return run


def expired(tx: Transaction, queue: int, run: Run) -> Run:
    """Write that its lease has expired: an attempt of its one item has failed."""
    return failed(tx, queue, run, EXPIRED, run.due)


def done(tx: Transaction, queue: int, first: int, last: int, history: int) -> None:
    """What failed before is of no interest once its item is done."""
    if history:
        tx.execute(sql.FORGIVE, (queue, first, last))
