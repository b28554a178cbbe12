"""The definition of a queue: its source, or none if producers push, and its settings.

A source or setting that a definition does not name stays as it is; a new queue then has no source, and the
default settings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from math import isfinite
from typing import Any, Final

from ..errors import LimitExceeded
from ..ledger.work import DEFAULT_SETTINGS, FOREVER, QueueSettings
from ..sources import SourceSpec

CENTURY: Final = 3_155_760_000
"""Seconds: the longest time for which something is kept, other than for ever."""

_IN_0_3: Final = ("max_attempts", "backoff", "backoff_max", "jitter", "max_ready")
"""The settings of release 0.3, in the order in which it wrote them down."""


class Kept(Enum):
    """Stands for the source in a definition that does not name one."""

    KEPT = "kept"


KEPT: Final = Kept.KEPT


@dataclass(frozen=True, slots=True)
class Definition:
    """A queue's definition. ``source`` None: producers push; :data:`KEPT`: the source stays as it is.

    ``settings`` has the settings that are named, in the ledger's units (see :func:`queue_settings`).
    """

    source: SourceSpec | Kept | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, wanted: Definition | SourceSpec | None) -> Definition:
        """The definition itself, or one made of a source alone."""
        return wanted if isinstance(wanted, Definition) else cls(wanted)

    def __str__(self) -> str:
        text = "as it is" if isinstance(self.source, Kept) else str(self.source or "pushed")
        return f"{text} {dict(sorted(self.settings.items()))}" if self.settings else text

    def texts_in_0_3(self) -> frozenset[str]:
        """The texts by which release 0.3 filed this definition under a key; none where it did not know it.

        There a definition that named no source had none, and one that named a setting named all five.
        """
        if not set(_IN_0_3).issuperset(self.settings):
            return frozenset()
        source = "pushed" if isinstance(self.source, Kept) else str(self.source or "pushed")
        values = {name: getattr(DEFAULT_SETTINGS, name) for name in _IN_0_3} | dict(self.settings)
        settings = ", ".join(f"{name}={values[name]}" for name in _IN_0_3)
        named = f"{source} QueueSettings({settings})"
        return frozenset({named} if self.settings else {source, named})


def queue_settings(**named: Any) -> dict[str, Any]:
    """A queue's settings as users write them, with durations in seconds. See ``QueueSettings``.

    ``max_attempts`` and ``max_ready`` 0 or None: no bound. ``key_ttl``, ``item_key_ttl`` and ``history`` None
    or ``"forever"``: for ever; ``history`` 0: not at all.

    Raises:
        LimitExceeded: a setting is wrong; the message names it.
    """
    return {name: _READERS[name](name, value) for name, value in named.items()}


def changed_settings(
    settings: QueueSettings, named: Mapping[str, Any], *, trusted: bool = False
) -> QueueSettings:
    """The settings after a definition that names some of them.

    Raises:
        LimitExceeded: the settings don't fit together; ``trusted`` ones are not checked.
    """
    changed = replace(settings, **named)
    if not trusted and changed.backoff > changed.backoff_max and {"backoff", "backoff_max"} & set(named):
        most = f"{changed.backoff_max / 1000:g}"
        raise LimitExceeded(f"backoff is over backoff_max ({most} seconds)", field="settings", limit=most)
    return changed


def _bound(most: int) -> Callable[[str, Any], int | None]:
    def read(field: str, value: Any) -> int | None:
        if value is None or (value == 0 and not isinstance(value, bool)):
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            why = f"{field} must be a whole number from 0 to {most}, or null; 0 and null mean any number"
            raise LimitExceeded(why, field=field, limit=most)
        return value

    return read


def _number(most: float, least: float = 0.0, others: str = "") -> Callable[[str, Any], float]:
    def read(field: str, value: Any) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
        if not number or not least <= value <= most:
            may_be = f"a number from {least:g} to {most:.12g}{others}"
            raise LimitExceeded(f"{field} must be {may_be}", field=field, limit=f"{least:g}..{most:g}")
        return float(value)

    return read


def _milliseconds(most: float, least: float = 0.0, others: str = "") -> Callable[[str, Any], int]:
    read = _number(most, least, others)
    return lambda field, value: round(read(field, value) * 1000)


def _keeping(least: float) -> Callable[[str, Any], int]:
    """A duration for which something is kept, in the ledger's units."""
    read = _milliseconds(CENTURY, least, ', or "forever"')
    return lambda field, value: FOREVER if value is None or value == "forever" else read(field, value)


_READERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "max_attempts": _bound(1_000_000),
    "backoff": _milliseconds(86_400),
    "backoff_max": _milliseconds(2_592_000),
    "jitter": _number(1),
    "max_ready": _bound(10**15),
    "key_ttl": _keeping(1),
    "item_key_ttl": _keeping(1),
    "history": _keeping(0),
}
