"""An op in the line, its waiting callers, and its outcome, even if a failed commit has hidden that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import OutcomeUnknown
from .ops import Advance, Op, Outcome, QueueRow, Recalled, Take
from .pending import Pending
from .together import Exchange
from .work import Ack, Moved, Nack, Purge, Push, Redrive, Settle

log = logging.getLogger("dibs.ledger")


class Line(Protocol):
    """The origin of drawn ops: the one owner of a queue's epoch and of the values put back."""

    queue: int

    def suspend(self) -> None:
        """Raise the epoch: nothing drawn before is enqueued any more, nothing is drawn until resumed."""

    def resume(self, back: Sequence[Entry], cursor: int | None) -> None:
        """Draw again after the ledger's ``cursor``; the values of ``back`` first, in the order of their seqs.

        Without a cursor (it can't be read now) the queue goes on as it was.
        """


class Entry:
    """An op in the line, with its waiting callers.

    ``settled`` runs on the committer's thread when the op is on disk, before its caller wakes, in the order
    of the line. ``answer`` makes what the caller gets from the engine's outcome (None, where a drawn op was
    granted by the ledger's cursor after a failure); without one, it gets the outcome. ``values`` are a drawn
    op's, to put back.
    """

    __slots__ = ("answer", "line", "op", "pending", "settled", "values")

    def __init__(
        self,
        op: Op,
        pending: Pending[Any],
        *,
        line: Line | None = None,
        values: Sequence[Any] = (),
        answer: Callable[[Outcome], Any] | None = None,
        settled: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.op = op
        self.pending = pending
        self.line = line
        self.values = values
        self.answer = answer
        self.settled = settled


Settled = tuple[Pending[Any], Any, BaseException | None]


def drawn(op: Op) -> Take | None:
    """The fresh items that an op hands out, whose fate the ledger's cursor decides."""
    if isinstance(op, Exchange):
        return op.take
    if isinstance(op, Settle):
        return op.lease if isinstance(op.lease, Take) else None
    return op if isinstance(op, Take) else None


def weight(op: Op) -> int:
    """About how many bytes of values and texts an op has."""
    if isinstance(op, Push):
        return sum([len(text) for parcel in op.parcels for text in parcel.texts])
    size = 0
    if isinstance(op, Settle):
        for entry in op.entries:
            if isinstance(entry, Nack):
                size += len(entry.error)
            elif isinstance(entry, Ack) and entry.push:
                size += sum([len(result.text) for result in entry.push])
    take = drawn(op)
    return size if take is None or take.texts is None else size + sum(map(len, take.texts))


def tells(found: Recalled, op: Op) -> bool:
    """Whether what is filed was filed by this op: a long op files its parts under one key."""
    if isinstance(op, Purge | Redrive) and op.part is not None and isinstance(found.work, Moved):
        return found.work.rest is None or found.work.rest > (op.part.rest or 0)
    return True


def answered(entry: Entry, outcome: Any) -> Settled:
    """The caller's answer for an op that is on disk, whatever the owner's callback does."""
    if entry.answer is None:
        return entry.pending, outcome, None
    try:
        return entry.pending, entry.answer(outcome), None
    except Exception:
        log.exception("the answer to %r", entry.op)
        return (
            entry.pending,
            None,
            OutcomeUnknown("the request is done and on disk, but its answer can't be made"),
        )


def grant(entry: Entry, outcome: Outcome) -> Settled:
    """Settle an op that is on disk: its followers are told, and its caller's answer is made."""
    if entry.settled is not None:
        try:
            entry.settled(outcome)
        except Exception:  # the op is on disk, whatever its owner makes of it
            log.exception("after %r", entry.op)
    return answered(entry, outcome)


def on_disk(op: Op, row: QueueRow | None) -> bool:
    """The ledger's cursor decides; for a bare ending, the ending."""
    if row is None:
        return False
    if isinstance(op, Advance):
        return row.cursor >= op.to_seq
    take = drawn(op)
    assert take is not None  # noqa: S101  # what has a line is drawn, or a jump
    return row.cursor >= take.last if take.count else take.end is not None and row.ending == take.end.ending
