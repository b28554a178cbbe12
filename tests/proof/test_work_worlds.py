"""The checker of work against all worlds in which a correct server could have answered so."""

from __future__ import annotations

from random import Random

import pytest
from dibs.proof.checker import judge
from dibs.proof.kinds import Kind
from dibs.proof.records import (
    Do,
    End,
    Header,
    History,
    Note,
    Outcome,
)
from hypothesis import given, settings

from .work_lines import MS, World, arbitrary, judged, lease_in

# -- every world that a correct server could have been in

STEP = 10 * MS


class Worlds:
    """Tries every instant at which each request may have taken effect, on a server that keeps its word.

    Times are steps of 10 ms. One item, that is handed out at most once at a time.
    """

    def __init__(self, lines, seq):
        self.requests = []
        for line in lines[1:]:
            lease = lease_in(line)
            if lease and seq in lease.seqs:
                attempt = lease.attempts[lease.seqs.index(seq)]
                self.requests.append(("lease", line, lease.token, attempt))
            for entry in line.asked.entries:
                if any(first == seq for first, _ in entry.seqs):
                    outcomes = line.answer.outcomes[0] if line.answer else ()
                    came = next((c for c in outcomes if c.first == seq), None)
                    self.requests.append((entry.do, line, entry.token, (came and came.verdict, entry.ttl)))
        self.seen = set()

    def possible(self):
        return self.search(frozenset(range(len(self.requests))), 0, (None, 0, 0, False))

    def search(self, left, now, state):
        """``state``: the token that has it, its due, attempts so far, whether it is acked."""
        if all(self.requests[at][1].outcome is Outcome.UNKNOWN for at in left):
            return True
        if (left, now, state) in self.seen:
            return False
        self.seen.add((left, now, state))
        limit = min(
            self.requests[at][1].completed for at in left if self.requests[at][1].outcome is Outcome.OK
        )
        unborn = {self.requests[at][2] for at in left if self.requests[at][0] == "lease"}
        for at in left:
            kind, line, token, _ = self.requests[at]
            if kind != "lease" and token in unborn:
                continue  # nobody shows a token before its lease was answered
            for time in range(max(now, line.invoked), limit + 1, STEP):
                if line.outcome is Outcome.OK and time > line.completed:
                    break
                after = self.step(self.requests[at], time, state)
                if after is not None and self.search(left - {at}, time, after):
                    return True
        return False

    def step(self, request, now, state):
        """The state after this request; None where a correct server would have answered otherwise."""
        kind, line, token, more = request
        owner, due, tried, acked = state
        if kind == "lease":
            # What is left of ttl counts from the reply, which came in time.
            replied = now + line.asked.ttl - lease_in(line).expires_in
            fits = not acked and now >= due and more == tried + 1 and now <= replied <= line.completed
            return (token, now + line.asked.ttl, tried + 1, False) if fits else None
        verdict, ttl = more
        live = owner == token and now < due and not acked
        if not live:
            return state if verdict in {"stale", None} else None
        if verdict == "stale":
            return None
        return {
            Do.ACK: (None, now, tried, True),
            Do.NACK: (None, now, tried, False),
            Do.RELEASE: (None, now, tried - 1, False),
            Do.EXTEND: (owner, now + ttl, tried, False),
        }[kind]


@settings(max_examples=150, deadline=None)
@given(arbitrary())
def test_nobody_is_accused_of_what_a_correct_server_could_have_done(lines):
    verdict, _ = judged(lines)
    accused = {
        seq
        for cases in verdict.cases
        if cases.rule.violates and cases.rule.name not in {"lost", "unseen", "wrong-value"}
        for finding in cases.examples
        for first, last in finding.seqs
        for seq in range(first, last + 1)
    }
    for seq in accused:
        assert not Worlds(lines, seq).possible(), verdict.cases


def test_the_search_of_worlds_tells_possible_from_impossible(work):
    push = work.push(0, 0, [1])
    first, ack = work.lease(10, 20, "a", [1], ttl=100), work.settle(30, 40, "ack", "a", [1])
    again = work.lease(60, 70, "b", [1], attempt=2)
    assert Worlds([push, first, ack], 1).possible()
    assert not Worlds([push, first, again], 1).possible()
    assert not Worlds([push, first, ack, again], 1).possible()
    assert Worlds([push, first, work.settle(30, 40, "nack", "a", [1]), again], 1).possible()


def test_notes_are_no_requests():
    verdict = judge(History(Header("q", Kind.WORK), [Note("crash", 1, 1)], End(1)))
    assert (verdict.totals["requests"], verdict.totals["crashes"]) == (0, 1)


@pytest.mark.parametrize(
    ("bug", "rule"),
    [
        ("two-owners", "two-owners"),
        ("acked-again", "acked-again"),
        ("no-fence", "stale-accepted"),
        ("live-refused", "live-refused"),
        ("value", "wrong-value"),
        ("same-attempt", "attempt-twice"),
        ("push-twice", "key-twice"),
        ("lose-pushed", "lost"),
        ("lose-nacked", "lost"),
        ("forget-keys", "unseen"),
    ],
)
def test_a_server_with_a_fault_is_caught(fake_work, bug, rule):
    """The control: of 25 histories of each kind of broken server, some show it, under its own name."""
    caught = 0
    for seed in range(25):
        world = World(fake_work, Random(seed), 200)
        world.server.bug, world.server.every = bug, 2
        caught += bool(judge(world.run(2, 5, 6)).counts.get(rule))
    assert caught
