"""Ends of jobs on their way to the server."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from .job import SENT, Job
from .verbs import ACK

MANY: Final = 20_000
"""Ends that wait to be sent, beyond which nothing more is fetched: two of the largest batches."""
_LINGER: Final = 1.0
_JOBS: Final = 20_000
_ENTRIES: Final = 5_000
_BYTES: Final = 4 * 1024 * 1024


class Outbox:
    """Jobs that ended and that the server has not confirmed: some wait, ``sent`` of them are on their way.

    Waiting jobs are sent within a second, or a tenth of the ttl, if no request takes them along earlier. Not
    for several threads at once: ``Jobs`` holds its lock.
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
        """The time at which the waiting jobs are to be sent; None: no job waits."""
        return self._since + self._linger if self._jobs else None

    @property
    def crowded(self) -> bool:
        """Whether so many jobs wait that no further job should be begun."""
        return len(self._jobs) > MANY

    def add(self, job: Job) -> bool:
        """Put a job in; return whether the sender must know: it is the first, or one too many."""
        jobs = self._jobs
        jobs.append(job)
        if len(jobs) == 1:
            self._since = self._clock()
            return True
        return len(jobs) == MANY + 1

    def take(self) -> list[list[Job]]:
        """As many jobs as fit a request, the oldest first, grouped by lease and verdict; they count as sent.

        A job with results is a group of its own: such an entry is all or nothing. All results of a request
        have one traceparent.
        """
        groups: dict[Any, list[Job]] = {}
        count = size = 0
        held = verdict = group = None
        parents: set[str | None] = set()
        while self._jobs and count < _JOBS and size < _BYTES and len(groups) < _ENTRIES:
            if (said := self._jobs[0].verdict).push:
                if parents and said.traceparent not in parents:
                    break
                parents.add(said.traceparent)
            job = self._jobs.popleft()
            if group is None or job.held is not held or job.verdict is not verdict:
                held, verdict = job.held, job.verdict
                group = groups.setdefault((id(held), verdict, job.seq if verdict.push else 0), [])
            group.append(job)
            job.stage = SENT
            count += 1
            if verdict is not ACK:
                size += job.verdict.size
        self.sent += count
        return list(groups.values())
