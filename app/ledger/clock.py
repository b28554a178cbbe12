"""Ledger time: integer milliseconds that never go back.

At start it is the later of the wall clock and the last time persisted; from there on it follows the
monotonic clock: one that counts the time of a suspended system too, where there is one. So a wall clock that
is set back, while running or between two starts, ends nothing early and starts nothing again (the design's
section 7).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

# Nanoseconds since some moment, the time of a suspended system included where that can be told: its leases
# go on.
elapsed: Callable[[], int] = time.monotonic_ns
if hasattr(time, "CLOCK_BOOTTIME"):
    elapsed = partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME)


class LedgerClock:
    """Milliseconds since the epoch, from an injected wall clock and monotonic clock (both in nanoseconds)."""

    def __init__(
        self,
        persisted: int = 0,
        *,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = elapsed,
    ) -> None:
        self._monotonic = monotonic
        self._base = max(wall() // 1_000_000, persisted) * 1_000_000 - monotonic()

    def now(self) -> int:
        """Ledger time in milliseconds, never less than before."""
        return (self._base + self._monotonic()) // 1_000_000
