"""A lease of fresh items is one run: settled whole or in parts; one owner; strict expiry."""

from __future__ import annotations

import pytest
from dibs.ledger.looks import ItemRow
from dibs.ledger.ops import Define
from dibs.ledger.serve import Handed
from dibs.ledger.work import Ack, Extend, Nack, Release, Settled, Span
from words import NOTHING, apply

MILLION = 1_000_000


def test_fresh_items_are_leased_until_now_plus_ttl(ledger):
    queue = ledger.define().id
    due = ledger.engine.now() + 30_000
    assert ledger.fresh(queue, 3, "t", 30_000, "ann") == Handed((Span(1, 3),), None, "t", due, fresh=True)
    assert ledger.items(queue) == [
        ItemRow(seq, "leased", 1, 0, due, "ann", None, due - 30_000) for seq in (1, 2, 3)
    ]
    assert ledger.engine.glance(queue) == (0, 3, 0)
    row = ledger.engine.row(queue)
    assert (row.cursor, row.taken, row.acked, row.inside) == (3, 0, 0, 3)
    ledger.balanced(queue)


def test_a_million_fresh_items_are_as_cheap_as_one(ledger):
    """They are one run: what is written does not follow their number."""
    queue = ledger.define().id
    changes = ledger.engine.files.writer.total_changes
    before, size = changes(), ledger.engine.size()
    ledger.fresh(queue, MILLION)
    counts = ledger.engine.counts(queue)
    assert (counts.leased, counts.cursor, counts.overlaps) == (MILLION, MILLION, 0)
    [whole] = ledger.settle(queue, Ack("t", ((1, 400_000), (400_002, MILLION)))).entries
    assert sum(part.last - part.first + 1 for part in whole) == MILLION - 1
    assert ledger.engine.size() - size < 100_000
    assert ledger.one(queue, Ack("t")) == [(400_001, "acked")]
    assert ledger.engine.row(queue).acked == MILLION
    assert ledger.engine.counts(queue).leased == 0
    assert changes() - before < 50


def test_a_whole_ack_is_the_end_of_a_lease(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1_000)
    assert ledger.settle(queue, Ack("t")).entries == ((Settled("acked", 1, 1_000),),)
    assert ledger.items(queue) == []
    assert ledger.next_due(queue) is None
    assert ledger.engine.row(queue).acked == 1_000
    assert ledger.settle(queue, Ack("t")).entries == ((Settled("stale"),),)


@pytest.mark.parametrize(
    ("seqs", "left"),
    [
        (((1, 2),), [3, 4, 5, 6]),
        (((5, 6),), [1, 2, 3, 4]),
        (((3, 4),), [1, 2, 5, 6]),
        (((1, 1), (3, 3), (6, 6)), [2, 4, 5]),
        (((2, 2), (4, 5)), [1, 3, 6]),
        (((1, 3), (4, 6)), []),
        (((1, 6),), []),
    ],
)
def test_an_ack_of_some_splits_the_lease_and_the_rest_stays_leased(ledger, seqs, left):
    queue = ledger.define().id
    due = ledger.fresh(queue, 6, worker="ann").due
    acked = [seq for first, last in seqs for seq in range(first, last + 1)]
    assert ledger.one(queue, Ack("t", seqs)) == [(seq, "acked") for seq in acked]
    now = ledger.engine.now()
    assert ledger.items(queue) == [ItemRow(seq, "leased", 1, 0, due, "ann", None, now) for seq in left]
    assert ledger.engine.row(queue).acked == len(acked)
    assert [seq for seq, _ in ledger.one(queue, Ack("t"))] == (left or [None])


def test_what_is_left_of_a_split_lease_expires_and_is_handed_out_again(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 6)
    ledger.one(queue, Ack("t", ((2, 2), (4, 5))))
    ledger.time.pass_(30_000)
    claimed = ledger.claim(queue, token="u")
    assert claimed.spans == (Span(1, 1, 1), Span(3, 3, 1), Span(6, 6, 1))  # half of the six that it had


