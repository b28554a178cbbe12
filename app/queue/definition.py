"""What a queue is defined as: its source, or none where producers push, and its settings."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..errors import LimitExceeded
from ..ledger.work import DEFAULT_SETTINGS, QueueSettings
from ..sources import SourceSpec


@dataclass(frozen=True, slots=True)
class Definition:
    """``source`` None: producers push. ``settings`` None: as they are, or the defaults for a new queue."""

    source: SourceSpec | None = None
    settings: QueueSettings | None = None

    @classmethod
    def of(cls, wanted: Definition | SourceSpec | None) -> Definition:
        """A source alone is a definition too."""
        return wanted if isinstance(wanted, Definition) else cls(wanted)

    def __str__(self) -> str:
        text = self.source.text if self.source else "pushed"
        return text if self.settings is None else f"{text} {self.settings}"


def queue_settings(
    *,
    max_attempts: Any = DEFAULT_SETTINGS.max_attempts,
    backoff: Any = DEFAULT_SETTINGS.backoff / 1000,
    backoff_max: Any = DEFAULT_SETTINGS.backoff_max / 1000,
    jitter: Any = DEFAULT_SETTINGS.jitter,
    max_ready: Any = DEFAULT_SETTINGS.max_ready,
) -> QueueSettings:
    """A queue's settings from what users write: durations in seconds. See ``QueueSettings``.

    ``max_attempts`` and ``max_ready`` 0 or None: no bound.

    Raises:
        LimitExceeded: one of them is not what it should be; it is named.
    """
    return QueueSettings(
        max_attempts=_whole("max_attempts", max_attempts, 1_000_000),
        backoff=_milliseconds("backoff", backoff, 86_400),
        backoff_max=_milliseconds("backoff_max", backoff_max, 2_592_000),
        jitter=_number("jitter", jitter, 1.0),
        max_ready=_whole("max_ready", max_ready, 10**15),
    )


def _whole(field: str, value: Any, most: int) -> int | None:
    if value is None or (value == 0 and not isinstance(value, bool)):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise LimitExceeded(f"{field} must be a whole number from 1 to {most}", field=field, limit=most)
    return value


def _number(field: str, value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise LimitExceeded(f"{field} must be a number", field=field, limit=f"0..{most:g}")
    if not 0 <= value <= most:
        raise LimitExceeded(f"{field} must be from 0 to {most:g}", field=field, limit=f"0..{most:g}")
    return float(value)


def _milliseconds(field: str, value: Any, most: float) -> int:
    return round(_number(field, value, most) * 1000)
