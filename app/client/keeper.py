"""The keeper of a lease iterator: it keeps leases alive, and settles what should not wait for the fetcher."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .flow import Flow, Listen, log
from .job import BEGUN, HeldLease, Job
from .jobs import Jobs
from .settling import Entry, Settling
from .text import encode, ranges
from .verbs import EXTENDS, NACKS, RELEASE, Verdict

_SOON: Final = 12
_SHOWN: Final = 10
"""Ranges of seqs that a warning names, at most."""
_LATE: Final = 0.05
"""Seconds by which any thread may be late."""


@dataclass
class Keeper:
    """Keeps the jobs of one lease iterator, and makes the entries of requests, the fetcher's too.

    ``told_late``, ``told_left``: whether a late heartbeat was told, and jobs that were left unsettled.
    """

    jobs: Jobs
    settling: Settling
    told_late: bool = False
    told_left: bool = False

    def keep(self) -> Flow[None]:
        """Keep the leases alive, and settle what should not wait for the fetcher, until all is said.

        Or until the time for that is over.
        """
        jobs, clock = self.jobs, self.jobs.clock
        while True:
            seen = jobs.changed.rings
            if jobs.stop.begun:
                self.give_back()
            now = clock()
            if jobs.finished(now):
                return
            entries = self.entries(now, done=self.shed(now) or self.should_settle(now))
            if entries:
                yield from self.settling.settle(entries)
                continue
            with jobs.lock:  # what comes after this and is due sooner rings
                due = jobs.wakes = jobs.due
            yield Listen(jobs.changed, seen, None if due == math.inf else max(0.0, due - clock()))

    def should_settle(self, now: float) -> bool:
        """Whether what is done is to be sent without waiting for the next fetch."""
        jobs = self.jobs
        due = jobs.outbox.due
        return due is not None and (now >= due or jobs.pace.slow or jobs.outbox.crowded or jobs.alone)

    def shed(self, now: float) -> bool:
        """Give back what was fetched at another pace, or behind a job that takes long: others may be idle.

        Whether there was any.
        """
        jobs = self.jobs
        with jobs.lock:
            stay, ready = jobs.pace.stay, jobs.ready
            if stay is None or not ready or ready[0].held.arrived + stay > now:
                return False
            while ready and ready[0].held.arrived + stay <= now:
                jobs.finish(ready.popleft(), RELEASE)
            jobs.demand.overstayed = True
            jobs.pace.overstayed()
            return True

    def give_back(self) -> None:
        """After a stop: release what is ready; at the very end, also what was handed out and never settled.

        What was entered (``with job``) is nacked instead, and all that was handed out where an exception ends
        the loop: that counts as an attempt, as an item that ends its workers must not go round for ever.
        """
        jobs = self.jobs
        with jobs.lock:
            while jobs.ready:
                jobs.finish(jobs.ready.popleft(), RELEASE)
            if jobs.stop.deadline is None or not jobs.begun:
                return
            left = Verdict(NACKS, error="its worker stopped without settling it")
            for job in [job for held in jobs.leases for job in held.jobs.values() if job.stage == BEGUN]:
                jobs.begun -= 1
                jobs.finish(job, left if job.entered or jobs.broken else RELEASE)

    # -- what a request says

    def entries(self, now: float, *, done: bool) -> list[Entry]:
        """The entries to send now: those of ``done`` jobs, and the heartbeats that are due."""
        with self.jobs.lock:
            found = self._done() if done else []
            if any(held.beat_at <= now for held in self.jobs.leases):
                found += self._beats(now, {job for entry in found for job in entry.jobs})
            return found

    def _done(self) -> list[Entry]:
        """The jobs of the outbox that fit into a request. If they held up fetching, fetching may go on."""
        crowded = self.jobs.outbox.crowded
        found = [_ending(jobs) for jobs in self.jobs.outbox.take()]
        if crowded:
            self.jobs.nudge()
        return found

    def _beats(self, now: float, named: set[Job]) -> list[Entry]:
        """Extend the leases that are due, and with them those that are due soon.

        Also jobs whose end is on its way in another request: that may be slow, or have been lost.
        """
        found = []
        self._tell_left(now)
        for held in self.jobs.leases:
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
        if self.told_late or late <= max(held.ttl / 3, _LATE):
            return
        self.told_late = True
        log.warning(
            "%s: a heartbeat comes %.1f s late, of a ttl of %g s: work that holds the GIL or blocks the "
            "event loop keeps heartbeats back, or the server was slow to answer. Others may get the items "
            "meanwhile; take a longer ttl, or do such work in a process of its own",
            self.jobs.queue,
            late,
            held.ttl,
        )

    def _tell_left(self, now: float) -> None:
        """Warn, once, of jobs that seem to be left unsettled: their leases are kept as long as that is so.

        They were handed out a ttl ago, stand in no ``with``, which would settle them, and a consumer waits
        for the next job. It may wait for ever: a queue that they are inside of is never exhausted.
        """
        jobs = self.jobs
        if self.told_left or not jobs.demand.waiting:
            return
        left = [
            job.seq
            for held in jobs.leases
            for job in held.jobs.values()
            if job.stage == BEGUN and not job.entered and held.arrived + jobs.ttl <= now
        ]
        if left:
            self.told_left = True
            log.warning(
                "%s: handed out over %g s ago, not settled, and in no `with job`: %s. If nobody works on "
                "them any more, the next job is waited for in vain; ack, nack or release each one",
                jobs.queue,
                jobs.ttl,
                ", ".join(map(_shown, ranges(left)[:_SHOWN])),
            )


def _shown(span: tuple[int, int]) -> str:
    first, last = span
    return f"{first}" if first == last else f"{first}..{last}"


def _ending(jobs: list[Job]) -> Entry:
    verdict, held = jobs[0].verdict, jobs[0].held
    return Entry(verdict.kind, _text(held, jobs, verdict.members), jobs, held, verdict.traceparent)


def _text(held: HeldLease, jobs: Sequence[Job], more: list[str]) -> str:
    """The text of an entry: a whole lease is named by its token alone, a part of it by its seqs, too."""
    members = [f'"token":{encode(held.token)}']
    if len(jobs) != held.whole:
        members.append(f'"seqs":{encode(ranges(job.seq for job in jobs))}')
    return f"{{{','.join(members + more)}}}"
