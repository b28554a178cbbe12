"""A table that is changed by what moved is as one that is made anew."""

import random
from collections import Counter
from types import SimpleNamespace

from dibs.dashboard.table import ENDED, FAILED, NONE, WELL, Seen, Sums, Table
from dibs.ledger.sights import Inside
from dibs.queue.meters import Traffic

STATES = ["open", "paused", "failed"]


def seen(name, dice):
    inside = Inside(*(dice.randrange(3) for _ in range(3)))
    sums = (
        NONE
        if dice.random() < 0.3
        else Sums(inside, dice.randrange(5), Traffic(*(dice.randrange(5) for _ in Traffic._fields)))
    )
    trouble = dice.randint(FAILED, ENDED), float(dice.randrange(-3, 3)), name
    due = dice.choice([None, dice.randrange(1, 100)])
    queue = SimpleNamespace(name=name)
    return Seen(trouble, queue, None, state=dice.choice(STATES), inside=inside, due=due, sums=sums)


def flat(sums):
    return *sums.inside, sums.died, *sums.traffic


def test_whatever_moves_and_goes_the_sums_and_the_order_are_those_of_all():
    dice, table, known = random.Random(1), Table(), {}
    for _ in range(3_000):
        name = f"q{dice.randrange(40)}"
        if dice.random() < 0.2:
            table.drop(name)
            known.pop(name, None)
        else:
            known[name] = seen(name, dice)
            table.put(known[name])
        everyone = list(known.values())
        assert table.seen == known
        assert table.order == sorted(each.trouble for each in everyone)
        assert flat(table.sums) == tuple(
            map(sum, zip(*map(flat, [NONE, *(each.sums for each in everyone)]), strict=True))
        )
        assert +table.states == Counter(each.state for each in everyone)
        assert table.troubled == sum(each.trouble[0] < WELL for each in everyone)
        assert table.dues == {name: each.due for name, each in known.items() if each.due is not None}
        assert list(table.first(2, 5)) == sorted(everyone, key=lambda each: each.trouble)[2:7]
