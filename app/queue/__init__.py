"""Queues: who asks, who waits, what was drawn, what is in the line."""

from app.queue.answers import (
    Audit,
    Block,
    Failure,
    LedgerStats,
    Percentiles,
    QueueInfo,
    QueueStats,
    Stats,
    Taken,
    Values,
)
from app.queue.limits import Limits
from app.queue.queue import Queue
from app.queue.queues import Backup, Queues

__all__ = [
    "Audit",
    "Backup",
    "Block",
    "Failure",
    "LedgerStats",
    "Limits",
    "Percentiles",
    "Queue",
    "QueueInfo",
    "QueueStats",
    "Queues",
    "Stats",
    "Taken",
    "Values",
]
