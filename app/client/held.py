"""Leases that are held, and the sums of what became of their jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from .job import Job

_BEATS: Final = 3
"""Heartbeats in the time of a lease."""


def no_copy(what: str) -> NoReturn:
    """Refuse to pickle or copy what is leased."""
    raise TypeError(
        f"{what} can't be pickled or copied: what is leased belongs to the process that leased it "
        "(send the value, or the queue, and lease there)"
    )


class Held:
    """One lease, or a part of it that is kept for another ``ttl``.

    ``jobs``: those that the server has not settled. ``due``: until when it is ours for certain, counted from
    before the request that got it was sent. ``whole``: how many items its token was given for; 0 for a part.
    ``arrived``: when it was given.
    """

    __slots__ = ("arrived", "beat_at", "due", "jobs", "token", "ttl", "whole")

    def __init__(self, token: str, ttl: float, arrived: float) -> None:
        self.token = token
        self.ttl = ttl
        self.arrived = arrived
        self.jobs: dict[int, Job] = {}
        self.whole = 0
        self.due = self.beat_at = 0.0

    def split(self, job: Job, ttl: float) -> Held:
        """Take a job out, to be kept for ``ttl`` at a time under the same token. A heartbeat is due."""
        part = Held(self.token, ttl, self.arrived)
        part.due, part.jobs = self.due, {job.seq: self.jobs.pop(job.seq)}
        self.whole, job.held = 0, part
        return part

    def kept(self, sent: float, seconds: float | None = None) -> None:
        """It was given or extended by a request that was sent at ``sent``."""
        self.due = sent + (self.ttl if seconds is None else seconds)
        self.beat_at = sent + (self.due - sent) / _BEATS


@dataclass
class Counts:
    """What became of the jobs of a lease iterator, as the server confirmed it.

    ``begun``: handed to the consumer. ``lost``: their leases ended early, begun or not.
    """

    begun: int = 0
    acked: int = 0
    nacked: int = 0
    dead: int = 0
    released: int = 0
    lost: int = 0
