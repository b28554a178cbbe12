"""The client: a queue of a server as an iterator, for threads and for asyncio. It needs only httpx.

::

    with Client("http://127.0.0.1:8000") as client:
        for job in client.queue("jobs").lease():
            with job:
                work(job.value)
"""

from __future__ import annotations

from .aclient import AsyncClient, AsyncRemoteQueue
from .aleases import AsyncLeases
from .answers import (
    Audit,
    Backup,
    FailedAttempt,
    HistoryEntry,
    Lease,
    LeasedItem,
    Outcome,
    QueueInfo,
    QueueItem,
    Settlement,
    Uploaded,
)
from .client import Client, RemoteQueue
from .errors import (
    ClientClosed,
    ClientError,
    Conflict,
    Exhausted,
    Forbidden,
    ForkedClient,
    Invalid,
    ItemUnknown,
    JobSettled,
    KeyReused,
    KeySuperseded,
    LimitExceeded,
    OtherLoop,
    Problem,
    QueueFull,
    QueueUnknown,
    ResultRefused,
    ServerRefused,
    SourceFailed,
    StaleLease,
    StrangersAnswer,
    TokenUnknown,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    ValueNotJson,
    WorkersDied,
)
from .job import Job
from .leases import Leases
from .records import Item, LeaseAsk, NewItem, Pushed, PushReport, QueueSettings, Result
from .verbs import Ack, Counts, Extend, Nack, Release

__all__ = [
    "Ack",
    "AsyncClient",
    "AsyncLeases",
    "AsyncRemoteQueue",
    "Audit",
    "Backup",
    "Client",
    "ClientClosed",
    "ClientError",
    "Conflict",
    "Counts",
    "Exhausted",
    "Extend",
    "FailedAttempt",
    "Forbidden",
    "ForkedClient",
    "HistoryEntry",
    "Invalid",
    "Item",
    "ItemUnknown",
    "Job",
    "JobSettled",
    "KeyReused",
    "KeySuperseded",
    "Lease",
    "LeaseAsk",
    "LeasedItem",
    "Leases",
    "LimitExceeded",
    "Nack",
    "NewItem",
    "OtherLoop",
    "Outcome",
    "Problem",
    "PushReport",
    "Pushed",
    "QueueFull",
    "QueueInfo",
    "QueueItem",
    "QueueSettings",
    "QueueUnknown",
    "Release",
    "RemoteQueue",
    "Result",
    "ResultRefused",
    "ServerRefused",
    "Settlement",
    "SourceFailed",
    "StaleLease",
    "StrangersAnswer",
    "TokenUnknown",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "Uploaded",
    "ValueNotJson",
    "WorkersDied",
]
