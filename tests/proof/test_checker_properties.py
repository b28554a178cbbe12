"""The checker against a model server (clean, then damaged) and against a naive oracle."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from dibs.proof.checker import judge
from dibs.proof.errors import PlantError
from dibs.proof.kinds import Damage
from dibs.proof.plant import plant
from dibs.proof.records import Audit, End, Header, History, Outcome, Request, Take, Taken
from dibs.proof.values import pieces_of
from dibs.proof.verdict import Judgement
from hypothesis import given, settings
from hypothesis import strategies as st


@dataclass
class ModelServer:
    """A correct queue: draws in order, answers a key once, and a network that loses what it likes.

    A request goes through steps that interleave with everyone else's: sent, drawn, answered. It may be
    refused, its reply may be lost, and it may be served after its client gave up.
    """

    random: Random
    asked: int
    start: int
    step: int
    clock: count[int] = field(default_factory=lambda: count(1))
    cursor: int = 0
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    late: list[str] = field(default_factory=list)
    records: list[Request] = field(default_factory=list)

    def serve(self, key: str) -> tuple[int, int, bool]:
        if key in self.keys:
            return *self.keys[key], True
        size = self.random.randint(1, self.asked)
        self.keys[key] = (self.cursor + 1, self.cursor + size)
        self.cursor += size
        return *self.keys[key], False

    def client(self, name: str, requests: int, patience: int):
        """One client's life; it yields wherever somebody else may have the turn."""
        for number in range(requests):
            for _ in range(patience):
                if (yield from self.attempt(name, f"{name}-{number}")):
                    break

    def attempt(self, name: str, key: str):
        invoked, fate = next(self.clock), self.random.random()
        yield
        if fate < 0.1:
            self.note(name, key, invoked, Outcome.FAILED)
            return False
        if fate < 0.2:
            self.late.append(key)
        if fate < 0.3:
            self.note(name, key, invoked, Outcome.UNKNOWN)
            return False
        first, last, replay = self.serve(key)
        yield
        if fate < 0.5:
            self.note(name, key, invoked, Outcome.UNKNOWN)
            return False
        self.note(name, key, invoked, Outcome.OK, (first, last), replay)
        return True

    def note(self, name, key, invoked, outcome, *answer):
        taken, replay = None, False
        if answer:
            span, replay = answer
            values = [self.start + (seq - 1) * self.step for seq in range(span[0], span[1] + 1)]
            taken = Taken(pieces_of([span], values))
        times, line = (invoked, next(self.clock)), len(self.records) + 2
        told = outcome, Take(self.asked), taken, replay, None, line
        self.records.append(Request(name, key, *times, *told))

    def run(self, clients: int, requests: int, patience: int) -> History:
        alive = [self.client(str(name), requests, patience) for name in range(clients)]
        while alive:
            life = self.random.choice(alive)
            if next(life, self) is self:
                alive.remove(life)
            if self.late and self.random.random() < 0.3:
                self.serve(self.late.pop())
        for key in self.late:
            self.serve(key)
        header = Header("q", cursor=0, taken=0, jumped=0, start=self.start, step=self.step)
        audit = Audit(self.cursor, self.cursor, 0, True)
        return History(header, self.records, End(len(self.records), (audit,)))


@st.composite
def histories(draw, patience=200):
    server = ModelServer(
        Random(draw(st.integers(0, 2**32))),
        asked=draw(st.integers(1, 4)),
        start=draw(st.integers(-5, 5)),
        step=draw(st.sampled_from([1, 1, 2, -1, 7])),
    )
    return server.run(draw(st.integers(1, 6)), draw(st.integers(1, 8)), patience)


@given(histories())
def test_what_a_correct_server_does_is_clean(history):
    verdict = judge(history)
    assert verdict.judgement is Judgement.CLEAN, verdict.cases
    assert verdict.totals["items"] == history.end.audits[-1].cursor


@given(histories(patience=2))
def test_a_correct_server_is_never_accused_of_what_a_lost_reply_may_hide(history):
    verdict = judge(history)
    assert verdict.judgement is not Judgement.VIOLATED, verdict.cases
    assert verdict.columns["allowed"] == history.end.audits[-1].cursor - verdict.totals["seqs"]


@pytest.mark.parametrize("damage", [Damage.DUPLICATE, Damage.SKIP, Damage.REORDER])
@settings(max_examples=40)
@given(history=histories(), seed=st.integers(0, 2**32))
def test_each_planted_damage_is_found_and_nothing_else(damage, history, seed):
    try:
        damaged, told = plant(history, damage, Random(seed))
    except PlantError:
        return
    verdict = judge(damaged)
    assert verdict.columns[damage.column] > 0, told
    assert {cases.rule.column for cases in verdict.cases} == {damage.column}