# -- expiry


def test_a_lease_is_live_to_its_last_millisecond(ledger):
    queue = ledger.define().id
    due = ledger.fresh(queue, 2, ttl=1_000).due
    ledger.time.pass_(999)
    assert (ledger.claim(queue, token="u"), ledger.next_due(queue)) == (NOTHING, due)
    assert ledger.inside(queue) == {1: "leased", 2: "leased"}
    assert ledger.one(queue, Ack("t", ((1, 1),))) == [(1, "acked")]


ENTRIES = [
    lambda seqs: Ack("t", seqs),
    lambda seqs: Nack("t", seqs),
    lambda seqs: Nack("t", seqs, 0, "why"),
    lambda seqs: Extend("t", 60_000, seqs),
    lambda seqs: Release("t", seqs),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=["ack", "nack", "nack delay", "extend", "release"])
@pytest.mark.parametrize("seqs", [None, ((1, 2),), ((2, 2),)], ids=["whole", "range", "one"])
def test_an_expired_lease_is_stale_though_nobody_claimed_it(ledger, entry, seqs):
    queue = ledger.define().id
    due = ledger.fresh(queue, 2, ttl=1_000, worker="ann").due
    ledger.time.pass_(1_000)
    before = ledger.all()
    assert {verdict for _, verdict in ledger.one(queue, entry(seqs))} == {"stale"}
    assert ledger.all() == before
    assert ledger.items(queue) == [ItemRow(seq, "waiting", 1, 0, due, "ann") for seq in (1, 2)]
    assert ledger.claim(queue, token="u").spans == (Span(1, 1, 1),)


@pytest.mark.parametrize("entry", ENTRIES, ids=["ack", "nack", "nack delay", "extend", "release"])
def test_the_late_holder_of_items_handed_out_again_is_fenced_off(ledger, entry):
    queue = ledger.define().id
    ledger.fresh(queue, 2, ttl=1_000)
    ledger.time.pass_(1_000)
    for token in "uv":
        ledger.claim(queue, token=token)
    before = ledger.all()
    for seqs in (None, ((1, 2),)):
        assert {verdict for _, verdict in ledger.one(queue, entry(seqs))} == {"stale"}
    assert ledger.all() == before
    assert ledger.one(queue, Ack("u")) == [(1, "acked")]


@pytest.mark.parametrize("token", ["other queue", "forged", "", "T", "t ", "t%", "ţ"])
@pytest.mark.parametrize("seqs", [None, ((1, 3),)])
def test_a_token_is_matched_exactly_and_in_its_queue_only(ledger, token, seqs):
    queue, other = ledger.define("q").id, ledger.define("other").id
    ledger.fresh(queue, 3)
    ledger.fresh(other, 3, "other queue")
    before = ledger.all()
    for entry in (Ack(token, seqs), Nack(token, seqs), Extend(token, 9_000, seqs), Release(token, seqs)):
        assert {verdict for _, verdict in ledger.one(queue, entry)} == {"stale"}
    assert ledger.all() == before


@pytest.mark.parametrize("deleted", [True, False])
def test_a_token_belongs_to_its_generation(ledger, deleted):
    queue = ledger.define().id
    ledger.fresh(queue, 3)
    if deleted:
        _, row = apply(ledger.engine, Define("w", "", "{}"), Define("q", "count", "{}", reset=True))
    else:
        row = ledger.define("q", reset=True)
    ledger.fresh(row.id, 3, "new")
    before = ledger.all()
    for place in (queue, row.id):
        for seqs in (None, ((1, 3),)):
            assert {verdict for _, verdict in ledger.one(place, Ack("t", seqs))} == {"stale"}
    assert ledger.all() == before


