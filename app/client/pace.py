"""How much to fetch at once: as much as makes the round trips cheap, and no more.

What is fetched and not begun waits in vain for an idle worker elsewhere. So a batch grows only while round
trips are more than a twentieth of the time that its work takes, and never beyond a tenth of the ttl.
"""

from __future__ import annotations

from typing import Final

MOST: Final = 1_000
_SHARE: Final = 20
_TTL_SHARE: Final = 10
_HYSTERESIS: Final = 4
_WEIGHT: Final = 0.2
_WORTH: Final = 100


class Pace:
    """Learns the pace of the work and of the wire. Not for several threads at once: ``Hand`` holds its lock.

    Args:
        batch: Items of one request; None: adapted.
        prefetch: As ``RemoteQueue.lease`` has it.
        ttl: Seconds of a lease.
    """

    def __init__(self, batch: int | None, prefetch: int | None, ttl: float) -> None:
        self._fixed = batch
        self._prefetch = prefetch
        self._ttl = ttl
        self._grown = 1
        self._work: float | None = None
        self._trip: float | None = None

    @property
    def batch(self) -> int:
        """Items to ask for."""
        return self._fixed or self._grown

    @property
    def fixed(self) -> bool:
        """Whether the batch was given."""
        return self._fixed is not None

    @property
    def prefetch(self) -> int:
        """Fetch when fewer jobs than this are left to begin.

        A round trip of less than a hundredth of a batch's work is not worth that somebody else's items wait.
        """
        if self._prefetch is not None:
            return self._prefetch
        if self._work is None or self._trip is None:
            return self.batch if self.fixed else 0
        return self.batch if self._trip * _WORTH > self._work * self.batch else 0

    @property
    def slow(self) -> bool:
        """Whether round trips take so long that what is done should not wait for a hand-out."""
        return self._trip is not None and self._trip * _TTL_SHARE > self._ttl

    def worked(self, seconds: float) -> None:
        """The consumer was away with a job for so long."""
        self._work = _mean(self._work, seconds)

    def travelled(self, seconds: float) -> None:
        """A settle was answered after so long."""
        self._trip = _mean(self._trip, seconds)

    def fetched(self, asked: int, got: int) -> None:
        """A fetch brought ``got`` of ``asked`` items: grow, shrink or stay.

        A short answer lets nothing grow: there is no more, or the server stopped at its 4 MiB.
        """
        if self._work is None:
            return
        target = self._ttl / _TTL_SHARE
        if self._trip is not None:
            target = min(target, self._trip * _SHARE)
        lasts = self._work * self._grown
        if lasts < target and got >= asked >= self._grown:
            self._grown = min(MOST, self._grown * 2)
        elif lasts > target * _HYSTERESIS:
            self._grown = max(1, self._grown // 2)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else old + _WEIGHT * (new - old)
