"""Queues: who asks, who waits, what was drawn, what is in the line."""

from app.queue.answers import (
    Audit,
    Block,
    Failure,
    ItemAnswer,
    LeaseAsk,
    Leased,
    LedgerStats,
    MovedAnswer,
    Page,
    Peeked,
    Percentiles,
    PushAnswer,
    QueueInfo,
    QueueStats,
    SettleAnswer,
    Stats,
    Taken,
    Values,
)
from app.queue.definition import Definition
from app.queue.limits import Limits
from app.queue.queue import Queue
from app.queue.queues import Backup, Queues

__all__ = [
    "Audit",
    "Backup",
    "Block",
    "Definition",
    "Failure",
    "ItemAnswer",
    "LeaseAsk",
    "Leased",
    "LedgerStats",
    "Limits",
    "MovedAnswer",
    "Page",
    "Peeked",
    "Percentiles",
    "PushAnswer",
    "Queue",
    "QueueInfo",
    "QueueStats",
    "Queues",
    "SettleAnswer",
    "Stats",
    "Taken",
    "Values",
]
