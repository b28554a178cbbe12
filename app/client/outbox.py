"""Ends of jobs on their way to the server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from app.client.job import Job

MANY: Final = 10_000
"""Ends that wait to be sent, beyond which nothing more is fetched."""
_LINGER: Final = 1.0
_JOBS: Final = 5_000
_BYTES: Final = 4 * 1024 * 1024


class Outbox:
    """Jobs that are done, and the server has not said so: some wait, ``sent`` of them are on their way.

    What waits is sent within a second, or a tenth of the ttl, if nothing takes it along earlier. Not for
    several threads at once: ``Hand`` holds its lock.
    """

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self.sent = 0
        self._jobs: deque[Job] = deque()
        self._linger = min(_LINGER, ttl / 10)
        self._clock = clock
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def unsaid(self) -> int:
        """Jobs whose end the server has not confirmed."""
        return len(self._jobs) + self.sent

    @property
    def due(self) -> float | None:
        """When what waits has waited long enough; None: nothing waits."""
        return self._since + self._linger if self._jobs else None

    @property
    def crowded(self) -> bool:
        """Whether so much waits that no more work should be begun."""
        return len(self._jobs) > MANY

    def add(self, job: Job) -> bool:
        """Put a job in; whether it is the first."""
        first = not self._jobs
        if first:
            self._since = self._clock()
        self._jobs.append(job)
        return first

    def take(self) -> list[Job]:
        """As many jobs as fit a request, the oldest first; they count as sent."""
        taken: list[Job] = []
        size = 0
        while self._jobs and len(taken) < _JOBS and size < _BYTES:
            taken.append(self._jobs.popleft())
            size += taken[-1].verdict.size
        self.sent += len(taken)
        return taken
