"""The verdict on work as data: the rules, the findings, and the causes of redeliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from ..verdict import Judgement, Kind
from .records import WorkHeader


class WorkColumn(StrEnum):
    """The columns of the verdict, which the rules below are counted in."""

    LOST = "lost"
    TWO_OWNERS = "two owners"
    ACKED_AGAIN = "acked again"
    FENCING = "fencing"
    VALUES = "values"
    ATTEMPTS = "attempts"
    PUSHES = "pushes"
    UNEXPLAINED = "unexplained"
    ALLOWED = "allowed"


class WorkRule(Kind):
    """The rules of the checker of work."""

    LOST = (WorkColumn.LOST, True, "items", "neither acked by anybody, nor still in the queue")
    UNSEEN = (WorkColumn.LOST, True, "hand-outs", "handed out, and no client got it")
    TWO_OWNERS = (
        WorkColumn.TWO_OWNERS,
        True,
        "items",
        "handed out while somebody's lease was certainly live",
    )
    ACKED_AGAIN = (WorkColumn.ACKED_AGAIN, True, "items", "handed out after its ack was answered")
    ACKED_TWICE = (WorkColumn.ACKED_AGAIN, True, "items", "acked by two requests")
    ACKED_INSIDE = (WorkColumn.ACKED_AGAIN, True, "items", "acked, and still in the queue")
    STALE_ACCEPTED = (WorkColumn.FENCING, True, "items", "a token that was certainly over had an effect")
    LIVE_REFUSED = (WorkColumn.FENCING, True, "items", "a token that was certainly live was called stale")
    TOKEN_TWICE = (WorkColumn.FENCING, True, "leases", "a token was given out twice")
    WRONG_VALUE = (WorkColumn.VALUES, True, "items", "handed out with another value than before")
    ATTEMPT_TWICE = (WorkColumn.ATTEMPTS, True, "items", "a hand-out is an attempt that was used")
    ATTEMPT_BACK = (WorkColumn.ATTEMPTS, True, "items", "a later hand-out is an earlier attempt")
    TOO_OFTEN = (WorkColumn.ATTEMPTS, True, "items", "handed out more often than the queue allows")
    BURIED_EARLY = (WorkColumn.ATTEMPTS, True, "items", "dead before its attempts were used up")
    KEY_TWICE = (WorkColumn.PUSHES, True, "items", "an item's key was pushed twice")
    SEQ_TWICE = (WorkColumn.PUSHES, True, "items", "two items were pushed to one seq")
    KNOWN_FALSELY = (WorkColumn.PUSHES, True, "items", "called known, though nobody had pushed it")
    PHANTOM = (WorkColumn.PUSHES, True, "items", "an item that nobody had pushed")
    REPLAY_DIFFERS = (WorkColumn.UNEXPLAINED, True, "requests", "a replay is not the first answer of its key")
    REPLAY_OF_NOTHING = (WorkColumn.UNEXPLAINED, True, "requests", "a replay, but nothing came before it")
    KEY_SPENT_TWICE = (WorkColumn.UNEXPLAINED, True, "requests", "a key that had its answer got a new one")
    TOO_MANY = (WorkColumn.UNEXPLAINED, True, "requests", "an answer with more items than asked for")
    UNANSWERED = (
        WorkColumn.UNEXPLAINED,
        True,
        "items",
        "a settle that was answered without saying what came of it",
    )
    AUDIT = (WorkColumn.UNEXPLAINED, True, "audits", "the server's audit contradicts the history or itself")
    MAYBE = (WorkColumn.ALLOWED, False, "items", "gone, and a settle without a reply may have acked it")
    UNJUDGED = (WorkColumn.ALLOWED, False, "items", "not acked, and nobody looked whether it is still there")


class Cause(StrEnum):
    """Why an item was handed out again: what became of the hand-out before."""

    CRASHED = "expired: its consumer crashed"
    LATE = "expired: its consumer meant to be late"
    RESTART = "expired while the server was killed or starting"
    SLOW = "expired: its consumer was too slow"
    NACKED = "nacked"
    RELEASED = "released"
    UNKNOWN = "settled by a request without a reply, or expired"


@dataclass(slots=True)
class WorkTotals:
    """The totals of a history of work.

    ``items`` counts acked items; ``handed_out`` counts an item each time again; ``unseen`` counts hand-outs
    that only later attempts tell of, and that requests without a reply may have had. ``forgotten`` counts the
    leases of consumers that crashed. ``open`` counts requests that never got a reply, even when sent again.
    """

    requests: int = 0
    replays: int = 0
    refused: int = 0
    unknown: int = 0
    open: int = 0
    pushed: int = 0
    known: int = 0
    leases: int = 0
    handed_out: int = 0
    unseen: int = 0
    items: int = 0
    waiting: int = 0
    dead: int = 0
    crashes: int = 0
    forgotten: int = 0
    restarts: int = 0
    stale: int = 0
    redelivered: dict[Cause, int] = field(default_factory=dict)
    began: int | None = None
    ended: int | None = None

    @property
    def seconds(self) -> float:
        """The seconds from the first request to the last reply."""
        return 0.0 if self.began is None or self.ended is None else (self.ended - self.began) / 1e9


@dataclass(frozen=True, slots=True)
class WorkVerdict(Judgement):
    """The verdict on work."""

    header: WorkHeader
    totals: WorkTotals

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON, for programs."""
        columns: Mapping[str, int] = {str(c).replace(" ", "_"): self.column(c) for c in WorkColumn}
        totals = asdict(self.totals)
        causes = self.totals.redelivered.items()
        totals["redelivered"] = {cause.name.lower(): count for cause, count in causes}
        return {"outcome": self.outcome.value, **columns, "totals": totals, **self.cases_as_json()}
