"""The limits of a hand-out. Over a limit is an error with nothing spent, never a clamp."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import LimitExceeded
from ..ledger.work import Ack, Entry

if TYPE_CHECKING:
    from .answers import LeaseAsk

NAME = re.compile(r"[a-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Limits:
    """Safe defaults; the settings of the same names change them. Durations in seconds, sizes in bytes."""

    count: int = 10_000
    block: int = 1_000_000
    handout_bytes: int = 4 * 1024 * 1024
    wait: float = 30.0
    key_bytes: int = 255
    key_ttl: float = 86_400.0
    threads: int = 4
    waiting: int = 10_000
    pull_patience: float = 5.0
    commit_patience: float = 30.0
    operate_patience: float = 30.0
    value_bytes: int = 262_144
    ttl: float = 43_200.0
    delay: float = 2_592_000.0
    error_bytes: int = 8_192
    worker_bytes: int = 255
    entries: int = 10_000
    ranges: int = 20_000
    settle_patience: float = 0.25

    def check_count(self, field: str, value: int, most: int) -> None:
        """Raise unless 1 ≤ value ≤ most."""
        if not 1 <= value <= most:
            raise LimitExceeded(f"{field} must be from 1 to {most}", field=field, limit=most)

    def check_wait(self, wait: float) -> None:
        """Raise unless 0 ≤ wait ≤ the limit; NaN is neither."""
        if not 0 <= wait <= self.wait:
            limit = f"{self.wait:g}"
            raise LimitExceeded(f"wait must be from 0 to {limit} seconds", field="wait", limit=limit)

    def check_lease(self, ask: LeaseAsk) -> None:
        """Raise unless a lease can be asked for like that."""
        self.check_count("max", ask.most, self.count)
        self.check_wait(ask.wait)
        self.check_seconds("ttl", ask.ttl, self.ttl, least=0.001)
        self.check_text("worker", ask.worker, self.worker_bytes)

    def check_entries(self, entries: Sequence[Entry]) -> None:
        """Raise where one request names too many leases, ranges or results."""
        sizes = {
            "entries": (len(entries), self.entries),
            "seqs": (sum(len(entry.seqs or ()) for entry in entries), self.ranges),
            "push": (sum(len(entry.push) for entry in entries if isinstance(entry, Ack)), self.count),
        }
        for field, (size, most) in sizes.items():
            if size > most:
                raise LimitExceeded(
                    f"{size} {field} in one request; the limit is {most}", field=field, limit=most
                )

    def check_seconds(self, field: str, value: float, most: float, *, least: float = 0.0) -> None:
        """Raise unless a duration is from ``least`` to ``most`` seconds; NaN is not."""
        if not least <= value <= most:
            raise LimitExceeded(
                f"{field} must be from {least:g} to {most:g} seconds", field=field, limit=f"{most:g}"
            )

    def check_text(self, field: str, text: str, most: int) -> None:
        """Raise unless a text is at most ``most`` bytes of UTF-8."""
        encoded = text.encode("utf-8", "replace")
        if len(encoded) > most or encoded.decode() != text:
            raise LimitExceeded(f"{field} must be at most {most} bytes of text", field=field, limit=most)

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
