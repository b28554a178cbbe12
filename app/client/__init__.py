"""The client: a queue of a server as an iterator, for threads and for asyncio. It needs only httpx.

::

    with Client("http://127.0.0.1:8000") as client:
        for job in client.queue("jobs").lease():
            with job:
                work(job.value)
"""

from __future__ import annotations

from app.client.aclient import AsyncClient
from app.client.aleases import AsyncLeases
from app.client.answers import Audit, FailedAttempt, QueueInfo, QueueItem, QueueSettings
from app.client.aqueue import AsyncRemoteQueue
from app.client.client import Client
from app.client.errors import (
    ClientClosed,
    ClientError,
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    ItemUnknown,
    JobSettled,
    KeyReused,
    LimitExceeded,
    Problem,
    QueueFull,
    QueueUnknown,
    ResultRefused,
    ServerRefused,
    SourceFailed,
    StaleLease,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    ValueNotJson,
)
from app.client.held import Counts
from app.client.job import Job
from app.client.leases import Leases
from app.client.queue import RemoteQueue
from app.client.records import (
    Ack,
    Extend,
    Item,
    Lease,
    LeaseAsk,
    LeasedItem,
    Nack,
    NewItem,
    Outcome,
    Pushed,
    PushReport,
    Release,
    Result,
    Settlement,
    Uploaded,
)

__all__ = [
    "Ack",
    "AsyncClient",
    "AsyncLeases",
    "AsyncRemoteQueue",
    "Audit",
    "Client",
    "ClientClosed",
    "ClientError",
    "Conflict",
    "Counts",
    "Exhausted",
    "Extend",
    "FailedAttempt",
    "Forbidden",
    "Invalid",
    "Item",
    "ItemUnknown",
    "Job",
    "JobSettled",
    "KeyReused",
    "Lease",
    "LeaseAsk",
    "LeasedItem",
    "Leases",
    "LimitExceeded",
    "Nack",
    "NewItem",
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
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "Uploaded",
    "ValueNotJson",
]
