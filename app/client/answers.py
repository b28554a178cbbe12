"""The answers about queues and items, one frozen record each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, Self

Json = Any


class Unchanged(Enum):
    """Stands for a source or a setting that a definition does not name, and that stays as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
_Whole = int | None | Literal[Unchanged.UNCHANGED]
_Seconds = float | Literal[Unchanged.UNCHANGED]
_KeptFor = float | None | Literal[Unchanged.UNCHANGED]


@dataclass(frozen=True, slots=True, init=False)
class QueueSettings:
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    Durations are in seconds. ``max_attempts`` and ``max_ready`` None: no bound. The back-off doubles from
    ``backoff`` to ``backoff_max``; ``jitter`` (0 to 1) is the share of it that is random. ``key_ttl`` is how
    long the answer to an idempotency key is kept, ``item_key_ttl`` how long the key of a pushed item is
    known, ``history`` how long the server keeps who took or acked which items (0: not at all). For these
    three, None means for ever.

    A definition changes the settings that are named here, and leaves the others as they are.
    """

    max_attempts: int | None
    backoff: float
    backoff_max: float
    jitter: float
    max_ready: int | None
    key_ttl: float | None
    item_key_ttl: float | None
    history: float | None
    _named: frozenset[str] = field(repr=False, compare=False)

    def __init__(
        self,
        max_attempts: _Whole = UNCHANGED,
        backoff: _Seconds = UNCHANGED,
        backoff_max: _Seconds = UNCHANGED,
        jitter: _Seconds = UNCHANGED,
        max_ready: _Whole = UNCHANGED,
        *,
        key_ttl: _KeptFor = UNCHANGED,
        item_key_ttl: _KeptFor = UNCHANGED,
        history: _KeptFor = UNCHANGED,
    ) -> None:
        given = (max_attempts, backoff, backoff_max, jitter, max_ready, key_ttl, item_key_ttl, history)
        named = {
            name: value
            for name, value in zip(_DEFAULTS, given, strict=True)
            if not isinstance(value, Unchanged)
        }
        for name, default in _DEFAULTS.items():
            object.__setattr__(self, name, named.get(name, default))
        object.__setattr__(self, "_named", frozenset(named))

    def to_json(self) -> dict[str, Json]:
        """The settings that were named, as a request has them."""
        return {name: getattr(self, name) for name in _DEFAULTS if name in self._named}

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(**{name: answer[name] for name in _DEFAULTS if name in answer})


_DEFAULTS: Final[Mapping[str, Any]] = {
    "max_attempts": 10,
    "backoff": 1.0,
    "backoff_max": 3_600.0,
    "jitter": 0.1,
    "max_ready": None,
    "key_ttl": 86_400.0,
    "item_key_ttl": 86_400.0,
    "history": 0.0,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """The exception that a source raised, and the seq that it did not give."""

    type: str
    message: str
    seq: int


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as the ledger has it.

    ``source`` is None if producers push. ``configured`` tells what defined the queue last: ``file`` or
    ``http``, or ``gone`` if the server's configuration file had it once and no longer has it. ``members`` has
    everything that the server answered.
    """

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
    configured: str
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
            configured=answer.get("configured", "http"),
            members=answer,
        )


_PLAIN = (
    *("queue", "source", "args", "state", "paused", "generation"),
    *("cursor", "taken", "acked", "purged", "jumped", "waiting", "leased", "dead"),
)


@dataclass(frozen=True, slots=True)
class Audit:
    """Independent counters of one moment. ``balanced``: no item is missing, and none is there twice."""

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
class Backup:
    """A consistent copy of the ledger: its path on the server's machine, its size in bytes."""

    path: str
    bytes: int

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(answer["path"], answer["bytes"])


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
class HistoryEntry:
    """Consecutive items that one answer took or acked (``verb``), in one generation of the queue.

    ``key`` is that request's Idempotency-Key, or None; ``worker`` is the worker that held acked items.
    """

    generation: int
    first: int
    last: int
    verb: str
    at: datetime
    caller: str
    key: str | None
    worker: str

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(**{**{name: answer[name] for name in cls.__slots__}, "at": instant(answer["at"])})


@dataclass(frozen=True, slots=True)
class QueueItem:
    """An item inside a queue; or a single item that is done, if the queue keeps a history.

    ``due_at`` is the time since or from when the item can be handed out, when its lease ends, or since when
    it is dead. ``error`` is that of its last failed attempt. Only the answer for a single item has
    ``history``. ``done`` says who took or acked an item that is done (whose ``value`` is None if it is no
    longer kept).
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
    done: HistoryEntry | None = None

    @classmethod
    def of(cls, answer: Mapping[str, Json]) -> Self:
        """Read an answer."""
        return cls(
            answer["seq"],
            answer["value"],
            answer["state"],
            answer.get("attempt", 0),
            answer.get("priority", 0),
            instant(answer["due_at"]) if answer.get("due_at") else None,
            answer.get("worker"),
            answer.get("error"),
            tuple(map(FailedAttempt.of, answer.get("history", ()))),
            HistoryEntry.of(answer["done"]) if answer.get("done") else None,
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
