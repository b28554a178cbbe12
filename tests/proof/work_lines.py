"""A correct server whose clients interleave, arbitrary lines of a history of work, and how all is judged."""

from __future__ import annotations

import json
from dataclasses import replace

from dibs.proof.calls import exchange, lease_of, push
from dibs.proof.checker import judge
from dibs.proof.fields import Came
from dibs.proof.history import read_lines
from dibs.proof.kinds import Kind
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
    Outcome,
    Push,
    Pushed,
    Request,
)
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
