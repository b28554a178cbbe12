"""The exact multiset and the order, under many callers and a disk that fails at random; and a control that
shows what goes wrong when drawing and entering the line are two steps.
"""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass
from itertools import count

import pytest
from dibs.errors import LedgerError, OutcomeUnknown, PullTimeout, Refused
from dibs.iterators import ThreadSafeIterator
from dibs.ledger.ops import EngineFailed

CALLERS = 24
EACH = 12  # requests that are answered, a caller


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent and answered, by one clock, and what it got."""

    sent: int
    answered: int
    first: int
    values: tuple

    @property
    def last(self) -> int:
        return self.first + len(self.values) - 1


class Callers:
    """Ask until everything that was asked for is there."""

    def __init__(self, house, seed: int, *, keys: bool = False) -> None:
        self.house, self.seed, self.keys = house, seed, keys
        self.clock = count()
        self.answers: list[Answer] = []
        self.refusals = 0

    async def work(self, name: int) -> None:
        amounts = random.Random(f"{self.seed} {name}")
        for number in range(EACH):
            await self.ask(amounts.randint(1, 4), f"{name} {number}" if self.keys else None)

    async def ask(self, amount: int, key: str | None) -> None:
        sent = next(self.clock)
        while True:
            try:
                taken = await self.house["q"].take(amount, wait=5, key=key)
            except OutcomeUnknown:
                assert key, "without a key nobody may be left in doubt here"
            except (LedgerError, Refused):
                self.refusals += 1
                sent = sent if key else next(self.clock)
            else:
                self.answers.append(Answer(sent, next(self.clock), taken.first, tuple(taken.values)))
                return


def verdict(answers: list[Answer], cursor: int) -> None:
    """Each item once, none left out, in the order of real time."""
    seqs = [seq for answer in answers for seq in range(answer.first, answer.last + 1)]
    assert sorted(seqs) == list(range(1, cursor + 1))
    highest = 0  # of all that were answered before the one at hand was sent
    answered = sorted(answers, key=lambda answer: answer.answered)
    at = 0
    for answer in sorted(answers, key=lambda answer: answer.sent):
        while answered[at].answered < answer.sent:
            highest = max(highest, answered[at].last)
            at += 1
        assert answer.first > highest


def random_faults(disk, seed: int, *, share: float) -> None:
    """Fail some of the commits, before or after they are on disk, and some of the reopenings."""
    chance = random.Random(seed)

    def fault(ops):
        if chance.random() > share:
            return None
        if chance.random() < 0.3:
            disk.repairs.append(EngineFailed("EIO"))
        return chance.choice(["absent", "present", "full"])

    disk.fault = fault


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("source", ["arithmetic", "replayed", "resumed", "formatted"])
async def test_each_item_once_and_in_order_whatever_the_disk_does(opened, stage, script, source, seed):
    spec = {
        "arithmetic": "count()",
        "formatted": 'count(format="{}")',
        "replayed": stage.spec(),
        "resumed": stage.spec(resumed=True),
    }[source]
    async with opened({"q": spec}) as house:
        random_faults(house.disk, seed, share=0.3)
        callers = Callers(house, seed)
        await asyncio.gather(*(callers.work(name) for name in range(CALLERS)))
        house.disk.fault = lambda ops: None
        audit = await house["q"].audit()
        assert audit.balanced
        verdict(callers.answers, audit.cursor)
        for answer in callers.answers:
            for seq, value in enumerate(answer.values, answer.first):
                assert str(value).strip('"') == str(seq)
        assert callers.refusals > 0  # or nothing was tried


@pytest.mark.parametrize("seed", range(2))
async def test_the_same_holds_over_restarts(opened, stage, script, seed, tmp_path):
    answers: list[Answer] = []
    clock = count()
    for life in range(4):
        async with opened({"q": stage.spec()}, data=tmp_path) as house:
            random_faults(house.disk, seed * 10 + life, share=0.2)
            callers = Callers(house, seed)
            callers.clock, callers.answers = clock, answers
            await asyncio.gather(*(callers.work(name) for name in range(6)))
            house.disk.fault = lambda ops: None
            verdict(answers, (await house["q"].audit()).cursor)


async def test_queues_do_not_disturb_each_other(opened):
    async with opened({"a": "count()", "b": "count(step=2)", "c": 'count(format="{}")'}) as house:
        random_faults(house.disk, 7, share=0.2)

        async def use(name: str) -> list[tuple]:
            got = []
            while len(got) < 60:
                await asyncio.sleep(0)
                try:
                    taken = await house[name].take(1)
                except LedgerError:
                    continue
                got.append((taken.first, taken.values[0]))
            return got

        a, b, c = await asyncio.gather(*map(use, "abc"))
        house.disk.fault = lambda ops: None
        assert a == [(seq, seq) for seq in range(1, 61)]
        assert b == [(seq, 2 * seq - 1) for seq in range(1, 61)]
        assert c == [(seq, f'"{seq}"') for seq in range(1, 61)]


# -- the control


def test_what_goes_wrong_when_drawing_and_entering_the_line_are_two_steps():
    """A has drawn and has not entered the line yet when B draws and enters it.

    The line is no prefix of what was drawn: after a crash behind B, A's value would be skipped.
    """
    source, line = ThreadSafeIterator(count(1)), []
    drawn_by_a = next(source)
    b = threading.Thread(target=lambda: line.append(next(source)))
    b.start()
    b.join(60)
    line.append(drawn_by_a)
    assert line == [2, 1]


def test_in_one_step_nobody_draws_before_the_value_is_in_the_line():
    """The same moment, with the source's lock held over both."""
    source, line = ThreadSafeIterator(count(1)), []
    kept_out = threading.Event()

    def draw_b() -> None:
        try:
            with source.hold(timeout=0):
                line.append("B got in")
        except PullTimeout:
            kept_out.set()
        with source.hold() as held:
            line.extend(held.take(1))

    b = threading.Thread(target=draw_b)
    with source.hold() as held:
        drawn_by_a = held.take(1)
        b.start()
        assert kept_out.wait(60)
        line.extend(drawn_by_a)
    b.join(60)
    assert line == [1, 2]
