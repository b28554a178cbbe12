"""The keys of items that a batch asks for are looked up in PostgreSQL together."""

from __future__ import annotations

import pytest

psycopg = pytest.importorskip("psycopg")

from asks import settle
from dibs.ledger.inbox import Arrival, Place, TakeIn
from dibs.ledger.ops import Define
from dibs.ledger.postgres.lookups import LookUps
from dibs.ledger.serve import Ask, HandOut, Holder, Key, Keyed, Serve
from dibs.ledger.work import Ack, Parcel, Purge, Push, Result


@pytest.fixture
def looks(monkeypatch):
    """How many keys each look-up asked for."""
    found = []
    item_keys = LookUps.item_keys

    def counted(self, wanted):
        found.append(len(wanted))
        return item_keys(self, wanted)

    monkeypatch.setattr(LookUps, "item_keys", counted)
    return found


def push(queue, *keys):
    return Push(queue, (Parcel(("1",) * len(keys), keys=keys),))


def known(owner, *ops):
    """The seqs of each push, and which of its items were known."""
    return [(list(each.seqs), each.known) for each in owner.engine.apply(ops).outcomes]


def forget(owner):
    """What memory has copies of, as after a takeover."""
    owner.engine._keeping._copies = 10**9


def test_all_keys_of_a_batch_are_looked_up_at_once(owner, looks):
    jobs = owner.jobs
    assert known(owner, push(jobs, "a", "b"), push(jobs, "b", "c")) == [([1, 2], ()), ([2, 3], (0,))]
    assert looks == [3]
    forget(owner)
    assert known(owner, push(jobs, "a"), push(jobs, "c", "d"), push(jobs, "d")) == [
        ([1], (0,)),
        ([3, 4], (0,)),
        ([4], (0,)),
    ]
    assert looks == [3, 3]
    assert known(owner, push(jobs, "a", "d")) == [([1, 4], (0, 1))]  # memory has copies
    assert looks == [3, 3]
    owner.same()


def test_results_and_rows_of_the_inbox_are_among_them(owner, looks):
    owner.engine.apply([Define("more", "", "{}")])
    [more] = [row.id for row in owner.engine.rows() if row.name == "more"]
    known(owner, push(owner.jobs, "a", "b"), push(more, "x", "y"))
    token = Ask(HandOut(9, 1 << 20, Holder("t", 30_000, "")))
    owner.engine.apply([Serve(owner.jobs, 1, (token,), length=9)])
    forget(owner)
    looks.clear()
    acks = settle(*[Ack("t", ((n, n),), (Result("more", "2", key=key),)) for n, key in ((1, "x"), (2, "z"))])
    place = owner.do(
        "INSERT INTO inbox (queue, value, key, priority) VALUES ('jobs', '3', 'b', 0)"
        " RETURNING tx::text::int8, n"
    )[0]
    arrival = Arrival(Place(*place), "jobs", "3", "b")
    keyed = Keyed(push(owner.jobs, "k"), Key("key", "digest"))
    applied = owner.engine.apply([TakeIn((arrival,)), keyed, Serve(owner.jobs, 1, (acks,), length=9)])
    assert looks == [4]
    assert applied.outcomes[0].pushed == {"jobs": 0}
    assert owner.do("SELECT key, seq FROM item_key WHERE queue = %s ORDER BY seq", more) == [
        (b"x", 1),
        (b"y", 2),
        (b"z", 3),
    ]
    owner.same()


def test_a_key_that_is_forgotten_in_the_same_batch_is_not_known(owner, looks):
    known(owner, push(owner.jobs, "a", "b"))
    forget(owner)
    looks.clear()
    outcomes = owner.engine.apply(
        [push(owner.jobs, "a"), Purge(owner.jobs, ("waiting",)), push(owner.jobs, "a", "b")]
    ).outcomes
    assert (list(outcomes[0].seqs), list(outcomes[2].seqs), outcomes[2].known) == ([1], [3, 4], ())
    assert looks == [2]
    owner.same()
