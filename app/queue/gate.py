"""The gate: what a queue's state means for a request for items, as data and one table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import QueueExhausted, QueueFailed, QueuePaused, QueueStarting, QueueUnknown, Refused
from ..ledger.ops import Close, Define, Delete, Op, Pause, QueueRow, Retry
from .answers import Failure

RETRY_AFTER = 1.0
"""Seconds after which a paused or starting queue is worth asking again."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a queue hands out, and why not. Immutable: each change of state puts a new one in its place."""

    name: str
    paused: bool = False
    starting: bool = False
    ending: str | None = None
    deleted: bool = False
    failure: Failure | None = None
    leaving: str | None = None

    @classmethod
    def of(cls, row: QueueRow, *, starting: bool) -> Gate:
        """The gate of a queue, by its row in the ledger."""
        failure = None
        if row.ending == "failed":
            failure = Failure(row.failure_type or "", row.failure_message or "", row.cursor + 1)
        return cls(row.name, row.paused, starting, row.ending, row.deleted_at is not None, failure)

    @property
    def wide_open(self) -> bool:
        """Whether there is no :meth:`refusal`; this is quick to read."""
        return not (self.paused or self.starting or self.ending or self.deleted or self.leaving)

    @property
    def state(self) -> str:
        """One word; an ending is stronger than a pause, a pause stronger than a start."""
        if self.ending is not None:
            return self.ending
        return "paused" if self.paused else "starting" if self.starting else "open"

    def foreseen(self, op: Op) -> Gate:
        """The gate from the moment when ``op`` is in the line: never wider than what the ledger will say."""
        match op:
            case Pause(paused=True):
                return replace(self, paused=True)
            case Close():
                return replace(self, leaving="closed")
            case Delete():
                return replace(self, leaving="deleted")
            case Define():
                return replace(self, leaving="defined anew")
            case Retry():
                return replace(self, starting=True)
            case _:
                return self

    def changing(self) -> QueueStarting:
        """Refuse for now, until the op is on disk: a caller that hears of an end may stop for good."""
        return QueueStarting(
            f"{self.name} is being {self.leaving or 'defined anew'}; ask again", retry_after=RETRY_AFTER
        )

    def refusal(self) -> Refused | None:
        """The refusal of a request for fresh items; None while the source may give some."""
        if self.wide_open:
            return None
        return self._for_good() or self._for_now()

    def bar(self) -> Refused | None:
        """Why nothing is handed out, not even waiting items; an ending or a start bars only the source."""
        if self.wide_open:
            return None
        if self.deleted:
            return self._for_good()
        return replace(self, starting=False)._for_now()

    def _for_good(self) -> Refused | None:
        if self.deleted:
            return QueueUnknown(f"there is no queue {self.name}", field="queue")
        if self.ending == "failed" and self.failure is not None:
            return QueueFailed(
                f"the source of {self.name} failed at item {self.failure.seq}:"
                f" {self.failure.type}: {self.failure.message}",
                cause_type=self.failure.type,
                cause_message=self.failure.message,
                seq=self.failure.seq,
            )
        if self.ending is not None:
            how = "is closed" if self.ending == "closed" else "has handed out all its items"
            return QueueExhausted(f"{self.name} {how}")
        return None

    def _for_now(self) -> Refused | None:
        if self.leaving is not None:
            return self.changing()
        if self.paused:
            return QueuePaused(f"{self.name} is paused", retry_after=RETRY_AFTER)
        if self.starting:
            return QueueStarting(f"the source of {self.name} is being opened", retry_after=RETRY_AFTER)
        return None
