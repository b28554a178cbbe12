"""What the tests of the rules of work begin with."""

from __future__ import annotations

import pytest
from dibs.proof.checker import judge
from dibs.proof.records import Outcome

MS = 1_000_000
LOST = {"outcome": Outcome.UNKNOWN}


def found(history):
    """The rules that have a case, with their counts."""
    return judge(history).counts


@pytest.fixture
def start(work):
    """Items 1 to 4 are pushed; 1 and 2 are leased from 10 on for 1000."""
    return work.push(0, 1, [1, 2, 3, 4]), work.lease(10, 12, "a", [1, 2])


REST = [(3, "waiting", 0), (4, "waiting", 0)]


# -- two owners

GIVEN = [(1, "leased", 1), (2, "leased", 2), *REST]


# -- fencing


def late(work, start, at, do="ack", **more):
    inside = [(1, "leased", 1), *REST] + [(2, "leased", 1)] * (do != "ack")
    return work.history(*start, work.settle(at, at + 1, do, "a", [2]), inside=inside, **more)
