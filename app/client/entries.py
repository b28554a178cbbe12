"""From jobs to the entries of a settle request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from .calls import EXTENDS, NACKS, Kind
from .flow import log
from .job import HeldLease, Job
from .jobs import Jobs
from .text import encode, ranges

_SOON: Final = 12
_LATE: Final = 0.05
"""Seconds by which any thread may be late."""


class Entry(NamedTuple):
    """One entry of a request: jobs of one lease that end in the same way, or go on."""

    kind: Kind
    text: str
    jobs: Sequence[Job]
    held: HeldLease

    @property
    def ends(self) -> int:
        """How many jobs it ends."""
        return 0 if self.kind == EXTENDS else len(self.jobs)


class Entries:
    """Makes the entries of one lease iterator's requests, for its fetcher and its keeper."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._told_late = False

    def due(self, now: float, *, done: bool) -> list[Entry]:
        """The entries to send now: those of ``done`` jobs, and the heartbeats that are due."""
        with self._jobs.lock:
            found = self._done() if done else []
            if any(held.beat_at <= now for held in self._jobs.leases):
                found += self._beats(now, {job for entry in found for job in entry.jobs})
            return found

    def _done(self) -> list[Entry]:
        """The jobs of the outbox that fit into a request. If they held up fetching, fetching may go on."""
        crowded = self._jobs.outbox.crowded
        found = [_ending(jobs) for jobs in self._jobs.outbox.take()]
        if crowded:
            self._jobs.nudge()
        return found

    def _beats(self, now: float, named: set[Job]) -> list[Entry]:
        """Extend the leases that are due, and with them those that are due soon.

        Also jobs whose end is on its way in another request: that may be slow, or have been lost.
        """
        found = []
        for held in self._jobs.leases:
            if held.beat_at > now + held.ttl / _SOON:
                continue
            self._tell_late(held, now - held.beat_at)
            jobs = [job for job in held.jobs.values() if job not in named]
            if jobs:
                held.beat_at = now + held.ttl / 3  # until the answer says more
                found.append(Entry(EXTENDS, _text(held, jobs, [f'"ttl":{held.ttl}']), jobs, held))
        return found

    def _tell_late(self, held: HeldLease, late: float) -> None:
        """Warn, once, where a heartbeat comes so late that the next like it may come too late."""
        if self._told_late or late <= max(held.ttl / 3, _LATE):
            return
        self._told_late = True
        log.warning(
            "%s: a heartbeat comes %.1f s late, of a ttl of %g s: work that holds the GIL or blocks the "
            "event loop keeps heartbeats back, or the server was slow to answer. Others may get the items "
            "meanwhile; take a longer ttl, or do such work in a process of its own",
            self._jobs.queue,
            late,
            held.ttl,
        )


def _ending(jobs: list[Job]) -> Entry:
    verdict, held = jobs[0].verdict, jobs[0].held
    fields = []
    if verdict.push:
        fields.append(f'"push":[{",".join(verdict.push)}]')
    if verdict.kind == NACKS:
        fields += [f'"error":{encode(verdict.error)}'] if verdict.error else []
        fields += [f'"delay":{verdict.delay}'] if verdict.delay is not None else []
        fields += ['"dead":true'] if verdict.dead else []
    return Entry(verdict.kind, _text(held, jobs, fields), jobs, held)


def _text(held: HeldLease, jobs: Sequence[Job], fields: list[str]) -> str:
    """The text of an entry: a whole lease is named by its token alone, a part of it by its seqs, too."""
    members = [f'"token":{encode(held.token)}']
    if len(jobs) != held.whole:
        members.append(f'"seqs":{encode(ranges(job.seq for job in jobs))}')
    return f"{{{','.join(members + fields)}}}"
