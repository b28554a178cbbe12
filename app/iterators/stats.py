"""The counters and times of a shared iterator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["open", "exhausted", "failed", "closed"]


@dataclass(frozen=True, slots=True)
class IteratorStats:
    """A snapshot, taken without waiting for a pull that runs.

    Each number is exact at some moment during the call; together they may straddle one pull. All of
    them are kept under a lock, so none loses an update, with the GIL or without.
    """

    pulls: int
    """Turns at the source so far, of whatever size: ``next``, ``take``, ``pull``, ``send``, ``throw``."""
    values: int
    """Values handed out so far."""
    contended: int
    """Turns that had to be waited for, including those given up."""
    waiting: int
    """Callers that wait for their turn now."""
    wait_seconds: float
    """Time spent waiting, over all callers; measured on the contended path only."""
    held_seconds: float
    """Time that the lock was held, except by ``next``, which reads no clock."""
    state: State
