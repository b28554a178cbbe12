"""What requests say and what is pushed or taken, one frozen record each. Durations are in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple, Self

Seqs = Sequence[tuple[int, int]]
"""Ranges of seqs, both ends included."""

Json = Any
"""A JSON object, as ``json`` reads and writes it."""


# -- requests


@dataclass(frozen=True, slots=True)
class LeaseAsk:
    """Asks for up to ``max`` items for ``ttl`` seconds, waiting up to ``wait`` seconds for the first one."""

    max: int = 1
    ttl: float = 30.0
    wait: float = 0.0
    worker: str = ""

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return {"max": self.max, "ttl": self.ttl, "wait": self.wait, "worker": self.worker}


@dataclass(frozen=True, slots=True)
class Result:
    """An item that an ack pushes into another queue, in the ack's transaction."""

    queue: str
    value: Json
    key: str | None = None
    delay: float = 0.0
    priority: int = 0

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        return {"queue": self.queue, **NewItem(self.value, self.key, self.delay, self.priority).to_json()}


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item to push. A ``key`` that is known already pushes nothing; ``delay`` in seconds."""

    value: Json
    key: str | None = None
    delay: float = 0.0
    priority: int = 0

    def to_json(self) -> dict[str, Json]:
        """As a request writes it."""
        item: dict[str, Json] = {"value": self.value}
        if self.key is not None:
            item["key"] = self.key
        if self.delay:
            item["delay"] = self.delay
        if self.priority:
            item["priority"] = self.priority
        return item


# -- definitions


class Unchanged(Enum):
    """Stands for a source or a setting that a definition does not name, and that stays as it is."""

    UNCHANGED = "unchanged"


UNCHANGED: Final[Any] = Unchanged.UNCHANGED


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The settings of a queue: its retries, how many items may wait, and how long it remembers.

    Durations are in seconds. ``max_attempts`` and ``max_ready`` None: no bound. The back-off doubles from
    ``backoff`` to ``backoff_max``; ``jitter`` (0 to 1) is the share of it that is random. ``key_ttl`` is how
    long the answer to an idempotency key is kept, ``item_key_ttl`` how long the key of a pushed item is
    known, ``history`` how long the server keeps who took or acked which items (0: not at all). For these
    three, None means for ever.

    A definition changes the settings that are named here, and leaves the others as they are.
    """

    max_attempts: int | None = UNCHANGED
    backoff: float = UNCHANGED
    backoff_max: float = UNCHANGED
    jitter: float = UNCHANGED
    max_ready: int | None = UNCHANGED
    _: KW_ONLY
    key_ttl: float | None = UNCHANGED
    item_key_ttl: float | None = UNCHANGED
    history: float | None = UNCHANGED
    _named: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        named = {name for name in _DEFAULTS if getattr(self, name) is not UNCHANGED}
        for name in _DEFAULTS.keys() - named:
            object.__setattr__(self, name, _DEFAULTS[name])
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


# -- answers


class Item(NamedTuple):
    """An item that was taken for good."""

    seq: int
    value: Json


@dataclass(frozen=True, slots=True)
class Pushed:
    """One pushed item: its seq, and whether its key was known (then it is the first push's seq)."""

    seq: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class PushReport:
    """How many items were pushed, and how many were known already by their keys."""

    accepted: int = 0
    duplicates: int = 0

    def __add__(self, other: PushReport) -> PushReport:
        return PushReport(self.accepted + other.accepted, self.duplicates + other.duplicates)
