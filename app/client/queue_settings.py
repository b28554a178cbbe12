"""The settings of a queue, as a definition names them and an answer has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
