"""Queues: hand-outs, leases, pushes, and the requests that wait for them."""

from .answers import (
    Answer,
    Audit,
    Failure,
    ItemAnswer,
    LeaseAsk,
    MovedAnswer,
    Page,
    Peeked,
    PushAnswer,
    QueueInfo,
    Values,
)
from .backup import Backup
from .definition import Definition
from .limits import Limits
from .queue import Queue
from .queues import Queues
from .stats import LedgerStats, Percentiles, QueueStats, Stats

__all__ = [
    "Answer",
    "Audit",
    "Backup",
    "Definition",
    "Failure",
    "ItemAnswer",
    "LeaseAsk",
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
    "Stats",
    "Values",
]
