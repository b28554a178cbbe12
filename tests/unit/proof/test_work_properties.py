"""The checker of work against a model server (clean, then damaged), a naive oracle, all possible worlds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from random import Random

import pytest
from dibs.proof.calls import exchange, lease_of, push
from dibs.proof.checker import judge
from dibs.proof.errors import PlantError
from dibs.proof.fields import Came
from dibs.proof.history import read_lines
from dibs.proof.kinds import Column, Damage, Kind
from dibs.proof.plant import plant
from dibs.proof.records import (
    DONE,
    Audit,
    Do,
    End,
    Entry,
    Exchange,
    Exchanged,
    Header,
    History,
    Inside,
    Lease,
    Note,
    Outcome,
    Push,
    Pushed,
    Request,
)
from dibs.proof.verdict import Judgement
from hypothesis import given, settings
from hypothesis import strategies as st

MS = 1_000_000
TTL = 0.2


class World:
    """A correct server (the fake, on a clock of its own), and clients whose steps interleave.

    A request may be refused, its reply may be lost, it may be served after its client gave up; the server may
    be restarted at any time.
    """

    def __init__(self, fake_work, random, patience):
        self.random, self.patience = random, patience
        self.clock = 0
        self.server = fake_work.FakeWork(now=lambda: self.clock / 1000)
        self.server.settings = {"max_attempts": 3, "backoff": 0.03}
        self.late, self.lines, self.jobs, self.restarts = [], [], 0, 0

    def tick(self):
        self.clock += self.random.choice([1, 1, 2, 5, 5, 30])
        return self.clock * MS

    def note(self, body):
        self.lines.append(json.dumps(body))

    # -- requests

    def ask(self, call, name, key):
        """One request until it is answered or given up. Yields where others may have the turn."""
        for _ in range(self.patience):
            invoked, fate = self.tick(), self.random.random()
            yield
            told = None
            if fate < 0.1:
                told = {"outcome": "failed", "error": "refused"}
            elif fate < 0.2:
                if fate < 0.15:
                    self.late.append((call.path, call.body, key))
                told = {"outcome": "unknown", "error": "lost"}
            else:
                _, answer, replay = self.server.answer(call.path, call.body, key)
                self.tick()
                yield
                if fate < 0.35:
                    told = {"outcome": "unknown", "error": "lost"}
                else:
                    told = {"outcome": "ok", **call.read(answer), "replay": replay}
            asked = {**call.asked, "client": name, "key": key}
            self.note({**asked, "invoked": invoked, "completed": self.tick(), **told})
            if told["outcome"] == "ok":
                return told
        return None

    def producer(self, name, requests):
        for number in range(requests):
            self.jobs += 1
            names = [f"{name}-{self.random.randint(0, requests)}", None]
            values = [self.value(names[0]), self.value(self.jobs)]
            items = [{"value": v} | ({"key": n} if n else {}) for v, n in zip(values, names, strict=True)]
            yield from self.ask(push(items), name, f"{name}-{number}")

    @staticmethod
    def value(of):
        return {"job": of} if isinstance(of, str) else of

    def consumer(self, name, requests):
        hand = []
        for number in range(requests):
            lease = {"max": self.random.randint(1, 3), "ttl": TTL}
            told = yield from self.ask(exchange(hand, lease), name, f"{name}-{number}")
            lease = told and lease_of(told["lease"])
            hand = self.decide(name, lease) if lease else []
            for _ in range(self.random.choice([0, 0, 1, 3])):
                self.tick()
                yield

    def decide(self, name, lease):
        """What a consumer does with its lease: any mix, whole or in parts, or nothing at all."""
        now = self.clock * MS
        if self.random.random() < 0.2:
            self.note(
                {"op": "note", "what": "crash", "at": now, "until": now, "client": name, "token": lease.token}
            )
            return []
        ttl = int(TTL * 1e9)
        if self.random.random() < 0.3:
            return [Entry(self.random.choice(list(Do)), lease.token, None, ttl)]
        return [
            Entry(self.random.choice(list(Do)), lease.token, ((seq, seq),), ttl)
            for seq in sorted(lease.seqs)
            if self.random.random() < 0.9
        ]

    def restart(self):
        """Down for some time; each live lease is prolonged."""
        killed, at = self.clock * MS, self.server.now()
        self.clock += self.random.choice([1, 50, 400])
        self.server.restart(self.server.now(), at)
        self.note({"op": "note", "what": "restart", "at": killed, "until": self.tick()})

    def run(self, producers, consumers, requests):
        alive = [self.producer(f"p{n}", requests) for n in range(producers)]
        alive += [self.consumer(f"c{n}", requests * 2) for n in range(consumers)]
        while alive:
            life = self.random.choice(alive)
            if next(life, self) is self:
                alive.remove(life)
            if self.late and self.random.random() < 0.3:
                self.server.answer(*self.late.pop())
            if self.random.random() < 0.01:
                self.restart()
        for request in self.late:
            self.server.answer(*request)
        audit = self.server.audit()
        page = self.server.page(0, 10**6)["items"]
        inside = tuple(Inside(one["seq"], one["state"], one["attempt"]) for one in page)
        counters = {name: audit[name] for name in Audit.__slots__}
        end = End(len(self.lines), (Audit(**counters),), inside, steady=True)
        header = '{"dibs_history": 3, "kind": "work", "queue": "q", "max_attempts": 3}'
        return replace(read_lines([header, *self.lines]), end=end)


@st.composite
def worlds(draw, patience=200):
    seed, sizes = draw(st.integers(0, 2**32)), [draw(st.integers(1, most)) for most in (2, 5, 6)]
    return lambda fake_work: World(fake_work, Random(seed), patience).run(*sizes)


@settings(deadline=None)
@given(worlds())
def test_what_a_correct_server_does_is_clean(fake_work, world):
    history = world(fake_work)
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN, verdict.cases
    assert verdict.totals["pushed"] == history.end.audits[-1].cursor
    assert verdict.totals["unseen"] == 0


@settings(deadline=None)
@given(worlds(patience=2))
def test_a_correct_server_is_never_accused_of_what_a_lost_reply_may_hide(fake_work, world):
    verdict = judge(world(fake_work))
    assert verdict.judgement is not Judgement.VIOLATED, verdict.cases


WORK = [Damage.LOST, Damage.TWO_OWNERS, Damage.ACKED_AGAIN, Damage.VALUE]


@pytest.mark.parametrize("patience", [200, 2])
@pytest.mark.parametrize("damage", WORK)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_each_planted_damage_is_found_and_nothing_else(fake_work, damage, patience, data, seed):
    history = data.draw(worlds(patience))(fake_work)
    try:
        damaged, told = plant(history, damage, Random(seed))
    except PlantError:
        return
    verdict = judge(damaged)
    assert verdict.columns[damage.column] > 0, told
    # Where an ack is missing, the server's count of acks has one too many.
    others = {Column.ALLOWED} | ({Column.UNEXPLAINED} if damage is Damage.LOST else set())
    assert {cases.rule.column for cases in verdict.cases} - others == {damage.column}
    assert "planted" not in {getattr(line, "client", None) for line in history.lines}


# -- arbitrary histories, against the rules as they are read

SEQS = (1, 2)


@st.composite
def arbitrary(draw):
    """Hand-outs and settles of two items that contradict each other in any way; milliseconds."""
    times = st.integers(0, 40).map(lambda time: time * 10)
    lines = [asked(0, 0, 0, Push((1, 2), (None, None)), Pushed(SEQS, frozenset()))]
    for token in range(draw(st.integers(1, 4))):
        at, long = draw(times), draw(st.integers(0, 8)) * 10
        seqs = draw(st.sampled_from([(1,), (2,), (1, 2)]))
        ttl = draw(st.integers(1, 20)) * 10
        left = ttl - draw(st.integers(0, min(long, ttl) // 10)) * 10
        attempts = tuple(draw(st.integers(1, 3)) for _ in seqs)
        values = tuple(draw(st.sampled_from([seq, seq, seq, 9])) for seq in seqs)
        lease = Lease(str(token), left * MS, seqs, values, attempts)
        lines.append(asked(len(lines), at, at + long, Exchange((), 9, ttl * MS), Exchanged((), lease)))
        for _ in range(draw(st.integers(0, 3))):
            lines.append(draw(settles(str(token), seqs, at + long, len(lines))))
    return lines


@st.composite
def settles(draw, token, seqs, since, line):
    do = draw(st.sampled_from(list(Do)))
    at = since + draw(st.integers(0, 25)) * 10
    until = at + draw(st.integers(0, 6)) * 10
    ttl = draw(st.integers(1, 20)) * 10 * MS
    spans = tuple((seq, seq) for seq in seqs)
    exchange = Exchange((Entry(do, token, spans, ttl),), 0, 0)
    if draw(st.integers(0, 4)) == 0:
        return asked(line, at, until, exchange, None)
    done = sorted(DONE[do])[-1]
    came = tuple(
        Came(seq, seq, verdict, ttl if verdict == "extended" else 0)
        for seq in seqs
        for verdict in [draw(st.sampled_from([done, done, "stale"]))]
    )
    return asked(line, at, until, exchange, Exchanged((came,)))


def asked(line, at, until, asked, answer):
    outcome = Outcome.OK if answer else Outcome.UNKNOWN
    return Request("c", None, at * MS, until * MS, outcome, asked, answer, line=line)


def lease_in(line):
    return line.answer and line.answer.lease


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


def most(duration):
    return duration + 2 * MS + duration // 1000


COMPARED = {
    "lost",
    "maybe",
    "acked-twice",
    "acked-again",
    "wrong-value",
    "two-owners",
    "attempt-back",
    "attempt-twice",
    "live-refused",
    "stale-accepted",
}


def judged(lines):
    end = End(len(lines), inside=(), steady=True)
    verdict = judge(History(Header("q", Kind.WORK), lines, end), examples=10**6)
    return verdict, {rule: count for rule, count in verdict.counts.items() if rule in COMPARED}


@settings(max_examples=150, deadline=None)
@given(arbitrary())
def test_the_checker_counts_what_a_naive_oracle_counts(lines):
    naive = Naive(lines).counts
    assert judged(lines)[1] == {rule: count for rule, count in naive.items() if rule and count}


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
