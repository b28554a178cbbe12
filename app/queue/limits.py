"""The limits: what a request, an answer and a wait may be at most."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator
from pydantic_core import PydanticCustomError

from ..errors import LimitExceeded
from ..sources.encode import MAX_SAFE
from .definition import CENTURY

NAME = re.compile(r"[a-z0-9._-]{1,64}")


MIB: Final = 1024 * 1024
KEY_LEAST: Final = 36
"""Bytes of the keys that our own client makes: fewer can't be the limit. So it is with other least values."""


class Limits(BaseModel):
    """The ``[limits]`` of the settings. Durations in seconds, sizes in bytes.

    Over a limit is an error with nothing spent, never a clamp.

    All parts of a server hold the same ``Limits``, so that a reload changes them in one place, and in one
    step of the event loop: ``become``. Nobody else changes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    _followers: list[Callable[[], None]] = PrivateAttr(default_factory=list)

    body_bytes: int = Field(default=MIB, ge=1024, description="The largest request body.")
    items_bytes: int = Field(
        default=16 * MIB, ge=1024, description="The largest body of `/items`, `/settle`."
    )
    value_bytes: int = Field(default=256 * 1024, ge=1, description="The largest value, as JSON.")
    handout_bytes: int = Field(
        default=4 * MIB, ge=1024, description="The most bytes of one hand-out (it has one item at least)."
    )
    count: int = Field(
        default=10_000, ge=1, le=1_000_000, description="The most items of one hand-out or push."
    )
    block: int = Field(default=1_000_000, ge=1, le=MAX_SAFE, description="The most numbers of one block.")
    wait: float = Field(default=30, ge=0, le=3600, description="The longest `wait` of a request.")
    key_bytes: int = Field(default=255, ge=KEY_LEAST, le=255, description="The longest idempotency key.")
    key_ttl: float = Field(
        default=86_400, ge=60, le=CENTURY, description="How long the answer to an idempotency key is kept."
    )
    threads: int = Field(default=4, ge=1, le=64, description="Threads that pull from one queue's source.")
    waiting: int = Field(default=10_000, ge=1, description="Requests that may wait on one queue.")
    pull_patience: float = Field(
        default=5, gt=0, description="How long a request waits for a source before it is busy: 503."
    )
    commit_patience: float = Field(default=30, gt=0, description="How long a request waits for the disk.")
    operate_patience: float = Field(
        default=30, gt=0, description="How long `advance` waits for a source to reach the new cursor."
    )
    ttl: float = Field(default=43_200, ge=0.001, le=2_592_000, description="The longest `ttl` of a lease.")
    delay: float = Field(
        default=2_592_000, ge=0, le=31_536_000, description="The longest `delay` of an item."
    )
    error_bytes: int = Field(default=8192, ge=1024, le=MIB, description="The longest `error` of a nack.")
    worker_bytes: int = Field(default=255, ge=1, le=4096, description="The longest name of a `worker`.")
    entries: int = Field(default=10_000, ge=1, description="Entries of one `/settle`.")
    ranges: int = Field(default=20_000, ge=10_000, description="Ranges of seqs of one `/settle`.")
    inbox_max: int = Field(
        default=1_000_000,
        ge=1,
        description="Rows of the inbox; above, queues that are full take no more by SQL.",
    )
    settle_patience: float = Field(
        default=0.25, gt=0, description="How long a settle waits for the source of its next lease."
    )

    head_patience: float = Field(
        default=10, gt=0, description="How long the head of a request may take to arrive."
    )
    body_patience: float = Field(
        default=30, gt=0, description="How long a body may pause, or an answer stay unread."
    )
    unfinished_bytes: int = Field(
        default=128 * MIB, ge=MIB, description="The most bytes kept of all unfinished requests together."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if isinstance(value, bool):  # true is no 1
            raise PydanticCustomError("no_number", "true is no number")
        return value

    def copy_of(self) -> Self:
        """The same limits, which nobody follows."""
        return type(self)(**dict(self))

    def follow(self, changed: Callable[[], None]) -> None:
        """Call ``changed`` after each change: what was made by the limits before has to be made anew."""
        self._followers.append(changed)

    def become(self, others: Limits) -> None:
        """Take the values of others; on the event loop."""
        self.__dict__.update(dict(others))
        for changed in self._followers:
            changed()

    @property
    def members(self) -> int:
        """The most members that a list has in a request that is within the limits."""
        return max(self.count, self.entries, self.ranges, self.value_bytes // 2 + 1)

    def check_key(self, key: str) -> None:
        """Raise unless the idempotency key is text of 1 to ``key_bytes`` bytes."""
        text = key.encode("utf-8", "replace")
        if not 1 <= len(text) <= self.key_bytes or text.decode() != key:
            raise LimitExceeded(
                f"Idempotency-Key must be from 1 to {self.key_bytes} bytes long",
                field="Idempotency-Key",
                limit=self.key_bytes,
            )


def check_name(name: str) -> None:
    """Raise unless a queue may be called so: ``[a-z0-9._-]{1,64}``, not ``.`` or ``..`` (URLs eat them)."""
    if not NAME.fullmatch(name) or name in (".", ".."):
        raise LimitExceeded(
            "a queue's name is 1 to 64 characters of a-z 0-9 . _ - (and not . or ..)",
            field="queue",
            limit="[a-z0-9._-]{1,64}",
        )
