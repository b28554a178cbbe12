"""From jobs to the entries of a settle request, and from its answer back to jobs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from .answers import Outcome, Settlement
from .calls import EXTENDS, NACKS, Kind
from .errors import Invalid, Problem, ResultRefused, ServerRefused
from .hand import Hand
from .held import Held
from .job import BEGUN, Job, log
from .text import encode, ranges

_SOON: Final = 12
_LATE: Final = 0.05
"""Seconds by which any thread may be late."""
_ENDS: Final = frozenset({"acked", "nacked", "dead", "released"})


class Part(NamedTuple):
    """One entry: jobs of one lease that end in the same way."""

    kind: Kind
    text: str
    jobs: Sequence[Job]
    held: Held


def compose(hand: Hand, now: float, *, done: bool) -> list[Part]:
    """The entries to send now: the ``done`` jobs, and the heartbeats that are due."""
    with hand.lock:
        parts = _done(hand) if done else []
        if any(held.beat_at <= now for held in hand.helds):
            parts += _beats(hand, now, {job for part in parts for job in part.jobs})
        return parts


def _done(hand: Hand) -> list[Part]:
    """The jobs of the outbox that fit into a request. If they held up fetching, fetching may go on."""
    crowded = hand.outbox.crowded
    parts = [_part(jobs) for jobs in hand.outbox.take()]
    if crowded:
        hand.nudge()
    return parts


def _part(jobs: list[Job]) -> Part:
    verdict, held = jobs[0].verdict, jobs[0].held
    fields = []
    if verdict.push:
        fields.append(f'"push":[{",".join(verdict.push)}]')
    if verdict.kind == NACKS:
        fields += [f'"error":{encode(verdict.error)}'] if verdict.error else []
        fields += [f'"delay":{verdict.delay}'] if verdict.delay is not None else []
        fields += ['"dead":true'] if verdict.dead else []
    return Part(verdict.kind, _entry(held, jobs, fields), jobs, held)


def _beats(hand: Hand, now: float, named: set[Job]) -> list[Part]:
    """Extend the leases that are due, and with them those that are due soon.

    Also jobs whose end is on its way in another request: that may be slow, or have been lost.
    """
    parts = []
    for held in hand.helds:
        if held.beat_at > now + held.ttl / _SOON:
            continue
        _tell_late(hand, held, now - held.beat_at)
        jobs = [job for job in held.jobs.values() if job not in named]
        if jobs:
            held.beat_at = now + held.ttl / 3  # until the answer says more
            parts.append(Part(EXTENDS, _entry(held, jobs, [f'"ttl":{held.ttl}']), jobs, held))
    return parts


def _tell_late(hand: Hand, held: Held, late: float) -> None:
    """Warn, once, where a heartbeat comes so late that the next like it may come too late."""
    if hand.late or late <= max(held.ttl / 3, _LATE):
        return
    hand.late = True
    log.warning(
        "%s: a heartbeat comes %.1f s late, of a ttl of %g s: work that holds the GIL or blocks the event "
        "loop keeps heartbeats back, or the server was slow to answer. Others may get the items meanwhile; "
        "take a longer ttl, or do such work in a process of its own",
        hand.queue,
        late,
        held.ttl,
    )


def _entry(held: Held, jobs: Sequence[Job], fields: list[str]) -> str:
    """The entry of a part: a whole lease is named by its token alone, a part of it by its seqs, too."""
    members = [f'"token":{encode(held.token)}']
    if len(jobs) != held.whole:
        members.append(f'"seqs":{encode(ranges(job.seq for job in jobs))}')
    return f"{{{','.join(members + fields)}}}"


def conclude(hand: Hand, parts: Sequence[Part], settlement: Settlement, sent: float) -> None:
    """Apply the answer to a request that was sent at ``sent``."""
    lost: list[Job] = []
    refused: list[tuple[Job, Outcome]] = []
    with hand.lock:
        for part, outcomes in zip(parts, settlement.outcomes, strict=True):
            if part.kind == EXTENDS:
                lost += _extended(part, outcomes, sent)
            else:
                hand.outbox.sent -= len(part.jobs)
                _ended(hand, part, outcomes, lost, refused)
    for job in lost:
        hand.lose(job)
    for job, outcome in refused:
        hand.refused(job, _refusal(outcome))
    hand.jobs.ring()


def _extended(part: Part, outcomes: Sequence[Outcome], sent: float) -> list[Job]:
    """Mark the jobs that are no longer ours. Jobs whose end is on its way learn it from that answer."""
    gone = []
    for job, outcome in _each(part.jobs, outcomes):
        if outcome is not None and outcome.outcome == "extended":
            part.held.kept(sent, outcome.expires_in)
        elif job.stage <= BEGUN:
            gone.append(job)
    return gone


def _ended(
    hand: Hand,
    part: Part,
    outcomes: Sequence[Outcome],
    lost: list[Job],
    refused: list[tuple[Job, Outcome]],
) -> None:
    if len(outcomes) == 1 and outcomes[0].outcome in _ENDS and _within(part.jobs, outcomes[0]):
        hand.over(part.jobs, outcomes[0].outcome)
        return
    for job, outcome in _each(part.jobs, outcomes):
        if outcome is not None and outcome.outcome in _ENDS:
            hand.over([job], outcome.outcome)
        elif outcome is not None and outcome.outcome == "refused":
            refused.append((job, outcome))
        else:
            lost.append(job)


def _within(jobs: Sequence[Job], outcome: Outcome) -> bool:
    """Whether one range has all the jobs, so that no job has to be looked up."""
    seqs = outcome.seqs
    if seqs is None:
        return False
    first, last = seqs
    return all(first <= job.seq <= last for job in jobs)


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


def reject(hand: Hand, parts: Sequence[Part], error: ServerRefused) -> None:
    """Give up entries that the server refuses for good."""
    for part in parts:
        if part.kind == EXTENDS and part.held.ttl != hand.ttl:
            log.warning("%s: the leases of %d jobs can't be extended: %s", hand.queue, len(part.jobs), error)
            part.held.ttl, part.held.beat_at = hand.ttl, hand.clock()
            continue
        if part.kind != EXTENDS:
            hand.outbox.sent -= len(part.jobs)
        alone = False
        for job in part.jobs:
            if isinstance(error, Invalid) and not job.verdict.fallback and part.kind != EXTENDS:
                alone = _of_its_own(job, error)
                hand.refused(job, error, alone=alone)
            else:
                hand.lose(job)
        if not alone:
            hand.fail(error, at_once=True)
    hand.jobs.ring()


def _of_its_own(job: Job, error: Invalid) -> bool:
    """Whether a refusal is about this job's own data: a result that can't be carried, an odd delay.

    The name of a result's queue is none of that: all others go there, too.
    """
    verdict = job.verdict
    said = bool(verdict.push) or verdict.delay is not None
    return said and not (error.field or "").endswith(".queue")


def abandon(hand: Hand, parts: Sequence[Part]) -> None:
    """Give up the jobs that are left, as no answer came in the time for closing."""
    ended = sum(len(part.jobs) for part in parts if part.kind != EXTENDS)
    hand.outbox.sent -= ended
    log.warning(
        "%s: the server could not be told that %d jobs ended; their leases run out", hand.queue, ended
    )


def _refusal(outcome: Outcome) -> ResultRefused:
    why = {"unknown": "there is no such queue", "closed": "it is closed"}.get(
        outcome.reason or "", "it is fed by a source"
    )
    detail = f"the queue {outcome.queue} does not take the result: {why}"
    return ResultRefused(Problem("result-refused", 409, detail, "no", members={"reason": outcome.reason}))
