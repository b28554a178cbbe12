"""Settles jobs: sends entries until they are answered, and applies what the server says of each."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from . import calls
from .answers import Outcome, Settlement
from .errors import ClientError, Invalid, LimitExceeded, Problem, ResultRefused, ServerRefused
from .flow import Flow, Terms, log
from .job import BEGUN, HeldLease, Job
from .jobs import Jobs
from .keys import Key
from .options import OnLost
from .persist import persist
from .records import LeaseAsk
from .text import fit
from .verbs import EXTENDS, NACKS, VERBS, Kind, Verdict

OnRefused = Callable[[Job, ServerRefused], Mapping[str, Any] | None]

_ENDS: Final = frozenset(word for verb in VERBS.values() for word in verb.ends)
_HURRY: Final = 5.0
"""Seconds for a settle on a connection that hangs, at least; else a third of the ttl."""
REST: Final = 1.0
"""Seconds until what was not answered, or refused for now, is asked again."""


class Entry(NamedTuple):
    """One entry of a request: jobs of one lease that end in the same way, or go on.

    ``traceparent``: of its results; all entries of a request that have results have the same.
    """

    kind: Kind
    text: str
    jobs: Sequence[Job]
    held: HeldLease
    traceparent: str | None = None

    @property
    def ends(self) -> int:
        """How many jobs it ends."""
        return 0 if self.kind == EXTENDS else len(self.jobs)


class Settling:
    """Settles the jobs of one lease iterator, and extends their leases; for its fetcher and its keeper."""

    def __init__(self, jobs: Jobs, terms: Terms, on_lost: OnLost | None) -> None:
        self._jobs = jobs
        self._terms = terms
        self._clock = terms.tempo.clock
        self._on_lost = on_lost or (lambda _: None)
        self.on_refused: OnRefused = lambda job, error: None

    # -- the request

    def settle(self, entries: Sequence[Entry], ask: LeaseAsk | None = None) -> Flow[Settlement | None]:
        """Send entries, and apply what became of them. None: that is not known, or was found out singly.

        While the server can't be reached the consumer is told, and the same request is sent again, with its
        key, until closing ends: under another key an ack that was lost on its way back would look stale.
        """
        with self._terms.sessions.lent() as key:
            try:
                return (yield from self._until_answered(entries, ask, key))
            except ServerRefused as error:
                refused = error
        yield from self._singly(entries, ask, refused)
        return None

    def _until_answered(
        self, entries: Sequence[Entry], ask: LeaseAsk | None, key: Key
    ) -> Flow[Settlement | None]:
        jobs = self._jobs
        parent = next((entry.traceparent for entry in entries if entry.traceparent is not None), None)
        call = calls.settle(jobs.queue, [(entry.kind, entry.text) for entry in entries], ask, parent)
        call = replace(call, request=call.request._replace(within=max(_HURRY, jobs.ttl / 3)))
        sent = self._clock()
        while True:
            asked = self._clock()
            try:
                settlement = yield from persist(call, self._terms, key=key)
            except ClientError as error:
                if isinstance(error, ServerRefused) and not error.retryable:
                    raise
                jobs.fail(error, at_once=True)
            else:
                jobs.pace.travelled(self._clock() - asked)
                self._apply(entries, settlement, sent)
                return settlement
            if jobs.finished(self._clock()):
                self._abandon(entries)
                return None
            yield from self._terms.pause(REST)

    def _singly(self, entries: Sequence[Entry], ask: LeaseAsk | None, refused: ServerRefused) -> Flow[None]:
        """One wrong entry refuses a whole request: find it, so that the others are settled."""
        if ask is not None:
            yield from self.settle(entries)
            if (refused.field or "").startswith("lease"):
                raise refused
        elif len(entries) > 1 and isinstance(refused, Invalid):
            middle = len(entries) // 2
            yield from self.settle(entries[:middle])
            yield from self.settle(entries[middle:])
        else:
            self._reject(entries, refused)

    # -- from the answer to jobs

    def _apply(self, entries: Sequence[Entry], settlement: Settlement, sent: float) -> None:
        """Apply the answer to a request that was sent at ``sent``."""
        jobs = self._jobs
        lost: list[Job] = []
        refused: list[tuple[Job, Outcome]] = []
        with jobs.lock:
            for entry, outcomes in zip(entries, settlement.outcomes, strict=True):
                jobs.outbox.sent -= entry.ends
                if entry.kind == EXTENDS:
                    lost += _extended(entry, outcomes, sent)
                else:
                    self._ended(entry, outcomes, lost, refused)
        for job in lost:
            self._lose(job)
        for job, outcome in refused:
            self._refuse(job, _refusal(outcome))
        jobs.came.ring()

    def _ended(
        self,
        entry: Entry,
        outcomes: Sequence[Outcome],
        lost: list[Job],
        refused: list[tuple[Job, Outcome]],
    ) -> None:
        if len(outcomes) == 1 and outcomes[0].outcome in _ENDS and _within(entry.jobs, outcomes[0]):
            self._jobs.over(entry.jobs, outcomes[0].outcome)
            return
        for job, outcome in _each(entry.jobs, outcomes):
            if outcome is not None and outcome.outcome in _ENDS:
                self._jobs.over([job], outcome.outcome)
            elif outcome is not None and outcome.outcome == "refused":
                refused.append((job, outcome))
            else:
                lost.append(job)

    def _reject(self, entries: Sequence[Entry], error: ServerRefused) -> None:
        """Give up entries that the server refuses for good."""
        for entry in entries:
            if entry.kind == EXTENDS and entry.held.ttl != self._jobs.ttl:
                told = "%s: the leases of %d jobs can't be extended: %s"
                log.warning(told, self._jobs.queue, len(entry.jobs), error)
                entry.held.ttl, entry.held.beat_at = self._jobs.ttl, self._clock()
                continue
            self._jobs.outbox.sent -= entry.ends
            alone = False
            for job in entry.jobs:
                if isinstance(error, Invalid) and not job.verdict.fallback and entry.ends:
                    alone = _of_its_own(job, error)
                    self._refuse(job, error, alone=alone)
                else:
                    self._lose(job)
            if not alone:
                self._jobs.fail(error, at_once=True)
        self._jobs.came.ring()
        self._jobs.changed.ring()  # a heartbeat may be due at once

    def _lose(self, job: Job) -> None:
        """Tell who has a job whose lease has ended."""
        if not self._jobs.lose(job):
            return
        log.warning("%r: others may do it again", job)
        try:
            self._on_lost(job)
        except Exception:
            log.exception("on_lost failed for %r", job)

    def _refuse(self, job: Job, error: ServerRefused, *, alone: bool = False) -> None:
        """Nack a job whose end was refused instead, so that the refusal is seen with the item.

        ``alone``: what this job said was at fault, and the others can go on. Of an error that is longer than
        this server takes, its end is kept: that is no refusal to be told of.
        """
        if isinstance(error, LimitExceeded) and (error.field or "").endswith(".error") and error.most:
            cut = fit(job.verdict.error, error.most)
            self._jobs.finish(job, job.verdict._replace(error=cut, fallback=True))
            return
        how: Mapping[str, Any] = {}
        try:
            how = self.on_refused(job, error) or how
        except Exception:
            log.exception("on_refused failed for %r", job)
        self._jobs.finish(job, Verdict(NACKS, error=fit(str(error)), fallback=True, **how))
        if alone:
            log.warning("%r failed, as its end was refused: %s", job, error)
        else:
            self._jobs.fail(error, at_once=True)

    def _abandon(self, entries: Sequence[Entry]) -> None:
        """Give up the jobs that are left, as no answer came in the time for closing."""
        ended = sum(entry.ends for entry in entries)
        self._jobs.outbox.sent -= ended
        told = "%s: the server could not be told that %d jobs ended; their leases run out"
        log.warning(told, self._jobs.queue, ended)


def _extended(entry: Entry, outcomes: Sequence[Outcome], sent: float) -> list[Job]:
    """The jobs that are no longer ours. Jobs whose end is on its way learn it from that answer."""
    gone = []
    for job, outcome in _each(entry.jobs, outcomes):
        if outcome is not None and outcome.outcome == "extended":
            entry.held.kept(sent, outcome.expires_in)
        elif job.stage <= BEGUN:
            gone.append(job)
    return gone


def _within(jobs: Sequence[Job], outcome: Outcome) -> bool:
    """Whether one range has all the jobs, so that no job has to be looked up."""
    seqs = outcome.seqs
    return seqs is not None and all(seqs[0] <= job.seq <= seqs[1] for job in jobs)


def _each(jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> list[tuple[Job, Outcome | None]]:
    """Each job with the outcome of its range; None if no range has it, so that it is not held."""
    told = sorted((outcome.seqs, outcome) for outcome in outcomes if outcome.seqs is not None)
    firsts = [seqs[0] for seqs, _ in told]
    found: list[tuple[Job, Outcome | None]] = []
    for job in jobs:
        place = bisect_right(firsts, job.seq) - 1
        inside = place >= 0 and job.seq <= told[place][0][1]
        found.append((job, told[place][1] if inside else None))
    return found


def _of_its_own(job: Job, error: Invalid) -> bool:
    """Whether a refusal is about this job's own data: a result that can't be carried, an odd delay, an error.

    The name of a result's queue is none of that: all others go there, too.
    """
    verdict = job.verdict
    said = bool(verdict.push or verdict.error) or verdict.delay is not None
    return said and not (error.field or "").endswith(".queue")


def _refusal(outcome: Outcome) -> ResultRefused:
    why = {"unknown": "there is no such queue", "closed": "it is closed"}.get(
        outcome.reason or "", "it is fed by a source"
    )
    detail = f"the queue {outcome.queue} does not take the result: {why}"
    return ResultRefused(Problem("result-refused", 409, detail, "no", members={"reason": outcome.reason}))
