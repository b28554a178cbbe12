"""Serve: a settling and its lease under one key."""

from __future__ import annotations

import pytest
from asks import ROOM, lease, seqs, settle, take, verdicts
from dibs.ledger.serve import Ask, HandOut, Key
from dibs.ledger.work import (
    Ack,
)

from .conftest import K, answers

# -- a settling whose lease came later


def test_a_settling_is_filed_before_its_lease_and_the_lease_into_it(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u", 2))
    [first] = ledger.round(queue, want)
    assert (verdicts(first), first.why, first.replayed) == (["acked"], "empty", False)
    later = want._replace(settled=first.entries)
    assert ledger.round(queue, later) == (first._replace(replayed=True),)
    ledger.push(queue, "2", "3", "4")
    [leased] = ledger.round(queue, later)
    assert (verdicts(leased), seqs(leased)) == (["acked"], [2, 3])
    assert (leased.replayed, leased.known) == (False, True)
    for again in ledger.round(queue, later, want):
        assert again == leased._replace(
            replayed=True, known=False
        )  # a lease that is there already is the answer
    assert ledger.inside(queue) == {2: "leased", 3: "leased", 4: "waiting"}


def test_a_repeat_of_a_settling_without_its_lease_asks_for_the_lease_again(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u", 2))
    [first] = ledger.round(queue, want)
    assert ledger.round(queue, want) == (first._replace(replayed=True),)
    ledger.push(queue, "2")
    [leased, second] = ledger.round(queue, want, want)
    assert (verdicts(leased), seqs(leased), leased.replayed) == (["acked"], [2], False)
    assert second == leased._replace(replayed=True)
    assert ledger.engine.row(queue).acked == 1


@pytest.mark.parametrize(
    ("meanwhile", "why"), [(Key("s", "e", 2), "key-superseded"), (Key("s", "e", 9), "key-superseded")]
)
def test_nothing_is_leased_into_the_answer_of_a_later_request(ledger, meanwhile, why):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=Key("s", "d", 1), then=lease("u"))
    [first] = ledger.round(queue, want)
    ledger.push(queue, "2", "3")
    ledger.round(queue, take(1, meanwhile))
    [refused] = ledger.round(queue, want._replace(settled=first.entries))
    assert (refused.why, seqs(refused)) == (why, None)
    assert ledger.inside(queue) == {3: "waiting"}


def test_nothing_is_leased_where_another_request_has_the_key(ledger):
    queue = ledger.jobs("1", "2", "3")
    ledger.round(queue, take(1, K))
    other = Ask(HandOut(1, ROOM), (Ack("t"),), Key("k", "e"), settled=((),))
    assert ledger.round(queue, other)[0].why == "key-reused"
    assert ledger.inside(queue) == {2: "waiting", 3: "waiting"}


def test_a_pruned_settling_is_written_anew_with_its_lease(ledger):
    queue = ledger.jobs("1")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), key=K, then=lease("u"))
    [first] = ledger.round(queue, want, key_ttl=2_000)
    ledger.time.pass_(10_000)
    ledger.push(queue, "2")
    assert answers(ledger) == 0
    [leased] = ledger.round(queue, want._replace(settled=first.entries))
    assert (verdicts(leased), seqs(leased), leased.replayed) == (["acked"], [2], False)
    assert ledger.round(queue, want) == (leased._replace(replayed=True),)


def test_a_settling_without_a_key_goes_on_for_its_lease_alone(ledger):
    queue = ledger.jobs("1", "2")
    ledger.round(queue, lease("t"))
    want = settle(Ack("t"), then=lease("u"))._replace(settled=((),))
    [served] = ledger.round(queue, want)
    assert (served.entries, seqs(served)) == (((),), [2])
    assert ledger.engine.row(queue).acked == 0