@pytest.mark.parametrize("damage", [Damage.DUPLICATE, Damage.SKIP, Damage.REORDER])
@settings(max_examples=40)
@given(history=histories(patience=2), seed=st.integers(0, 2**32))
def test_planted_damage_is_found_among_lost_replies_too(damage, history, seed):
    try:
        damaged, told = plant(history, damage, Random(seed))
    except PlantError:
        return
    assert judge(damaged).columns[damage.column] > 0, told


@st.composite
def answered(draw):
    """One request of an arbitrary, mostly wrong history: a keyless answer, or a lost one."""
    invoked = draw(st.integers(0, 12))
    completed = invoked + draw(st.integers(0, 6))
    if draw(st.integers(0, 3)) == 0:
        asked = Take(draw(st.shared(st.integers(1, 3), key="n")))
        return Request("c", None, invoked, completed, Outcome.UNKNOWN, asked)
    first, size = draw(st.integers(1, 14)), draw(st.integers(1, 3))
    values = draw(
        st.one_of(
            st.just(list(range(first, first + size))),
            st.lists(st.sampled_from([1, 2, 3, "1", 2.0]), min_size=size, max_size=size),
        )
    )
    pieces = pieces_of([(first, first + size - 1)], values)
    return Request("c", None, invoked, completed, Outcome.OK, Take(3), Taken(pieces))


class Naive:
    """The promises written down as they are read: every pair of requests, every item, every assignment."""

    def __init__(self, records: list[Request]) -> None:
        self.answers = [record for record in records if record.answer]
        self.lost = [record for record in records if record.outcome is Outcome.UNKNOWN]
        self.items = [
            (seq, piece.value_at(seq))
            for record in self.answers
            for piece in record.answer.pieces
            for seq in range(piece.first, piece.last + 1)
        ]

    def counts(self) -> dict[str, int]:
        values, seqs = defaultdict(set), defaultdict(set)
        for seq, value in self.items:
            values[value].add(seq)
            seqs[seq].add(value)
        missing = self.gaps(set(seqs))
        allowed = self.best(missing, self.lost)
        counts = {
            "seq-twice": sum(Counter(seq for seq, _ in self.items).values()) - len(seqs),
            "two-values": sum(len(group) > 1 for group in seqs.values()),
            "value-twice": sum(len(group) - 1 for group in values.values()),
            "wrong-value": sum(seq not in group for seq, group in seqs.items()),
            "reordered": sum(self.is_late(record) for record in self.answers),
            "allowed": allowed,
            "gap": sum(last - first + 1 for first, last in missing) - allowed,
            "unresolved": len(self.lost),
        }
        return {rule: number for rule, number in counts.items() if number}

    def is_late(self, second: Request) -> bool:
        lowest = min(piece.first for piece in second.answer.pieces)
        return any(self.highest(first) > lowest for first in self.answers if first.completed < second.invoked)

    def highest(self, record: Request) -> int:
        return max(piece.last for piece in record.answer.pieces)

    def gaps(self, got: set[int]) -> list[tuple[int, int]]:
        spans, seqs = [], [seq for seq in range(1, max(got, default=0) + 1) if seq not in got]
        for seq in seqs:
            if spans and spans[-1][1] == seq - 1:
                spans[-1] = (spans[-1][0], seq)
            else:
                spans.append((seq, seq))
        return spans

    def best(self, missing: list[tuple[int, int]], lost: list[Request]) -> int:
        """The most missing seqs that lost requests can own, each filling one gap: every way is tried."""
        if not lost:
            return 0
        request, rest = lost[0], lost[1:]
        arrived = [self.highest(record) for record in self.answers if record.completed < request.invoked]
        ways = [self.best(missing, rest)]
        for at, (first, last) in enumerate(missing):
            if first <= last and max(arrived, default=0) < first:
                filled = min(last, first + request.asked.most - 1)
                left = [*missing[:at], (filled + 1, last), *missing[at + 1 :]]
                # What is left of the gap is as far above what had arrived as the gap was.
                ways.append(filled - first + 1 + self.best(left, rest))
        return max(ways)


@settings(max_examples=150)
@given(st.lists(answered(), max_size=9))
def test_the_checker_counts_what_a_naive_oracle_counts(records):
    header = Header("q", cursor=0, start=1, step=1)
    verdict = judge(History(header, records))
    assert verdict.counts == Naive(records).counts()
