"""The gate: what a queue's state means for those who ask it for items, as a table, and how it is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

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
from ..ledger.serve import After, Why
from .answers import Failure

if TYPE_CHECKING:
    from ..ledger.ops import QueueRow

RETRY_AFTER: Final = 1.0
"""Seconds after which a paused, starting or busy queue is worth asking again."""

WAITS: Final = frozenset({"empty", "dry", "paused", "starting", "busy"})
"""The reasons that may pass: an ask that may wait is tried again."""


def standing(row: QueueRow) -> After:
    """The state of a queue by its row in the ledger: until a batch says more, something may be inside."""
    cause = (row.failure_type or "", row.failure_message or "")
    deleted = row.deleted_at is not None
    return After(row.id, row.edition, row.cursor, row.ending, cause, row.paused, deleted, 0, over=False)


def word(state: After, *, starting: bool) -> str:
    """One word; an ending is stronger than a pause, a pause stronger than a start."""
    return state.ending or ("paused" if state.paused else "starting" if starting else "open")


def failure_of(state: After) -> Failure | None:
    """Why the source failed, and at which item."""
    return Failure(*state.failure or ("", ""), state.cursor + 1) if state.ending == "failed" else None


def refusal(why: Why | str, name: str, state: After) -> DibsError | None:
    """The refusal of an ask that got no items for this reason; None where the queue is only empty."""
    return _REFUSALS[why](name, state)


def _failed(name: str, state: After) -> DibsError:
    failure = failure_of(state) or Failure("", "", state.cursor + 1)
    return QueueFailed(
        f"the source of {name} failed at item {failure.seq}: {failure.type}: {failure.message}",
        cause_type=failure.type,
        cause_message=failure.message,
        seq=failure.seq,
    )


def _exhausted(name: str, state: After) -> DibsError:
    how = "is closed" if state.ending == "closed" else "has handed out all its items"
    return QueueExhausted(f"{name} {how}")


_REFUSALS: Final[Mapping[str, Callable[[str, After], DibsError | None]]] = {
    "empty": lambda name, state: None,
    "dry": lambda name, state: None,
    "busy": lambda name, state: SourceBusy(
        f"the source of {name} gave nothing in time; ask again", retry_after=RETRY_AFTER
    ),
    "paused": lambda name, state: QueuePaused(f"{name} is paused", retry_after=RETRY_AFTER),
    "starting": lambda name, state: QueueStarting(
        f"the source of {name} is being opened", retry_after=RETRY_AFTER
    ),
    "stopping": lambda name, state: stopping(),
    "moved": lambda name, state: QueueStarting(f"{name} was changed; ask again", retry_after=RETRY_AFTER),
    "deleted": lambda name, state: QueueUnknown(f"there is no queue {name}", field="queue"),
    "failed": _failed,
    "exhausted": _exhausted,
    "key-reused": lambda name, state: key_reused(),
    "key-superseded": lambda name, state: key_superseded(),
    "damaged": lambda name, state: LedgerDamaged(
        f"the answer kept under this key of {name} is damaged", "maybe"
    ),
}


def stopping() -> Stopping:
    """The refusal of a request that comes, or waits, while the server goes down."""
    return Stopping("the server is going down", retry_after=RETRY_AFTER)


def key_reused() -> KeyReused:
    """The refusal of a request whose key belongs to another request."""
    return KeyReused("this Idempotency-Key was first sent with another request", field="Idempotency-Key")


def key_superseded() -> KeySuperseded:
    """The refusal of a request of a session that has gone on to a later one."""
    return KeySuperseded(
        "a later request of this Idempotency-Key has been answered (Idempotency-Sequence)",
        field="Idempotency-Sequence",
    )
