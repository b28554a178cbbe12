"""Queues: hand-outs, leases, pushes, and the requests that wait for them."""

from .answers import (
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
from .definition import Definition
from .limits import Limits
from .queue import Queue
from .queues import Backup, Queues

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
