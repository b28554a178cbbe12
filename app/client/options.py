"""The options of a lease iterator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

from .job import Job

OnError = Literal["nack", "raise"]
OnLost = Callable[[Job], None]
_LEAST_TTL: Final = 0.001


class LeaseOptions(TypedDict, total=False):
    """The keyword arguments of ``RemoteQueue.lease``, for functions that pass them on."""

    batch: int | None
    ttl: float
    prefetch: int | None
    in_hand: int | None
    wait: float
    on_error: OnError
    on_lost: OnLost | None
    grace: float
    until_empty: bool


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of ``RemoteQueue.lease``, checked.

    Raises:
        TypeError, ValueError: An argument is no number, or out of range.
    """

    batch: int | None
    ttl: float
    prefetch: int | None
    in_hand: int | None
    wait: float
    on_error: OnError
    on_lost: OnLost | None
    grace: float
    until_empty: bool

    def __post_init__(self) -> None:
        for name, least in (("batch", 1), ("prefetch", 0), ("in_hand", 1)):
            _check_whole(name, getattr(self, name), least)
        for name, shortest in (("ttl", _LEAST_TTL), ("wait", 0)):
            _check_seconds(name, getattr(self, name), shortest)
        if self.on_error not in {"nack", "raise"}:
            raise ValueError(f"on_error {self.on_error!r}: nack or raise")


def _check_whole(name: str, value: Any, least: int) -> None:
    if value is not None and not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number from {least} up, not {value!r}")
    if value is not None and value < least:
        raise ValueError(f"{name} {value}: at least {least}")


def _check_seconds(name: str, seconds: Any, least: float) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} must be a number of seconds from {least} up, not {seconds!r}")
    if not least <= seconds < math.inf:
        raise ValueError(f"{name} must be a number of seconds from {least} up, not {seconds}")
