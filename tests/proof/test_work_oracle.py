"""The checker of work against a naive oracle, which counts in its own way."""

from __future__ import annotations

from collections import Counter, defaultdict

from dibs.proof.fields import Came
from dibs.proof.records import (
    Do,
)
from hypothesis import given, settings

from .work_lines import MS, SEQS, arbitrary, judged, lease_in, most


class Naive:
    """The promises written down as they are read: every pair of hand-outs, every settle."""

    def __init__(self, lines):
        self.counts = Counter()
        self.given, self.acts = defaultdict(list), defaultdict(list)
        for line in lines[1:]:
            lease = lease_in(line)
            for at, seq in enumerate(lease.seqs if lease else ()):
                self.given[seq].append((line, lease.attempts[at], lease.values[at]))
            for entry in line.asked.entries:
                for came in (
                    line.answer.outcomes[0] if line.answer else [Came(f, f, None) for f, _ in entry.seqs]
                ):
                    self.acts[entry.token, came.first].append((line, entry, came))
        for seq in SEQS:
            self.judge(seq)

    def judge(self, seq):
        given = self.given[seq]
        acks = [
            (line, came)
            for (_, at), acts in self.acts.items()
            if at == seq
            for line, entry, came in acts
            if entry.do is Do.ACK
        ]
        acked = [line for line, came in acks if came.verdict == "acked"]
        maybe = any(came.verdict is None for _, came in acks)
        rule = None if acked else "maybe" if maybe else "lost"
        self.counts[rule] += 1
        self.counts["acked-twice"] += max(0, len(acked) - 1)
        first = min((line.completed for line in acked), default=10**18)
        self.counts["acked-again"] += sum(line.invoked > first for line, *_ in given)
        self.counts["wrong-value"] += sum(value != seq for *_, value in given)
        for at, (line, attempt, _) in enumerate(given):
            others = given[:at] + given[at + 1 :]
            self.counts["two-owners"] += self.is_second(seq, line, at, given)
            self.counts["attempt-back"] += any(
                other.completed < line.invoked and tried > attempt for other, tried, _ in others
            )
            self.fencing(seq, line, attempt, others)
        self.counts["attempt-twice"] += sum(
            any(
                tried == attempt and self.used(seq, other) and self.comes_after(seq, line, at, other, before)
                for before, (other, tried, _) in enumerate(given)
                if other is not line
            )
            for at, (line, attempt, _) in enumerate(given)
            if not self.released(seq, line)
        )

    def comes_after(self, seq, line, at, other, before):
        """Certainly; of two that have both used their attempt, one of them does."""
        if other.completed < line.invoked:
            return True
        return self.used(seq, line) and (other.completed, before) < (line.completed, at)

    def settled(self, seq, line):
        """In the order of sending; of those that were sent at once the longest first."""
        acts = self.acts[lease_in(line).token, seq]
        return sorted(acts, key=lambda act: (act[0].invoked, -until_of(act[0])))

    def used(self, seq, line):
        """Whether its attempt counts for certain."""
        if self.released(seq, line):
            return False
        nacked = any(came.verdict in {"nacked", "dead"} for _, _, came in self.settled(seq, line))
        return nacked or len(lease_in(line).seqs) == 1

    def released(self, seq, line):
        settled = self.settled(seq, line)
        return any(entry.do is Do.RELEASE and came.verdict != "stale" for _, entry, came in settled)

    def sure_until(self, seq, line):
        """The least end of the lease over all that its requests leave open.

        An extension decides if it certainly came after all others before it; else the least of them does.
        """
        live = [act for act in self.settled(seq, line) if act[2].verdict != "stale"]
        ends, over = [line.invoked + least(min(lease_in(line).expires_in, line.asked.ttl))], []
        for settle, entry, came in live:
            if entry.do is Do.EXTEND:
                end = settle.invoked + least(came.expires_in or entry.ttl)
                last = came.verdict and all(until < settle.invoked for until in over)
                ends = [end] if last else [*ends, end]
                over.append(until_of(settle))
        return min(ends + [settle.invoked for settle, entry, _ in live if entry.do is not Do.EXTEND])

    def is_second(self, seq, line, at, given):
        """Whether somebody who had it before this one arrived certainly still had it."""
        own = self.sure_until(seq, line)
        for index, (other, *_) in enumerate(given):
            earlier = (other.completed, index) < (line.completed, at)
            if other is line or not earlier or self.sure_until(seq, other) <= line.completed:
                continue
            if own > line.completed or other.completed < line.invoked:
                return True
        return False

    def fencing(self, seq, line, attempt, others):
        sure = self.sure_until(seq, line)
        gone = min(
            (o.completed for o, tried, _ in others if o.invoked > line.completed or tried > attempt),
            default=10**18,
        )
        gone = gone if gone >= sure else 10**18
        ended = 10**18
        over = line.completed + most(lease_in(line).expires_in)
        settled = self.settled(seq, line)
        if any(entry.do is Do.EXTEND and came.verdict is None for _, entry, came in settled):
            over = 10**18
        for settle, entry, came in settled:
            if came.verdict == "stale":
                self.counts["live-refused"] += settle.completed < sure
            elif came.verdict is not None:
                ends = entry.do is not Do.EXTEND
                late = settle.invoked > min(gone, ended, over)
                self.counts["stale-accepted"] += late or (ends and ended < 10**18)
                ended = min(ended, settle.completed) if ends else ended
                over = over if ends else max(over, settle.completed + most(came.expires_in))


def until_of(line):
    return line.completed if line.answer else 10**18


def least(duration):
    return duration - 2 * MS - duration // 1000


@settings(max_examples=150, deadline=None)
@given(arbitrary())
def test_the_checker_counts_what_a_naive_oracle_counts(lines):
    naive = Naive(lines).counts
    assert judged(lines)[1] == {rule: count for rule, count in naive.items() if rule and count}
