"""The gate: what a queue's state means for those who ask it for items, as data and two tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import (
    DibsError,
    KeyReused,
    KeySuperseded,
    LedgerDamaged,
    QueueExhausted,
    QueueFailed,
    QueuePaused,
    QueueStarting,
    QueueUnknown,
    SourceBusy,
    Stopping,
)
from ..ledger.serve import Why
from .answers import Failure

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow
    from ..ledger.serve import After

RETRY_AFTER: Final = 1.0
"""Seconds after which a paused, starting or busy queue is worth asking again."""


class Gate(NamedTuple):
    """A queue's state as of the last batch that touched it: a hint, never a final word."""

    name: str
    cursor: int = 0
    paused: bool = False
    ending: str | None = None
    deleted: bool = False
    failure: Failure | None = None

    @classmethod
    def of(cls, row: QueueRow) -> Gate:
        """The gate of a queue, by its row in the ledger."""
        failure = _failure(row.ending, (row.failure_type or "", row.failure_message or ""), row.cursor)
        return cls(row.name, row.cursor, row.paused, row.ending, row.deleted_at is not None, failure)

    def after(self, after: After) -> Gate:
        """The gate after a batch."""
        return Gate(
            self.name,
            after.cursor,
            after.paused,
            after.ending,
            after.deleted,
            None if after.failure is None else _failure(after.ending, after.failure, after.cursor),
        )

    def state(self, *, starting: bool) -> str:
        """One word; an ending is stronger than a pause, a pause stronger than a start."""
        return self.ending or ("paused" if self.paused else "starting" if starting else "open")


def _failure(ending: str | None, cause: tuple[str, str], cursor: int) -> Failure | None:
    return Failure(*cause, cursor + 1) if ending == "failed" else None


WAITS: Final = frozenset({"empty", "dry", "paused", "starting", "busy"})
"""The reasons that may pass: an ask that may wait is tried again."""


def refusal(why: Why | str, gate: Gate) -> DibsError | None:
    """The refusal of an ask that got no items for this reason; None where the queue is only empty."""
    return _REFUSALS[why](gate)


def _failed(gate: Gate) -> DibsError:
    failure = gate.failure or Failure("", "", gate.cursor + 1)
    return QueueFailed(
        f"the source of {gate.name} failed at item {failure.seq}: {failure.type}: {failure.message}",
        cause_type=failure.type,
        cause_message=failure.message,
        seq=failure.seq,
    )


def _exhausted(gate: Gate) -> DibsError:
    how = "is closed" if gate.ending == "closed" else "has handed out all its items"
    return QueueExhausted(f"{gate.name} {how}")


_REFUSALS: Final[Mapping[str, Callable[[Gate], DibsError | None]]] = {
    "empty": lambda gate: None,
    "dry": lambda gate: None,
    "busy": lambda gate: SourceBusy(
        f"the source of {gate.name} gave nothing in time; ask again", retry_after=RETRY_AFTER
    ),
    "paused": lambda gate: QueuePaused(f"{gate.name} is paused", retry_after=RETRY_AFTER),
    "starting": lambda gate: QueueStarting(
        f"the source of {gate.name} is being opened", retry_after=RETRY_AFTER
    ),
    "stopping": lambda gate: Stopping("the server is going down", retry_after=RETRY_AFTER),
    "moved": lambda gate: QueueStarting(f"{gate.name} was changed; ask again", retry_after=RETRY_AFTER),
    "deleted": lambda gate: QueueUnknown(f"there is no queue {gate.name}", field="queue"),
    "failed": _failed,
    "exhausted": _exhausted,
    "key-reused": lambda gate: key_reused(),
    "key-superseded": lambda gate: key_superseded(),
    "damaged": lambda gate: LedgerDamaged(
        f"the answer kept under this key of {gate.name} is damaged", "maybe"
    ),
}


def key_reused() -> KeyReused:
    """The refusal of a request whose key belongs to another request."""
    return KeyReused("this Idempotency-Key was first sent with another request", field="Idempotency-Key")


def key_superseded() -> KeySuperseded:
    """The refusal of a request of a session that has gone on to a later one."""
    return KeySuperseded(
        "a later request of this Idempotency-Key has been answered (Idempotency-Sequence)",
        field="Idempotency-Sequence",
    )
