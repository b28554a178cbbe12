"""What a server tells about its queues and items, one frozen record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

Json = Any


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How a queue treats what fails, and how much producers may pile up; durations in seconds.

    ``max_attempts`` and ``max_ready`` None: no bound. The back-off doubles from ``backoff`` to
    ``backoff_max``; ``jitter`` (0 to 1) is the share of it that is left to chance.
    """

    max_attempts: int | None = 10
    backoff: float = 1.0
    backoff_max: float = 3_600.0
    jitter: float = 0.1
    max_ready: int | None = None

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(**{name: answer[name] for name in cls.__slots__ if name in answer})


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception that a source raised, and the seq that it did not give."""

    type: str
    message: str
    seq: int


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as the ledger has it. ``source`` None: producers push. ``members``: all that was answered."""

    queue: str
    source: str | None
    args: Mapping[str, Json]
    state: str
    paused: bool
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    created_at: datetime
    failure: Failure | None
    settings: QueueSettings
    members: Mapping[str, Json] = field(repr=False, compare=False)

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        failure = answer["failure"]
        return cls(
            **{name: answer[name] for name in _PLAIN},
            created_at=instant(answer["created_at"]),
            failure=failure and Failure(failure["type"], failure["message"], failure["seq"]),
            settings=QueueSettings.of(answer["settings"]),
            members=answer,
        )


_PLAIN = (
    *("queue", "source", "args", "state", "paused", "generation"),
    *("cursor", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead"),
)


@dataclass(frozen=True, slots=True)
class Audit:
    """Independent counters of one moment. ``balanced``: nothing is missing, and no item is there twice."""

    queue: str
    generation: int
    cursor: int
    taken: int
    acked: int
    purged: int
    jumped: int
    waiting: int
    leased: int
    dead: int
    delayed: int
    overlaps: int
    balanced: bool

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(**{name: answer[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """One failed attempt of an item: a nack, or a lease that expired."""

    attempt: int
    at: datetime
    worker: str
    error: str

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(answer["attempt"], instant(answer["at"]), answer["worker"], answer["error"])


@dataclass(frozen=True, slots=True)
class QueueItem:
    """An item inside a queue.

    ``due_at``: since or from when it can be claimed, when its lease ends, or since when it is dead.
    ``error``: of its last failed attempt. ``history``: only where one item was asked for.
    """

    seq: int
    value: Json
    state: str
    attempt: int
    priority: int
    due_at: datetime | None
    worker: str | None
    error: str | None
    history: tuple[FailedAttempt, ...] = ()

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(
            answer["seq"],
            answer["value"],
            answer["state"],
            answer["attempt"],
            answer["priority"],
            answer["due_at"] and instant(answer["due_at"]),
            answer.get("worker"),
            answer.get("error"),
            tuple(map(FailedAttempt.of, answer.get("history", ()))),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Items by seq; ``next`` is the ``after`` of the next page, None on the last one."""

    items: tuple[QueueItem, ...]
    next: int | None

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(tuple(map(QueueItem.of, answer["items"])), answer["next"])


def instant(text: str) -> datetime:
    """An instant of RFC 3339."""
    return datetime.fromisoformat(text)