def test_what_was_settled_once_can_not_be_settled_again(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 4)
    ledger.settle(
        queue,
        Ack("t", ((1, 1),)),
        Nack("t", ((2, 2),), 0),
        Release("t", ((3, 3),)),
    )
    before = ledger.all()
    for entry in (Ack("t", ((1, 3),)), Nack("t", ((1, 3),)), Release("t", ((1, 3),))):
        assert ledger.one(queue, entry) == [(1, "stale"), (2, "stale"), (3, "stale")]
    assert ledger.all() == before


def test_seqs_outside_the_lease_are_stale_and_those_inside_are_settled(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 2, "before")
    ledger.fresh(queue, 3, "t")
    ledger.fresh(queue, 2, "after")
    told = ledger.one(queue, Ack("t", ((1, 3), (5, 9), (100, 100))))
    stale, acked = [1, 2, 6, 7, 8, 9, 100], [3, 5]
    assert told == sorted([(seq, "stale") for seq in stale] + [(seq, "acked") for seq in acked])
    assert sorted(ledger.inside(queue)) == [1, 2, 4, 6, 7]


def test_huge_seqs_are_only_stale(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1)
    [parts] = ledger.settle(queue, Ack("t", ((1, 1), (5, 2**53)))).entries
    assert [(part.verdict, part.first, part.last) for part in parts] == [
        ("acked", 1, 1),
        ("stale", 5, 2**53),
    ]


# -- extend and release


def test_an_extension_runs_from_its_commit_with_the_same_token(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3, ttl=1_000)
    ledger.time.pass_(900)
    due = ledger.engine.now() + 1_000
    assert ledger.settle(queue, Extend("t", 1_000)).entries == ((Settled("extended", 1, 3, due),),)
    ledger.time.pass_(999)
    assert (ledger.claim(queue, token="u"), ledger.next_due(queue)) == (NOTHING, due)
    assert ledger.one(queue, Ack("t", ((1, 1),))) == [(1, "acked")]
    ledger.time.pass_(1)
    assert [ledger.seqs(ledger.claim(queue, token=token)) for token in "uv"] == [[2], [3]]


def test_an_extension_of_some_leaves_the_rest_to_expire(ledger):
    queue = ledger.define().id
    due = ledger.fresh(queue, 3, ttl=1_000).due
    assert ledger.one(queue, Extend("t", 9_000, ((2, 2),))) == [(2, "extended")]
    ledger.time.pass_(1_000)
    assert ledger.inside(queue) == {1: "waiting", 2: "leased", 3: "waiting"}
    assert ledger.next_due(queue) == due
    assert ledger.one(queue, Ack("t", ((1, 3),))) == [(1, "stale"), (2, "acked"), (3, "stale")]


def test_an_extension_may_shorten_a_lease(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 1)
    ledger.one(queue, Extend("t", 10))
    ledger.time.pass_(10)
    assert ledger.one(queue, Ack("t")) == [(None, "stale")]


def test_a_release_gives_items_back_at_once_and_their_attempt_too(ledger):
    queue = ledger.define().id
    ledger.fresh(queue, 3, worker="ann")
    ledger.time.pass_(5)
    assert ledger.one(queue, Release("t", ((1, 2),))) == [(1, "released"), (2, "released")]
    states = [(item.seq, item.state, item.attempt, item.due) for item in ledger.items(queue, "waiting")]
    assert states == [(seq, "waiting", 0, ledger.engine.now()) for seq in (1, 2)]
    assert ledger.claim(queue, token="u").spans == (Span(1, 2, 1),)
    assert ledger.engine.failures(queue, 1) == []


def test_a_release_never_buries(ledger):
    queue = ledger.jobs('"a"', max_attempts=1)
    for token in "tuvw":
        assert ledger.claim(queue, token=token).spans == (Span(1, 1, 1),)
        assert ledger.one(queue, Release(token)) == [(1, "released")]
    assert ledger.inside(queue) == {1: "waiting"}
