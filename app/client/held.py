"""Leases that are held, and how many of their jobs ended in each way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from .job import Job

_BEATS: Final = 3
"""Heartbeats in the time of a lease."""


def no_copy(what: str) -> NoReturn:
    """Refuse to pickle or copy a leased item."""
    raise TypeError(
        f"{what} can't be pickled or copied: what is leased belongs to the process that leased it "
        "(send the value, or the queue, and lease there)"
    )


class Held:
    """One lease, or a part of it that is kept for another ``ttl``.

    ``jobs`` are those that the server has not settled. ``due`` is the time until which the lease is certainly
    ours, counted from before its request was sent. ``whole`` is the number of items that its token was given
    for; 0 for a part. ``arrived`` is when the lease was given.
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
        """Note that a request sent at ``sent`` gave or extended the lease."""
        self.due = sent + (self.ttl if seconds is None else seconds)
        self.beat_at = sent + (self.due - sent) / _BEATS


@dataclass
class Counts:
    """How many jobs of a lease iterator ended in each way, as the server confirmed.

    ``begun``: handed to the consumer. ``lost``: their leases ended early, begun or not.
    """

    begun: int = 0
    acked: int = 0
    nacked: int = 0
    dead: int = 0
    released: int = 0
    lost: int = 0
